/**
 * A file system in memory that can lose its power. It remembers, beside what a running program
 * sees, what had to be on the disk by then, and `crash()` makes one of the file systems that may be
 * found after the restart. The same seed gives the same one. Two kinds of file system:
 *
 * - `ordered`, as ext4 with its default journal: changes of names reach the disk in their order,
 *   any fsync takes all earlier ones with it, and a file that was not synced is a piece from its
 *   beginning.
 * - `weak`, the least that POSIX promises: each change of a name that was not followed by an fsync
 *   of its directory, and each 512-byte sector that was not followed by an fsync of its file, is
 *   lost or kept on its own.
 */
import type { FileStat, OpenFile, StorageFs } from '../../src/storage/file-system.ts';
import { type SeededRandom, seededRandom } from './seeded-random.ts';

export type CrashMode = 'ordered' | 'weak';

interface FileNode {
  readonly kind: 'file';
  bytes: Uint8Array;
  /** Bytes certainly on the disk. */
  durable: Uint8Array;
  readonly unsynced: { readonly position: number; readonly bytes: Uint8Array }[];
  modifiedMs: number;
}

interface DirectoryNode {
  readonly kind: 'directory';
  readonly entries: Map<string, Node>;
  /** The entries before the first change in the journal. */
  base: ReadonlyMap<string, Node>;
  readonly modifiedMs: number;
}

type Node = FileNode | DirectoryNode;

/** One name given to a node, or taken away. */
interface NameChange {
  readonly directory: DirectoryNode;
  readonly name: string;
  readonly node: Node | undefined;
  isSynced: boolean;
}

const SECTOR_SIZE = 512;
const DEVICE_ID = 1;

export class SimFs implements StorageFs {
  readonly #root: DirectoryNode;
  /** All changes of names since the last start; those of one call are in one step. */
  readonly #journal: NameChange[][] = [];
  /** Steps that an ordered file system has certainly on the disk. */
  #committedCount = 0;
  #nowMs: number;

  constructor(root: DirectoryNode = newDirectory(0), nowMs = 1_700_000_000_000) {
    this.#root = root;
    this.#nowMs = nowMs;
  }

  async create(path: string): Promise<OpenFile> {
    const { directory, name } = this.#parent(path, 'open');
    if (directory.entries.has(name)) throw simError('EEXIST', 'open', path);
    const node: FileNode = {
      kind: 'file',
      bytes: new Uint8Array(0),
      durable: new Uint8Array(0),
      unsynced: [],
      modifiedMs: this.#tick(),
    };
    this.#change({ directory, name, node });
    return this.#open(node, path);
  }

  async openFile(path: string): Promise<OpenFile> {
    return this.#open(this.#node(path, 'open'), path);
  }

  async openDirectory(path: string): Promise<OpenFile> {
    return this.#open(this.#directory(path, 'open'), path);
  }

