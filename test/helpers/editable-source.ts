/**
 * Source trees that a model test changes step by step, in memory or on a real disk behind the same
 * few calls, and what such a tree holds, told without the code that saves and restores it. Every
 * change moves the change time of what it changes, as a real file system does; the time of
 * modification may stay, as after `cp --preserve`.
 *
 * In memory, some directories are the roots of file systems of their own, each of which counts its
 * inodes from the same number on and gives free numbers away again.
 */
import { createHash } from 'node:crypto';
import {
  chmodSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { utimens } from '../../src/platform/times.ts';
import type { SourceFs } from '../../src/walk/source-fs.ts';
import { type DescribeEntry, type DirectoryTree, memorySource } from './memory-source.ts';
import { seededRandom } from './seeded-random.ts';

/** Path below the source, empty for itself, to everything that a restore must give back. */
export type TreeDescription = ReadonlyMap<string, string>;

export interface EditableSource {
  /** Absolute. */
  readonly root: string;
  typeOf(path: string): 'f' | 'd' | 'l' | undefined;
  contentOf(path: string): Uint8Array;
  /** A new file, or other content of the one that is there, whose mtime may stay. */
  write(path: string, content: Uint8Array, isTimeKept?: boolean): void;
  makeDirectory(path: string): void;
  symlink(path: string, target: string): void;
  link(from: string, to: string): void;
  rename(from: string, to: string): void;
  /** With everything below. */
  remove(path: string): void;
  chmod(path: string, mode: number): void;
  /** Whether an entry can get a name in that directory: it is in the same file system, and no root. */
  canMove(from: string, directory: string): boolean;
  describe(): TreeDescription;
  /** What a snapshot reads it through; undefined: the file system. */
  fs(): SourceFs | undefined;
}

interface MemoryNode {
  readonly type: 'f' | 'd' | 'l';
  /** Of the file system. */
  readonly device: number;
  readonly inode: bigint;
  content: Uint8Array;
  readonly target: string;
  mode: number;
  /** Ticks: nanoseconds since an arbitrary moment. */
  mtime: number;
  ctime: number;
}

const firstSecond = 1_700_000_000n;
const firstInode = 1001n;
/** A directory with one of these paths is the root of a file system. */
const mountPoints: ReadonlySet<string> = new Set(['a', 'b']);

export class MemoryEditableSource implements EditableSource {
  readonly root = '/source';
  readonly #nodes = new Map<string, MemoryNode>();
  #tick = 0;
  #deviceCount = 1;

  constructor() {
    this.#nodes.set('', this.#newNode('d', { device: 1 }));
  }

  typeOf(path: string): 'f' | 'd' | 'l' | undefined {
    return this.#nodes.get(path)?.type;
  }

  contentOf(path: string): Uint8Array {
    return this.#node(path).content;
  }

  write(path: string, content: Uint8Array, isTimeKept = false): void {
    const node = this.#nodes.get(path);
    if (node === undefined) {
      this.#add(path, this.#newNode('f', { device: this.#deviceAt(path), content }));
      return;
    }
    node.content = content;
    node.ctime = ++this.#tick;
    if (!isTimeKept) node.mtime = node.ctime;
  }

  makeDirectory(path: string): void {
    const device = mountPoints.has(path) ? ++this.#deviceCount : this.#deviceAt(path);
    this.#add(path, this.#newNode('d', { device }));
  }

  symlink(path: string, target: string): void {
    this.#add(path, this.#newNode('l', { device: this.#deviceAt(path), target }));
  }

  link(from: string, to: string): void {
    this.#node(from).ctime = ++this.#tick;
    this.#add(to, this.#node(from));
  }

  rename(from: string, to: string): void {
    this.#node(from).ctime = ++this.#tick;
    for (const [path, node] of [...this.#nodes]) {
      if (path !== from && !path.startsWith(`${from}/`)) continue;
      this.#nodes.delete(path);
      this.#nodes.set(to + path.slice(from.length), node);
    }
    this.#touchParent(from);
    this.#touchParent(to);
  }

  remove(path: string): void {
    for (const [each, node] of [...this.#nodes]) {
      if (each !== path && !each.startsWith(`${path}/`)) continue;
      node.ctime = ++this.#tick; // Other names of it have one link less.
      this.#nodes.delete(each);
    }
    this.#touchParent(path);
  }

  chmod(path: string, mode: number): void {
    const node = this.#node(path);
    node.mode = mode;
    node.ctime = ++this.#tick;
  }

  canMove(from: string, directory: string): boolean {
    const { device } = this.#node(from);
    return device === this.#deviceAt(from) && device === this.#node(directory).device;
  }

  describe(): TreeDescription {
    const names = this.#sortedPaths();
    return new Map(
      names.map((path) => {
        const { type, mode, content, target, mtime } = this.#node(path);
        const mtimeNs = firstSecond * 1_000_000_000n + BigInt(mtime);
        const first = names.find((other) => this.#node(other) === this.#node(path)) ?? '';
        return [path, describeEntry({ type, mode, mtimeNs, content, target, linkedTo: first })];
      }),
    );
  }

  fs(): SourceFs {
    const tree: Record<string, DirectoryTree[string]> = {};
    for (const [path, { type, content, target }] of this.#nodes) {
      tree[this.root + (path && `/${path}`)] =
        type === 'd' ? 'directory' : type === 'f' ? content : { target };
    }
    const describe: DescribeEntry = (path) => this.#statOf(path);
    return memorySource(tree, describe);
  }

  #statOf(path: string): ReturnType<DescribeEntry> {
    const node = this.#nodes.get(path.slice(this.root.length + 1));
    if (node === undefined || !path.startsWith(this.root)) return {};
    const { device, inode, mode } = node;
    const linkCount = [...this.#nodes.values()].filter((each) => each === node).length;
    const [mtime, ctime] = [timeOf(node.mtime), timeOf(node.ctime)];
    return { device, inode, mode, linkCount, mtime, ctime };
  }

  #newNode(
    type: MemoryNode['type'],
    fields: { device: number; content?: Uint8Array; target?: string },
  ): MemoryNode {
    const { device, content = new Uint8Array(0), target = '' } = fields;
    const time = ++this.#tick;
    const mode = type === 'd' ? 0o755 : 0o644;
    const inode = this.#freeInode(device);
    return { type, device, inode, content, target, mode, mtime: time, ctime: time };
  }

  #freeInode(device: number): bigint {
    const taken = new Set<bigint>();
    for (const node of this.#nodes.values()) if (node.device === device) taken.add(node.inode);
    let inode = firstInode;
    while (taken.has(inode)) inode += 1n;
    return inode;
  }

  /** The file system of the directory that a path is in. */
  #deviceAt(path: string): number {
    return this.#node(parentOf(path)).device;
  }

  #add(path: string, node: MemoryNode): void {
    this.#nodes.set(path, node);
    this.#touchParent(path);
  }

  #touchParent(path: string): void {
    const node = this.#node(parentOf(path));
    node.ctime = ++this.#tick;
    node.mtime = node.ctime;
  }

  #node(path: string): MemoryNode {
    return this.#nodes.get(path) as MemoryNode;
  }

  #sortedPaths(): string[] {
    return [...this.#nodes.keys()].sort();
  }
}

