/**
 * A source tree in memory behind the seam of the walk, so that thousands of snapshots cost no disk.
 * Only what a snapshot needs: files, directories and symlinks; nothing changes while it is read.
 */
import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import type { DirectoryHandle } from '../../src/platform/directory-handle.ts';
import type { FileStat } from '../../src/platform/file-stat.ts';
import { encodeUtf8 } from '../../src/util/bytes.ts';
import type { SourceFs } from '../../src/walk/source-fs.ts';

/** Absolute path to content of a file, or to the target of a symlink. Parents need no entry. */
export type SourceTree = Readonly<Record<string, Uint8Array | { readonly target: string }>>;

/** One in which directories may be empty. */
export type DirectoryTree = Readonly<Record<string, SourceTree[string] | 'directory'>>;

/** What a source says of an entry beyond what follows from its path and content. */
export type DescribeEntry = (path: string) => Partial<FileStat>;

const DESCRIPTOR_PATH = /^\/proc\/self\/fd\/(\d+)(\/.*)?$/;
/** What has another content was changed at another time, as on a real file system. */
function changeTime(entry: DirectoryTree[string] | undefined): {
  seconds: bigint;
  nanoseconds: number;
} {
  const content = entry instanceof Uint8Array ? entry : encodeUtf8(targetOf(entry));
  return { seconds: 1_700_000_000n + BigInt(crc32(content)), nanoseconds: 5 };
}

function targetOf(entry: DirectoryTree[string] | undefined): string {
  return typeof entry === 'object' && 'target' in entry ? entry.target : '';
}

export function memorySource(tree: DirectoryTree, describe: DescribeEntry = () => ({})): SourceFs {
  return new MemorySource(tree, describe);
}

class MemorySource implements SourceFs {
  readonly #tree: DirectoryTree;
  readonly #describe: DescribeEntry;
  /** Names in each directory, by its path; the path of `/` is empty. */
  readonly #directories = new Map<string, Set<string>>([['', new Set()]]);
  readonly #open = new Map<number, string>();
  #nextDescriptor = 100;

  constructor(tree: DirectoryTree, describe: DescribeEntry) {
    this.#tree = tree;
    this.#describe = describe;
    for (const [path, entry] of Object.entries(tree)) {
      this.#addToParent(path);
      const isNew = entry === 'directory' && !this.#directories.has(path);
      if (isNew) this.#directories.set(path, new Set());
    }
  }

  stat(path: Uint8Array): FileStat {
    return this.#stat(this.#resolve(path));
  }

  lstat(path: Uint8Array): FileStat {
    return this.#stat(this.#resolve(path));
  }

  lstatIn(directory: DirectoryHandle, name: string): FileStat {
    return this.#stat(this.#pathIn(directory, name));
  }

  fstat(fd: number): FileStat {
    return this.#stat(this.#pathOf(fd));
  }

  openDirectory(path: Uint8Array): number {
    return this.#openPath(path);
  }

  openDirectoryIn(directory: DirectoryHandle, name: string): number {
    return this.#openPath(encodeUtf8(this.#pathIn(directory, name)));
  }

  list(directory: DirectoryHandle): string[] {
    const names = [...(this.#directories.get(this.#pathOf(directory.fd)) ?? [])];
    return names.map((name) => Buffer.from(name).toString('latin1'));
  }

  readLink(path: Uint8Array): Uint8Array {
    const entry = this.#tree[this.#resolve(path)];
    return encodeUtf8(targetOf(entry));
  }

  readLinkIn(directory: DirectoryHandle, name: string): Uint8Array {
    return this.readLink(encodeUtf8(this.#pathIn(directory, name)));
  }

  openFile(path: Uint8Array): number {
    return this.#openPath(path);
  }

  read(fd: number, target: Uint8Array, position: number): number {
    const content = this.#tree[this.#pathOf(fd)] as Uint8Array;
    const piece = content.subarray(position, position + target.length);
    target.set(piece);
    return piece.length;
  }

  nextHole(): undefined {}

  nextData(): undefined {}

  /** Nothing has attributes or flags here. */
  listAttributes(): Uint8Array[] {
    return [];
  }

  getAttribute(): undefined {}

  flags(): number {
    return 0;
  }

  close(fd: number): void {
    this.#open.delete(fd);
  }

  #addToParent(path: string): void {
    const cut = path.lastIndexOf('/');
    const parent = path.slice(0, cut);
    if (!this.#directories.has(parent)) {
      this.#directories.set(parent, new Set());
      this.#addToParent(parent);
    }
    this.#directories.get(parent)?.add(path.slice(cut + 1));
  }

  /** Names are latin1 text; paths are text as it was meant. */
  #pathIn(directory: DirectoryHandle, name: string): string {
    return `${this.#pathOf(directory.fd)}/${Buffer.from(name, 'latin1')}`;
  }

  #openPath(path: Uint8Array): number {
    const resolved = this.#resolve(path);
    this.#stat(resolved);
    this.#open.set(this.#nextDescriptor, resolved);
    return this.#nextDescriptor++;
  }

  #pathOf(fd: number): string {
    const path = this.#open.get(fd);
    if (path === undefined) throw systemError('EBADF', String(fd));
    return path;
  }

  /** The walk opens entries through the descriptor of their directory. */
  #resolve(path: Uint8Array): string {
    const match = DESCRIPTOR_PATH.exec(text(path));
    const resolved =
      match === null ? text(path) : `${this.#pathOf(Number(match[1]))}${match[2] ?? ''}`;
    return resolved === '/' ? '' : resolved;
  }

  #stat(path: string): FileStat {
    const entry = this.#tree[path];
    const isDirectory = this.#directories.has(path);
    if (entry === undefined && !isDirectory) throw systemError('ENOENT', path);
    const isFile = entry instanceof Uint8Array;
    const time = changeTime(entry);
    return {
      type: isDirectory ? 'd' : isFile ? 'f' : 'l',
      mode: isDirectory ? 0o755 : 0o644,
      linkCount: 1,
      uid: 1000,
      gid: 1000,
      size: isFile ? BigInt(entry.length) : 0n,
      device: 1,
      inode: createHash('sha256').update(path).digest().readBigUInt64LE() >> 1n,
      special: { major: 0, minor: 0 },
      mtime: time,
      ctime: time,
      ...this.#describe(path),
    };
  }
}

function text(path: Uint8Array): string {
  return Buffer.from(path).toString('utf8');
}

function systemError(code: string, path: string): Error {
  return Object.assign(new Error(`${code}: '${path}'`), { code });
}