  async stat(path: string): Promise<FileStat> {
    return statNode(this.#node(path, 'lstat'));
  }

  async readDirectory(path: string): ReturnType<StorageFs['readDirectory']> {
    return [...this.#directory(path, 'scandir').entries].map(([name, node]) => ({
      name,
      isDirectory: node.kind === 'directory',
    }));
  }

  async makeDirectory(path: string): Promise<void> {
    if (path === '/') throw simError('EEXIST', 'mkdir', path);
    const { directory, name } = this.#parent(path, 'mkdir');
    if (directory.entries.has(name)) throw simError('EEXIST', 'mkdir', path);
    this.#change({ directory, name, node: newDirectory(this.#tick()) });
  }

  async link(from: string, to: string): Promise<void> {
    const node = this.#node(from, 'link');
    const { directory, name } = this.#parent(to, 'link');
    if (node.kind === 'directory') throw simError('EPERM', 'link', from);
    if (directory.entries.has(name)) throw simError('EEXIST', 'link', to);
    this.#change({ directory, name, node });
  }

  async rename(from: string, to: string): Promise<void> {
    const node = this.#node(from, 'rename');
    const source = this.#parent(from, 'rename');
    const target = this.#parent(to, 'rename');
    this.#change({ ...target, node }, { ...source, node: undefined });
  }

  async unlink(path: string): Promise<void> {
    if (this.#node(path, 'unlink').kind === 'directory') throw simError('EISDIR', 'unlink', path);
    this.#change({ ...this.#parent(path, 'unlink'), node: undefined });
  }

  async realPath(path: string): Promise<string> {
    this.#node(path, 'realpath');
    return path;
  }

  /** Never full by itself. */
  async freeSize(): Promise<number> {
    return Number.MAX_SAFE_INTEGER;
  }

  /**
   * What a kernel does after an fsync of a file failed: it takes the bytes for written, so that no
   * later fsync of the same file brings them to the disk.
   */
  forgetUnsynced(path: string): void {
    const node = this.#node(path, 'forget');
    if (node.kind === 'file') node.unsynced.length = 0;
  }

  /** Time goes by; nothing else happens. */
  pass(milliseconds: number): void {
    this.#nowMs += milliseconds;
  }

  get nowMs(): number {
    return this.#nowMs;
  }

  /** All that was written reaches the disk, as after some quiet seconds. */
  settle(): void {
    const visit = (node: Node): void => {
      if (node.kind === 'file') {
        node.durable = node.bytes;
        node.unsynced.length = 0;
        return;
      }
      node.base = new Map(node.entries);
      for (const child of node.entries.values()) visit(child);
    };
    visit(this.#root);
    this.#journal.length = 0;
    this.#committedCount = 0;
  }

  /** The same once more, what is not synced included; the two share nothing that changes. */
  fork(): SimFs {
    const copies = new Map<Node, Node>();
    const copyEntries = (entries: ReadonlyMap<string, Node>): Map<string, Node> =>
      new Map([...entries].map(([name, node]) => [name, copyNode(node)]));
    const copyNode = <T extends Node>(node: T): T => {
      const known = copies.get(node);
      if (known !== undefined) return known as T;
      if (node.kind === 'file') {
        const file: Node = { ...node, unsynced: [...node.unsynced] };
        copies.set(node, file);
        return file as T;
      }
      const directory = newDirectory(node.modifiedMs);
      copies.set(node, directory);
      for (const [name, child] of copyEntries(node.entries)) directory.entries.set(name, child);
      directory.base = copyEntries(node.base);
      return directory as Node as T;
    };
    const fork = new SimFs(copyNode(this.#root), this.#nowMs);
    for (const step of this.#journal) {
      fork.#journal.push(
        step.map(({ directory, name, node, isSynced }) => ({
          directory: copyNode(directory),
          name,
          node: node && copyNode(node),
          isSynced,
        })),
      );
    }
    fork.#committedCount = this.#committedCount;
    return fork;
  }

  /** The content of every file below a directory, by its path from there. Not to be changed. */
  filesBelow(path: string): Map<string, Uint8Array> {
    const files = new Map<string, Uint8Array>();
    const visit = (directory: DirectoryNode, prefix: string): void => {
      for (const [name, node] of directory.entries) {
        if (node.kind === 'file') files.set(`${prefix}${name}`, node.bytes);
        else visit(node, `${prefix}${name}/`);
      }
    };
    visit(this.#directory(path, 'scandir'), '');
    return files;
  }

  /** A file system that may be found after the power was cut now. This one is not changed. */
  crash(seed: number, mode: CrashMode): SimFs {
    return this.cut(seededRandom(seed), mode);
  }

  /** The same with what survives chosen by `random`: of several possibilities the last one is the worst. */
  cut(random: Pick<SeededRandom, 'below'>, mode: CrashMode): SimFs {
    const survivors = new SurvivingNodes(mode, random);
    const root = survivors.directoryOf(this.#root);
    for (const change of this.#survivingChanges(mode, random)) survivors.apply(change);
    survivors.settle();
    return new SimFs(root, this.#nowMs);
  }

  #survivingChanges(mode: CrashMode, random: Pick<SeededRandom, 'below'>): NameChange[] {
    if (mode === 'ordered') {
      const openCount = this.#journal.length - this.#committedCount;
      return this.#journal.slice(0, this.#committedCount + random.below(openCount + 1)).flat();
    }
    return this.#journal.flat().filter(({ isSynced }) => isSynced || random.below(2) === 0);
  }

  #open(node: Node, path: string): OpenFile {
    let isOpen = true;
    const file = (call: string): FileNode => {
      if (!isOpen) throw simError('EBADF', call, path);
      if (node.kind === 'directory') throw simError('EISDIR', call, path);
      return node;
    };
    return {
      write: async (bytes, position) => {
        writeNode(file('write'), bytes.slice(), position);
        file('write').modifiedMs = this.#tick();
        return bytes.length;
      },
      read: async (into, position) => {
        const piece = file('read').bytes.subarray(position, position + into.length);
        into.set(piece);
        return piece.length;
      },
      stat: async () => statNode(node),
      setMode: async () => {},
      sync: async () => {
        if (!isOpen) throw simError('EBADF', 'fsync', path);
        this.#committedCount = this.#journal.length;
        if (node.kind === 'directory') this.#syncNames(node);
        else syncNode(node);
      },
      close: async () => {
        if (!isOpen) throw simError('EBADF', 'close', path);
        isOpen = false;
      },
    };
  }

  #syncNames(directory: DirectoryNode): void {
    for (const change of this.#journal.flat()) {
      if (change.directory === directory) change.isSynced = true;
    }
  }

  #change(...changes: Omit<NameChange, 'isSynced'>[]): void {
    this.#journal.push(changes.map((change) => ({ ...change, isSynced: false })));
    for (const change of changes) applyChange(change.directory.entries, change);
  }

  #node(path: string, call: string): Node {
    let node: Node = this.#root;
    for (const part of path.split('/').filter((part) => part !== '')) {
      if (node.kind !== 'directory') throw simError('ENOTDIR', call, path);
      const next: Node | undefined = node.entries.get(part);
      if (next === undefined) throw simError('ENOENT', call, path);
      node = next;
    }
    return node;
  }

  #directory(path: string, call: string): DirectoryNode {
    const node = this.#node(path, call);
    if (node.kind !== 'directory') throw simError('ENOTDIR', call, path);
    return node;
  }

  #parent(path: string, call: string): { directory: DirectoryNode; name: string } {
    const cut = path.lastIndexOf('/');
    return { directory: this.#directory(path.slice(0, cut), call), name: path.slice(cut + 1) };
  }

  #tick(): number {
    this.#nowMs += 1;
    return this.#nowMs;
  }
}

