/**
 * What the walk hands out: an entry of the source with its metadata and a way to open it later, and
 * the open directories behind such entries. Most entries of most runs are unchanged and only compared
 * with what is stored, so that metadata is put together when it is asked for. So are paths, from the
 * names on the way: a deep tree costs memory by its depth and not by its depth squared.
 */
import { constants } from 'node:os';
import { childPath, type DirectoryHandle, joinPath } from '../platform/directory-handle.ts';
import type { FileStat, FileType } from '../platform/file-stat.ts';
import { systemError } from '../platform/libc.ts';
import type { Timestamp } from '../platform/times.ts';
import type { Node } from '../tree/node.ts';
import { assert } from '../util/assert.ts';
import { bufferOf, equalBytes } from '../util/bytes.ts';
import type { AccountNames } from './account-names.ts';
import { readExtras, type SourceExtras, unreadExtras } from './source-extras.ts';
import type { SourceFs } from './source-fs.ts';
import { inodeMetadata, type SourceMetadata } from './source-metadata.ts';

/** Which file it is; to be compared within one run only. */
export interface SourceIdentity {
  readonly device: number;
  readonly inode: bigint;
}

/** A path that can be opened until `release` is called. */
export interface HeldPath {
  readonly path: Uint8Array;
  release(): void;
}

/** What the file system says of an entry whose kind is known. */
export type KnownStat = FileStat & { readonly type: FileType };

/** What metadata takes that the file system does not say; the same for all entries of a walk. */
export interface EntryNaming {
  readonly accounts: AccountNames;
  /** Eight bytes that tell hard links apart; file systems are numbered as the walk meets them. */
  readonly linkGroup: (mountOrdinal: number, inode: bigint) => Uint8Array;
}

/** Longest path a system call takes (PATH_MAX with its zero is 4,096 on Linux). */
const pathSizeMax = 4095;

export class SourceEntry {
  /** As latin1 text, one character per byte. */
  readonly #name: string;
  readonly #stat: KnownStat;
  readonly #target: Uint8Array | undefined;
  readonly #place: SourceDirectory | Uint8Array;
  readonly #mountOrdinal: number;
  readonly #naming: EntryNaming;
  #metadata: SourceMetadata | undefined;

  /** `place` is the directory it is in, or its own absolute path where it has none. */
  constructor(
    name: string,
    stat: KnownStat,
    target: Uint8Array | undefined,
    place: SourceDirectory | Uint8Array,
    mountOrdinal: number,
    naming: EntryNaming,
  ) {
    this.#name = name;
    this.#stat = stat;
    this.#target = target;
    this.#place = place;
    this.#mountOrdinal = mountOrdinal;
    this.#naming = naming;
  }

  /** As text with one character per byte (latin1), which sorts by bytes. */
  get name(): string {
    return this.#name;
  }

  get type(): FileType {
    return this.#stat.type;
  }