/** A directory of the file system. */
export class DiskEditableSource implements EditableSource {
  readonly root: string;

  constructor(root: string) {
    this.root = root;
    mkdirSync(root);
  }

  typeOf(path: string): 'f' | 'd' | 'l' | undefined {
    // What is reached through a symlink is elsewhere.
    if (path !== '' && this.typeOf(parentOf(path)) !== 'd') return undefined;
    const stat = lstatSync(this.#path(path), { throwIfNoEntry: false });
    if (stat === undefined) return undefined;
    return stat.isDirectory() ? 'd' : stat.isFile() ? 'f' : 'l';
  }

  contentOf(path: string): Uint8Array {
    return readFileSync(this.#path(path));
  }

  write(path: string, content: Uint8Array, isTimeKept = false): void {
    const at = this.#path(path);
    const before = isTimeKept ? lstatSync(at, { bigint: true }) : undefined;
    writeFileSync(at, content);
    if (before === undefined) return;
    const { mtimeNs } = before;
    const seconds = mtimeNs / 1_000_000_000n;
    const nanoseconds = Number(mtimeNs % 1_000_000_000n);
    utimens(Buffer.from(at), { mtime: { seconds, nanoseconds } }, false);
  }

  makeDirectory(path: string): void {
    mkdirSync(this.#path(path));
  }

  symlink(path: string, target: string): void {
    symlinkSync(target, this.#path(path));
  }

  link(from: string, to: string): void {
    linkSync(this.#path(from), this.#path(to));
  }

  rename(from: string, to: string): void {
    renameSync(this.#path(from), this.#path(to));
  }

  remove(path: string): void {
    rmSync(this.#path(path), { recursive: true });
  }

  chmod(path: string, mode: number): void {
    chmodSync(this.#path(path), mode);
  }

  canMove(): boolean {
    return true;
  }

  describe(): TreeDescription {
    return describeDirectory(this.root);
  }

  fs(): undefined {
    return undefined;
  }

  #path(path: string): string {
    return join(this.root, path);
  }
}

/** What is in a directory of the file system. */
export function describeDirectory(root: string): TreeDescription {
  const paths = pathsBelow(root, '').sort();
  const firstByInode = new Map<bigint, string>();
  return new Map(
    paths.map((path) => {
      const at = join(root, path);
      const stat = lstatSync(at, { bigint: true });
      const type = stat.isDirectory() ? 'd' : stat.isFile() ? 'f' : 'l';
      if (!firstByInode.has(stat.ino)) firstByInode.set(stat.ino, path);
      const entry = {
        type,
        mode: Number(stat.mode) & 0o7777,
        mtimeNs: stat.mtimeNs,
        content: type === 'f' ? readFileSync(at) : new Uint8Array(0),
        target: type === 'l' ? readlinkSync(at) : '',
        linkedTo: firstByInode.get(stat.ino) ?? '',
      };
      return [path, describeEntry(entry)];
    }),
  );
}

/** The path itself and all below; the recursive listing of Node follows symlinks to directories. */
function pathsBelow(root: string, path: string): string[] {
  if (!lstatSync(join(root, path)).isDirectory()) return [path];
  const names = readdirSync(join(root, path));
  return [path, ...names.flatMap((name) => pathsBelow(root, join(path, name)))];
}

function describeEntry(entry: {
  type: string;
  mode: number;
  mtimeNs: bigint;
  content: Uint8Array;
  target: string;
  linkedTo: string;
}): string {
  const { type, mode, mtimeNs, content, target, linkedTo } = entry;
  const hash = createHash('sha256').update(content).digest('hex').slice(0, 16);
  if (type === 'd') return `d ${mode.toString(8)} ${mtimeNs}`;
  if (type === 'l') return `l ${mtimeNs} -> ${target}`;
  return `f ${mode.toString(8)} ${mtimeNs} ${content.length} ${hash} = ${linkedTo}`;
}

function timeOf(tick: number): { seconds: bigint; nanoseconds: number } {
  return { seconds: firstSecond, nanoseconds: tick };
}

function parentOf(path: string): string {
  const parent = dirname(path);
  return parent === '.' ? '' : parent;
}

export const editKinds = [
  'write',
  'overwrite',
  'overwrite',
  'directory',
  'symlink',
  'link',
  'rename',
  'remove',
  'chmod',
] as const;

/** One change; what it does when its path is not what it needs follows from the tree alone. */
export interface Edit {
  readonly kind: (typeof editKinds)[number];
  readonly path: string;
  /** The other path of links and renames. */
  readonly other: string;
  /** Content: the same seed and size give the same bytes; seed 0 gives zeros. */
  readonly seed: number;
  readonly size: number;
}

export function applyEdit(source: EditableSource, edit: Edit): void {
  const { path, seed } = edit;
  const type = source.typeOf(path);
  const kind = edit.kind === 'overwrite' && type !== 'f' ? 'write' : edit.kind;
  if (kind === 'link') linkAt(source, edit);
  else if (kind === 'rename') renameTo(source, edit);
  else if (kind === 'overwrite') overwrite(source, edit);
  else if (kind !== 'remove' && kind !== 'chmod') make(source, { ...edit, kind });
  else if (type === undefined) return;
  else if (kind === 'remove') source.remove(path);
  else if (type !== 'l') source.chmod(path, type === 'f' ? 0o600 + seed : 0o710 + seed);
}

/** Nothing but content and change time differs. */
function overwrite(source: EditableSource, { path, seed }: Edit): void {
  source.write(path, contentFor(seed, source.contentOf(path).length), true);
}

function make(
  source: EditableSource,
  { kind, path, other, seed, size }: Edit & { kind: 'write' | 'directory' | 'symlink' },
): void {
  if (kind === 'directory' && source.typeOf(path) === 'd') return;
  makeRoom(source, path);
  if (kind === 'directory') source.makeDirectory(path);
  else if (kind === 'symlink') source.symlink(path, other);
  else source.write(path, contentFor(seed, size));
}

function linkAt(source: EditableSource, { path, other }: Edit): void {
  if (path === other || source.typeOf(other) !== 'f' || isNested(path, other)) return;
  makeRoom(source, path);
  if (source.canMove(other, parentOf(path))) source.link(other, path);
}

function renameTo(source: EditableSource, { path, other }: Edit): void {
  if (path === other || source.typeOf(other) === undefined || isNested(path, other)) return;
  makeRoom(source, path);
  if (source.canMove(other, parentOf(path))) source.rename(other, path);
}

/** One of the two lies below the other. */
function isNested(a: string, b: string): boolean {
  return a.startsWith(`${b}/`) || b.startsWith(`${a}/`);
}

/** The path is free and can be made: what is in the way, there or above, goes. */
function makeRoom(source: EditableSource, path: string): void {
  const parent = parentOf(path);
  if (source.typeOf(parent) !== 'd') {
    makeRoom(source, parent);
    source.makeDirectory(parent);
  }
  if (source.typeOf(path) !== undefined) source.remove(path);
}

/**
 * The file system at `a` comes, with a file of two names, or goes. It is walked before that at `b`,
 * which has such a file, too: so the latter's place among file systems changes, and nothing else of it.
 */
export function toggleFirstMount(source: EditableSource): void {
  const link = (directory: string): void => {
    const [path, other] = [`${directory}/b`, `${directory}/a`];
    const content = { seed: directory.charCodeAt(0), size: 700 };
    applyEdit(source, { kind: 'write', path: other, other: path, ...content });
    applyEdit(source, { kind: 'link', path, other, ...content });
  };
  if (source.typeOf('b/a') !== 'f' || source.typeOf('b/b') !== 'f') link('b');
  if (source.typeOf('a') === undefined) link('a');
  else source.remove('a');
}

const contents = new Map<string, Uint8Array>();

function contentFor(seed: number, size: number): Uint8Array {
  const key = `${seed} ${size}`;
  const content =
    contents.get(key) ?? (seed === 0 ? new Uint8Array(size) : seededRandom(seed).bytes(size));
  contents.set(key, content);
  return content;
}
