/**
 * The directory a restore writes to. Every node is taken for hostile, even an authentic one: the
 * machine that was saved may have been.
 *
 * Invariants:
 * - Every entry is made relative to the handle of its directory; no path below the target is joined
 *   as text, and no symlink below it is followed. Without handles root is refused.
 * - Nothing that is there is written through, and nothing is replaced unless the caller says so of that
 *   entry; then the new one is made under a name of its own and renamed.
 * - A directory is private (0700) until it is left; then it gets its metadata (`target-metadata.ts`).
 * - A device or FIFO is never opened.
 * - One that is only passed through is made when something is to be made in it, or never, and is
 *   removed when nothing could be made in it after all.
 * - Open handles: one per level, and one per file being written.
 *
 * A failing entry throws `TargetError` and leaves nothing behind; the caller collects it and goes
 * on. The caller also sees to the order: the symlinks of a directory after its files, `leave` last.
 */
import { errnoCode, type TargetError } from '../errors.ts';
import { childPath, type DirectoryHandle, joinPath } from '../platform/directory-handle.ts';
import { lockingFlags } from '../platform/file-flags.ts';
import type { FileStat, FileType } from '../platform/file-stat.ts';
import type { SpecialFile } from '../platform/special-file.ts';
import { assert } from '../util/assert.ts';
import type { Random } from '../util/random.ts';
import { defaultAcl } from './target-attributes.ts';
import { attempt, type TargetFailure, targetError } from './target-error.ts';
import { type FilePlace, TargetFile } from './target-file.ts';
import { applyLateFlags, recordLateFlags } from './target-flags.ts';
import type { TargetFs } from './target-fs.ts';
import {
  type LinkOutcome,
  linkToCreated,
  recordCreated,
  recordUnreachable,
} from './target-links.ts';
import { applyFlags, applyMetadata, reporting, type TargetMetadata } from './target-metadata.ts';
import { nameFault } from './target-name.ts';
import {
  type Inode,
  type PlacedDirectory,
  type TargetNotes,
  type TargetRules,
  type TargetRun,
  temporaryNames,
} from './target-run.ts';

export interface TargetOptions {
  readonly fs: TargetFs;
  readonly random: Random;
  /** Told of what could not be set on an entry that is otherwise there. */
  readonly onProblem: (problem: TargetError) => void;
  /** Restore all extended attributes that can be restored; default: only harmless ones. */
  readonly hasAllAttributes?: boolean | undefined;
  /** Restore into a directory that holds something; what is there is kept. */
  readonly mayHoldEntries?: boolean | undefined;
  /** Directories that are there keep their metadata. */
  readonly keepsDirectories?: boolean | undefined;
}

export interface Target {
  readonly root: TargetDirectory;
  readonly notes: TargetNotes;
  readonly rules: TargetRules;
}

/** Deepest directory that is restored. */
const depthMax = 4096;
const privateMode = 0o700;

/**
 * Opens the target, making it where it is missing. Its path may lead through symlinks: the user
 * typed it.
 *
 * @throws TargetError
 */
export function openTarget(path: Uint8Array, options: TargetOptions): Target {
  const { fs, mayHoldEntries = false, keepsDirectories = false } = options;
  const isRoot = fs.effectiveUid() === 0;
  if (isRoot && !fs.hasDirectoryHandles()) {
    const found = 'this system has no safe way to create entries as root';
    throw targetError({ path, operation: 'open', reason: 'unsafe', found });
  }
  const fd = attempt({ operation: 'open', path: () => path }, () => {
    fs.makeTarget(path);
    return fs.openTarget(path);
  });
  const inheritsAcl = hasDefaultAcl(fs, { fd, path });
  const run: TargetRun = {
    fs,
    temporaryName: temporaryNames(options.random),
    isRoot,
    mayHoldEntries,
    keepsDirectories,
    target: { fd, path },
    createdByGroup: new Map(),
    lateFlags: [],
    onProblem: options.onProblem,
    notes: { ownerNotSetCount: 0, attributesLeftOutCount: 0 },
    rules: { hasAllAttributes: options.hasAllAttributes === true, inheritsAcl },
  };
  const isEmpty = isEmptyTarget(run);
  const modeBefore = isEmpty ? undefined : fs.fstat(fd).mode;
  const root = new TargetDirectory(run, { fd, modeBefore });
  return { root, notes: run.notes, rules: run.rules };
}