  /** Bytes; exact to 2^53. Only a file's says what would be read. */
  get size(): number {
    return Number(this.#stat.size);
  }

  /** Whether it is a file that takes so many bytes less than it has, by holes or by compression. */
  mayHaveHoles(holeSizeMin: number): boolean {
    const { type, size, allocatedSize } = this.#stat;
    return (
      type === 'f' && allocatedSize !== undefined && Number(size) - allocatedSize >= holeSizeMin
    );
  }

  get mtime(): Timestamp {
    return this.#stat.mtime;
  }

  get ctime(): Timestamp {
    return this.#stat.ctime;
  }

  get inode(): bigint {
    return this.#stat.inode;
  }

  /** Made at the first call and kept; what only compares entries need not ask. */
  get metadata(): SourceMetadata {
    this.#metadata ??= this.#makeMetadata();
    return this.#metadata;
  }

  get identity(): SourceIdentity {
    return this.#stat;
  }

  /** Absolute; too long to be opened where the tree is deep. */
  get path(): Uint8Array {
    const names: string[] = [];
    let entry: SourceEntry = this;
    while (entry.#place instanceof SourceDirectory) {
      names.push(entry.#name);
      entry = entry.#place.entry;
    }
    return joinNames(entry.#place, names.reverse());
  }

  /**
   * Whether the entry is as it was when `node` was made of it: type, size, both times and inode are
   * the same. No program can write to a file, or change anything of it, and keep its ctime. The link
   * group is compared because it holds the number that the file system had in that walk.
   */
  isUnchangedFrom(node: Node): boolean {
    const stat = this.#stat;
    return (
      stat.type === node.type &&
      stat.inode === node.inode &&
      isSameTime(stat.ctime, node.ctime) &&
      isSameTime(stat.mtime, node.mtime) &&
      (stat.type !== 'f' || stat.size === node.size) &&
      isSameGroup(this.#linkGroup, node.linkGroup)
    );
  }

  /**
   * For whoever opens the entry later, perhaps in another thread: its absolute path, or one through
   * its directory, which then stays open. `openSourceFile` checks that it still leads here.
   */
  hold(): HeldPath {
    const path = this.path;
    const place = this.#place;
    if (place instanceof Uint8Array || path.length <= pathSizeMax) return { path, release };
    place.hold();
    return { path: childPath(place, this.metadata.name), release: () => place.release() };
  }

  /**
   * Opens the directory that this entry is. It must be the one that was listed, whatever is under the
   * name by now.
   */
  openDirectory(fs: SourceFs): number {
    const place = this.#place;
    const fd =
      place instanceof SourceDirectory
        ? fs.openDirectoryIn(place, this.#name)
        : fs.openDirectory(place);
    try {
      const { device, inode } = fs.fstat(fd);
      if (device === this.#stat.device && inode === this.#stat.inode) return fd;
    } catch (error) {
      fs.close(fd);
      throw error;
    }
    fs.close(fd);
    throw systemError('openat', constants.errno.ENOENT);
  }

  /**
   * Attributes of an entry that is not opened: a symlink, a special file, the place of another file
   * system, or a directory that only leads to sources and may be reached through a symlink.
   */
  readExtras(fs: SourceFs): SourceExtras | undefined {
    const place = this.#place;
    if (place instanceof Uint8Array) {
      return readExtras(fs, this.type === 'd' ? joinPath(place, ownName) : place);
    }
    try {
      return readExtras(fs, childPath(place, this.metadata.name));
    } catch (cause) {
      // The directory it is in cannot be opened any more.
      return unreadExtras(cause);
    }
  }

  get #linkGroup(): Uint8Array | undefined {
    const { type, linkCount, inode } = this.#stat;
    if (type === 'd' || linkCount === 1) return undefined;
    return this.#naming.linkGroup(this.#mountOrdinal, inode);
  }

  #makeMetadata(): SourceMetadata {
    const stat = this.#stat;
    const { type } = stat;
    const { accounts } = this.#naming;
    const inode = inodeMetadata(stat, accounts);
    // Written out: what is made by a spread gets a hidden class of its own each time.
    return {
      name: Buffer.from(this.#name, 'latin1'),
      type,
      mode: inode.mode,
      owner: inode.owner,
      ownerNames: inode.ownerNames,
      mtime: inode.mtime,
      ctime: inode.ctime,
      birthTime: inode.birthTime,
      inode: inode.inode,
      size: type === 'f' ? stat.size : undefined,
      linkGroup: this.#linkGroup,
      target: this.#target,
      device: type === 'b' || type === 'c' ? stat.special : undefined,
    };
  }
}

const ownName = Uint8Array.of(0x2e);

function isSameTime(time: Timestamp, other: Timestamp | undefined): boolean {
  return (
    other !== undefined && time.seconds === other.seconds && time.nanoseconds === other.nanoseconds
  );
}

function isSameGroup(group: Uint8Array | undefined, other: Uint8Array | undefined): boolean {
  if (group === undefined || other === undefined) return group === other;
  return equalBytes(group, other);
}

/** The path `top` and, below it, the names (latin1 text) one in the other. */
export function joinNames(top: Uint8Array, names: readonly string[]): Uint8Array {
  if (names.length === 0) return top;
  const start = bufferOf(top).toString('latin1');
  const text = [start === '/' ? '' : start, ...names].join('/');
  return new Uint8Array(Buffer.from(text, 'latin1'));
}

/** Nothing is held: a path as text needs no handle. */
function release(): void {}

/** The path of a name in a directory. */
export function childOf(directory: SourceEntry, name: Uint8Array): Uint8Array {
  return joinNames(directory.path, [bufferOf(name).toString('latin1')]);
}

/**
 * A directory being walked. Where it was listed by another thread it is opened only when something in
 * it is looked up here. It is closed when the walk has left it and nobody holds it.
 */
export class SourceDirectory implements DirectoryHandle {
  readonly entry: SourceEntry;
  readonly #fs: SourceFs;
  #fd: number | undefined;
  #holderCount = 1;

  /** @param fd undefined: to be opened when it is asked for */
  constructor(fs: SourceFs, fd: number | undefined, entry: SourceEntry) {
    this.#fs = fs;
    this.#fd = fd;
    this.entry = entry;
  }

  /** @throws a system error where the directory cannot be opened, or is another by now */
  get fd(): number {
    assert(this.#holderCount > 0, 'a directory that is held');
    this.#fd ??= this.entry.openDirectory(this.#fs);
    return this.#fd;
  }

  get path(): Uint8Array {
    return this.entry.path;
  }

  /** Attributes and flags of the directory. */
  readExtras(): SourceExtras | undefined {
    let fd: number;
    try {
      fd = this.fd;
    } catch (cause) {
      return unreadExtras(cause);
    }
    return readExtras(this.#fs, fd);
  }

  hold(): void {
    this.#holderCount++;
  }

  release(): void {
    this.#holderCount--;
    if (this.#holderCount === 0 && this.#fd !== undefined) this.#fs.close(this.#fd);
  }
}