/** The nodes as the disk has them after a crash; each is decided once, whatever its names. */
class SurvivingNodes {
  readonly #mode: CrashMode;
  readonly #random: Pick<SeededRandom, 'below'>;
  readonly #survivors = new Map<Node, Node>();

  constructor(mode: CrashMode, random: Pick<SeededRandom, 'below'>) {
    this.#mode = mode;
    this.#random = random;
  }

  apply({ directory, name, node }: NameChange): void {
    const survivor = node === undefined ? undefined : this.#survivorOf(node);
    applyChange(this.directoryOf(directory).entries, { name, node: survivor });
  }

  directoryOf(directory: DirectoryNode): DirectoryNode {
    return this.#survivorOf(directory) as DirectoryNode;
  }

  /** After the last change: what there is now is what the file system starts with. */
  settle(): void {
    for (const node of this.#survivors.values()) {
      if (node.kind === 'directory') node.base = new Map(node.entries);
    }
  }

  #survivorOf(node: Node): Node {
    const known = this.#survivors.get(node);
    if (known !== undefined) return known;
    if (node.kind === 'file') {
      const survivor = this.#survivingFile(node);
      this.#survivors.set(node, survivor);
      return survivor;
    }
    const survivor = newDirectory(node.modifiedMs);
    this.#survivors.set(node, survivor);
    for (const [name, child] of node.base) survivor.entries.set(name, this.#survivorOf(child));
    return survivor;
  }

  #survivingFile(node: FileNode): FileNode {
    const bytes = this.#mode === 'ordered' ? this.#beginning(node) : this.#sectors(node);
    return { kind: 'file', bytes, durable: bytes, unsynced: [], modifiedMs: node.modifiedMs };
  }

  #beginning({ bytes, durable, unsynced }: FileNode): Uint8Array {
    if (unsynced.length === 0) return durable;
    const more = this.#random.below(bytes.length - durable.length + 1);
    return bytes.slice(0, durable.length + more);
  }

  #sectors({ durable, unsynced }: FileNode): Uint8Array {
    const torn = newFileLike(durable);
    for (const { position, bytes } of unsynced) {
      const fate = this.#random.below(3);
      for (let at = 0; at < bytes.length; at += SECTOR_SIZE) {
        const isKept = fate === 0 || (fate === 1 && this.#random.below(2) === 0);
        if (isKept) writeNode(torn, bytes.subarray(at, at + SECTOR_SIZE), position + at);
      }
    }
    return torn.bytes;
  }
}

function newDirectory(modifiedMs: number): DirectoryNode {
  return { kind: 'directory', entries: new Map(), base: new Map(), modifiedMs };
}

function newFileLike(bytes: Uint8Array): FileNode {
  return { kind: 'file', bytes, durable: bytes, unsynced: [], modifiedMs: 0 };
}

function applyChange(
  entries: Map<string, Node>,
  { name, node }: Pick<NameChange, 'name' | 'node'>,
): void {
  if (node === undefined) entries.delete(name);
  else entries.set(name, node);
}

function writeNode(node: FileNode, bytes: Uint8Array, position: number): void {
  const grown = new Uint8Array(Math.max(node.bytes.length, position + bytes.length));
  grown.set(node.bytes);
  grown.set(bytes, position);
  node.bytes = grown;
  node.unsynced.push({ position, bytes });
}

/** Only what was not forgotten reaches the disk. */
function syncNode(node: FileNode): void {
  const disk = newFileLike(node.durable);
  for (const { position, bytes } of node.unsynced) writeNode(disk, bytes, position);
  node.durable = disk.bytes;
  node.unsynced.length = 0;
}

function statNode(node: Node): FileStat {
  const size = node.kind === 'file' ? node.bytes.length : 0;
  return { kind: node.kind, size, modifiedMs: node.modifiedMs, deviceId: DEVICE_ID };
}

function simError(code: string, call: string, path: string): Error {
  return Object.assign(new Error(`${code}: ${call} '${path}'`), { code });
}