function hasDefaultAcl(fs: TargetFs, { fd, path }: DirectoryHandle): boolean {
  try {
    return attempt({ operation: 'read attributes of', path: () => path }, () =>
      fs.hasAttribute(fd, defaultAcl),
    );
  } catch (error) {
    fs.close(fd);
    throw error;
  }
}

/** @throws TargetError where it must be empty and is not */
function isEmptyTarget({ fs, target, mayHoldEntries }: TargetRun): boolean {
  const { path, fd } = target;
  try {
    if (attempt({ operation: 'list', path: () => path }, () => fs.isEmpty(target))) return true;
    if (mayHoldEntries) return false;
    throw targetError({ path, operation: 'open', reason: 'not_empty' });
  } catch (error) {
    fs.close(fd);
    throw error;
  }
}

/** A directory below the target. */
interface Place {
  readonly parent: TargetDirectory;
  readonly name: Uint8Array;
  readonly depth: number;
}

/** A symlink or special file. */
interface NamedEntry {
  readonly name: Uint8Array;
  readonly type: FileType;
  readonly metadata: TargetMetadata;
}

/** A directory that is there, and open. */
interface Opened {
  readonly fd: number;
  /** To be given back unless the directory gets another. */
  readonly modeBefore?: number | undefined;
}

export class TargetDirectory implements PlacedDirectory {
  readonly #run: TargetRun;
  /** Undefined for the target itself. */
  readonly #place: Place | undefined;
  /** Undefined until it is made. */
  #opened: Opened | undefined;
  #isLost = false;

  constructor(run: TargetRun, opened: Opened | undefined, place?: Place) {
    this.#run = run;
    this.#opened = opened;
    this.#place = place;
  }

  get fd(): number {
    assert(this.#opened !== undefined, 'a directory is made before it is used');
    return this.#opened.fd;
  }

  get isMade(): boolean {
    return this.#opened !== undefined;
  }

  /** Whether making it has failed, so that nothing in it can be restored. */
  get isLost(): boolean {
    return this.#isLost;
  }

  /** For messages; put together when asked for, so that depth costs no memory. */
  get path(): Uint8Array {
    return joinPath(this.#run.target.path, ...this.names);
  }

  get names(): Uint8Array[] {
    const names: Uint8Array[] = [];
    for (let place = this.#place; place !== undefined; place = place.parent.#place) {
      names.push(place.name);
    }
    return names.reverse();
  }

  /**
   * Makes a directory and opens it, private until it is left.
   *
   * @throws TargetError
   */
  enter(name: Uint8Array): TargetDirectory {
    const directory = this.pass(name);
    directory.make();
    return directory;
  }

  /**
   * Passes through a directory, which is not there unless `make` is called.
   *
   * @throws TargetError
   */
  pass(name: Uint8Array): TargetDirectory {
    this.#demandUsable(name);
    const depth = (this.#place?.depth ?? 0) + 1;
    if (depth > depthMax) throw this.#error(name, { operation: 'create', reason: 'too_deep' });
    return new TargetDirectory(this.#run, undefined, { parent: this, name, depth });
  }

  /**
   * Makes and opens this directory, and first those that lead to it, where that is still to be done.
   *
   * @throws TargetError with the path of the directory that cannot be made; it is lost then, and so
   * are those on the way from there to this one.
   */
  make(): void {
    if (this.#place === undefined || this.#opened !== undefined) return;
    const { parent, name } = this.#place;
    try {
      parent.make();
      this.#opened = parent.#attempt('create', name, () => parent.#makeAndOpen(name));
    } catch (error) {
      this.#isLost = true;
      throw error;
    }
  }

  /**
   * Starts a file; it appears under its name when it is finished.
   *
   * @throws TargetError
   */
  createFile(name: Uint8Array, known: Pick<FilePlace, 'flags' | 'isReplacing'> = {}): TargetFile {
    const { flags, isReplacing } = known;
    return new TargetFile(
      this.#run,
      { directory: this, name, flags, isReplacing },
      (metadata, stat) => this.recordCreated(name, metadata, stat),
    );
  }

  /**
   * What has the name already, where there may be something; undefined for nothing.
   *
   * @throws TargetError
   */
  look(name: Uint8Array): FileStat | undefined {
    const { fs, mayHoldEntries } = this.#run;
    // Of a directory just made it is known; a name that cannot be used is refused when it is made.
    const isOld = this.#place === undefined || this.#opened?.modeBefore !== undefined;
    if (!mayHoldEntries || !isOld || nameFault(name) !== undefined) return undefined;
    return this.#attempt('stat', name, () => {
      let fd: number;
      try {
        fd = fs.openEntry(childPath(this, name));
      } catch (error) {
        if (errnoCode(error) === 'ENOENT') return undefined;
        throw error;
      }
      try {
        return fs.fstat(fd);
      } finally {
        fs.close(fd);
      }
    });
  }

  /** To be reported: only what is of the same kind is replaced. */
  refuseOther(name: Uint8Array): TargetError {
    const found = 'there is an entry of another kind';
    return this.#error(name, { operation: 'create', reason: 'exists', found });
  }

  /** Takes note of what was made here, perhaps by a worker: others may be linked to it, or it is locked. */
  recordCreated(name: Uint8Array, metadata: TargetMetadata, stat: Inode): void {
    recordCreated(this.#run, metadata.linkGroup, { directory: this, name, stat });
    recordLateFlags(this.#run, metadata, { names: () => [...this.names, name], stat });
  }

  /**
   * Makes a symlink, verbatim; the caller first makes all files of the directory.
   *
   * @throws TargetError
   */
  symlink(
    name: Uint8Array,
    target: Uint8Array,
    metadata: TargetMetadata,
    isReplacing = false,
  ): void {
    this.#demandUsable(name);
    if (target.length === 0 || target.includes(0)) {
      const found = 'symlink target is empty or holds a zero byte';
      throw this.#error(name, { operation: 'create', reason: 'name', found });
    }
    const entry = { name, type: 'l', metadata } as const;
    this.#makeNamed(entry, isReplacing, (madeAs) =>
      this.#run.fs.makeSymlink(childPath(this, madeAs), target),
    );
  }

  /**
   * Makes another name for a file of this run. Where there is none yet, or where it cannot have another
   * name, the caller restores the file once more, and reports the latter when it is there.
   *
   * @throws TargetError where the name cannot be used or is taken
   */
  hardLink(name: Uint8Array, linkGroup: Uint8Array, isReplacing = false): LinkOutcome {
    this.#demandUsable(name);
    const madeAs = isReplacing ? this.#run.temporaryName() : name;
    const outcome = linkToCreated(this.#run, linkGroup, { directory: this, name, madeAs });
    if (outcome === 'linked' && isReplacing) this.#putInPlace(madeAs, name);
    return outcome;
  }

  /**
   * Makes a FIFO or, as root, a device.
   *
   * @throws TargetError
   */
  special(
    name: Uint8Array,
    special: SpecialFile,
    metadata: TargetMetadata,
    isReplacing = false,
  ): void {
    this.#demandUsable(name);
    if (special.type !== 'p' && !this.#run.isRoot) {
      throw this.refuseSpecial(name, 'devices are made as root only');
    }
    this.#makeNamed({ name, type: special.type, metadata }, isReplacing, (madeAs) =>
      this.#run.fs.makeSpecial(this, madeAs, special),
    );
  }

  /** To be reported like any failing entry. */
  refuseSpecial(name: Uint8Array, found: string): TargetError {
    return this.#error(name, { operation: 'create', reason: 'special_file', found });
  }

  /**
   * Removes the directory if it was made by this run and holds nothing. False where it stays; then
   * it is to be left. To be called after all that belongs into it, and before what is above is left.
   */
  removeIfEmpty(): boolean {
    if (this.#place === undefined || this.#opened === undefined) return false;
    // It was there before.
    if (this.#opened.modeBefore !== undefined) return false;
    const { fs } = this.#run;
    try {
      fs.removeDirectory(childPath(this.#place.parent, this.#place.name));
    } catch {
      // Most hold something. Whatever else it is costs no more than an empty directory.
      return false;
    }
    fs.close(this.fd);
    return true;
  }

  /**
   * Gives the directory its metadata and closes it. Without any it keeps what it has, and a mode it
   * had before. One that was never made stays away.
   *
   * @throws TargetError
   */
  leave(wanted: TargetMetadata = {}): void {
    if (this.#opened === undefined) return;
    const { fs, keepsDirectories } = this.#run;
    const path = (): Uint8Array => this.path;
    const { modeBefore } = this.#opened;
    const metadata = keepsDirectories && modeBefore !== undefined ? {} : wanted;
    try {
      if (modeBefore !== undefined && metadata.mode === undefined) {
        attempt({ operation: 'set mode of', path }, () => fs.chmod(this.fd, modeBefore));
      }
      // Nothing else is open below the target any more.
      if (this.#place === undefined) applyLateFlags(this.#run);
      applyMetadata(this.#run, { fd: this.fd, path, kind: 'directory' }, metadata);
      this.#lockOrRemember(metadata);
    } finally {
      fs.close(this.fd);
    }
  }

  /** The target itself is locked at once: nothing more is made. */
  #lockOrRemember(metadata: TargetMetadata): void {
    const late = (metadata.flags ?? 0) & lockingFlags;
    if (late === 0) return;
    const path = (): Uint8Array => this.path;
    if (this.#place === undefined) {
      reporting(this.#run, () => applyFlags(this.#run, { fd: this.fd, path }, late));
      return;
    }
    const stat = attempt({ operation: 'stat', path }, () => this.#run.fs.fstat(this.fd));
    recordLateFlags(this.#run, metadata, { names: () => this.names, stat });
  }

  #makeAndOpen(name: Uint8Array): Opened {
    const { fs } = this.#run;
    const path = childPath(this, name);
    const isNew = this.#makeDirectory(path);
    const fd = fs.openDirectory(path);
    if (isNew) return { fd };
    try {
      const { mode } = fs.fstat(fd);
      fs.chmod(fd, privateMode);
      return { fd, modeBefore: mode };
    } catch (error) {
      fs.close(fd);
      throw error;
    }
  }

  /** False where it was there already, and may have been. */
  #makeDirectory(path: Uint8Array): boolean {
    try {
      this.#run.fs.makeDirectory(path);
      return true;
    } catch (error) {
      if (this.#run.mayHoldEntries && errnoCode(error) === 'EEXIST') return false;
      throw error;
    }
  }

  /** Makes what is not opened, a symlink or special file, and gives it its metadata. */
  #makeNamed(entry: NamedEntry, isReplacing: boolean, make: (madeAs: Uint8Array) => void): void {
    const { name, metadata } = entry;
    const madeAs = isReplacing ? this.#run.temporaryName() : name;
    this.#attempt('create', name, () => make(madeAs));
    // Without handles nothing tells that it still is what was just made.
    if (this.#run.fs.hasDirectoryHandles()) this.#finishNamed(entry, madeAs);
    else recordUnreachable(this.#run, metadata.linkGroup);
    if (isReplacing) this.#putInPlace(madeAs, name);
  }

  /** Gives what was just made the name of what is there. */
  #putInPlace(madeAs: Uint8Array, name: Uint8Array): void {
    const { fs } = this.#run;
    try {
      this.#attempt('create', name, () => fs.renameReplacing(this, { from: madeAs, to: name }));
    } catch (error) {
      try {
        fs.unlink(childPath(this, madeAs));
      } catch {
        // The failure that brought us here is the one to report.
      }
      throw error;
    }
  }

  #finishNamed({ name, type, metadata }: NamedEntry, madeAs: Uint8Array): void {
    const { fs } = this.#run;
    const path = childPath(this, madeAs);
    const fd = this.#attempt('open', name, () => fs.openEntry(path));
    try {
      const stat = this.#attempt('stat', name, () => fs.fstat(fd));
      if (stat.type !== type || stat.linkCount !== 1) {
        const found = 'it is no longer what was just made';
        throw this.#error(name, { operation: 'create', reason: 'unsafe', found });
      }
      const kind = type === 'l' ? ('symlink' as const) : ('special' as const);
      applyMetadata(this.#run, { fd, path: () => this.#pathOf(name), kind, stat }, metadata);
      recordCreated(this.#run, metadata.linkGroup, { directory: this, name, stat });
    } finally {
      fs.close(fd);
    }
  }

  #pathOf(name: Uint8Array): Uint8Array {
    return joinPath(this.path, name);
  }

  #demandUsable(name: Uint8Array): void {
    const found = nameFault(name);
    if (found !== undefined)
      throw this.#error(name, { operation: 'create', reason: 'name', found });
  }

  #error(name: Uint8Array, failure: Omit<TargetFailure, 'path'>): TargetError {
    return targetError({ path: this.#pathOf(name), ...failure });
  }

  #attempt<T>(operation: string, name: Uint8Array, action: () => T): T {
    return attempt({ operation, path: () => this.#pathOf(name) }, action);
  }
}
