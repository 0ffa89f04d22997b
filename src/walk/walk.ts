/**
 * The ordered walk over the sources: depth first, names by bytes, every directory entered and left,
 * so that the consumer builds directories from the leaves up with one open builder per level. The
 * first directory entered and the last one left is `/`, with an empty name: it has no node.
 *
 * Invariants:
 * - At most one handle per level is open; a name is looked up in the directory that listed it, whatever
 *   has become of its path since. Symlinks below a source are never followed.
 * - What was found out ahead of the walk is as good as what it would ask itself, a moment older; what is
 *   missing there is asked here. The events are the same with it and without.
 * - What cannot be read is an `error` event and costs that entry alone. A directory that cannot be
 *   read is still entered and left, and empty; one that is gone is left out.
 * - The same tree gives the same events in any order of `list`.
 * - What the excludes leave out is not looked at further: no directory among it is opened. A source
 *   is never left out, even inside a directory that is.
 * - A source inside another is saved with it; if the walk does not come upon it, that is an error.
 * - Everything is synchronous; the consumer decides when others get a turn.
 */
import type { SourceError } from '../errors.ts';
import type { FileStat } from '../platform/file-stat.ts';
import { assert } from '../util/assert.ts';
import { type ExcludeOptions, Excludes } from './excludes.ts';
import type { Listing } from './listing.ts';
import type { NameTest, Verdict } from './pattern-list.ts';
import { type PlannedEntry, plannedSources, type SourcePlan } from './plan-sources.ts';
import {
  type EntryNaming,
  joinNames,
  type KnownStat,
  SourceDirectory,
  SourceEntry,
} from './source-entry.ts';
import { type SourceReason, sourceError, sourceReason } from './source-error.ts';
import type { SourceFs } from './source-fs.ts';

export type WalkEvent =
  | {
      readonly kind: 'enter';
      readonly entry: SourceEntry;
      /** Open until it is left; undefined where nothing in it is listed, or nothing can be. */
      readonly directory: SourceDirectory | undefined;
      /** It could not be opened, which is an event of its own. */
      readonly isUnreadable: boolean;
    }
  | { readonly kind: 'leave' | 'entry'; readonly entry: SourceEntry }
  | { readonly kind: 'error'; readonly error: SourceError };

export interface WalkOptions extends EntryNaming {
  readonly fs: SourceFs;
  readonly excludes?: ExcludeOptions | undefined;
  /** What another thread has found out already; what it has not is asked of `fs`. */
  readonly ahead?: Ahead | undefined;
  /** Told of every entry left out; of a directory once, since it is not entered. */
  readonly onExcluded?: (() => void) | undefined;
}

/** Directories that were listed before the walk comes to them (`walk-ahead.ts`). */
export interface Ahead {
  /**
   * The directory with these names on the way from `/` (latin1 text); undefined where it is not
   * there, or not yet. To be asked in the order of the walk.
   */
  take(names: readonly string[]): Listing | undefined;
}

/** @throws RangeError on excludes that make no sense, at the first event */
export function* walk(plan: SourcePlan, options: WalkOptions): Generator<WalkEvent, void, void> {
  const walker = new Walker(plan, options);
  try {
    for (let event = walker.next(); event !== undefined; event = walker.next()) yield event;
  } finally {
    walker.close();
  }
}

/** One directory on the way down. */
interface Level {
  readonly entry: SourceEntry;
  /** Undefined above the sources, where nothing is listed, and where opening failed. */
  readonly directory: SourceDirectory | undefined;
  /** As latin1 text, sorted. */
  readonly names: readonly string[];
  /** What is known of these names already. */
  readonly listing: Listing | undefined;
  /** Sources that were named at or below this directory. */
  readonly planned: PlannedEntry | undefined;
  /** Undefined where nothing is left out. */
  readonly test: NameTest | undefined;
  /** The file system that the walk must not leave here, if that matters. */
  readonly device: number | undefined;
  readonly isUnreadable: boolean;
  position: number;
}

/** A name about to be looked at. */
interface Candidate {
  readonly name: string;
  /** The directory that listed it; a source, or what leads to one, is planned instead. */
  readonly directory: SourceDirectory | undefined;
  readonly planned: PlannedEntry | undefined;
  readonly verdict: Verdict;
  /** What is known of the names of that directory, and the place of this one among them. */
  readonly listing: Listing | undefined;
  readonly position: number;
}

class Walker {
  readonly #options: WalkOptions;
  readonly #fs: SourceFs;
  readonly #excludes: Excludes;
  readonly #levels: Level[] = [];
  readonly #pending: WalkEvent[] = [];
  readonly #mountOrdinals = new Map<number, number>();

  constructor(plan: SourcePlan, options: WalkOptions) {
    this.#options = options;
    this.#fs = options.fs;
    this.#excludes = new Excludes(options.excludes);
    this.#visit({
      name: '',
      directory: undefined,
      planned: plan.root,
      verdict: 'none',
      listing: undefined,
      position: 0,
    });
  }

  next(): WalkEvent | undefined {
    while (this.#pending.length === 0) {
      const level = this.#levels.at(-1);
      if (level === undefined) return undefined;
      if (level.position === level.names.length) this.#leave(level);
      else this.#visitNext(level);
    }
    return this.#pending.shift();
  }

  close(): void {
    for (const level of this.#levels) level.directory?.release();
    this.#levels.length = 0;
  }

  #leave(level: Level): void {
    this.#levels.pop();
    level.directory?.release();
    this.#pending.push({ kind: 'leave', entry: level.entry });
  }

  #visitNext(level: Level): void {
    const { names, directory, planned, test, listing, position } = level;
    level.position++;
    const name = names[position] as string;
    const child = planned?.children.get(name);
    const verdict = test === undefined || child?.isSource === true ? 'none' : test(name);
    const candidate = { name, directory, planned: child, verdict, listing, position };
    if (verdict === 'all') this.#leaveOut(candidate);
    else if (position > 0 && names[position - 1] === name) {
      this.#fail(candidate, 'list', 'duplicate_name');
    } else this.#visit(candidate);
  }

  /** Sources inside are saved all the same; the entry is then only what leads to them. */
  #leaveOut(candidate: Candidate): void {
    if (candidate.planned === undefined) this.#options.onExcluded?.();
    else this.#visit({ ...candidate, directory: undefined, verdict: 'none' });
  }

  #visit(candidate: Candidate): void {
    let stat: FileStat;
    let target: Uint8Array | undefined;
    try {
      stat = this.#stat(candidate);
      if (stat.type === 'l') target = this.#readLink(candidate);
    } catch (cause) {
      this.#fail(candidate, 'stat', sourceReason(cause), cause);
      return;
    }
    if (isOfKind(candidate.verdict, stat)) this.#leaveOut(candidate);
    else if (!isKnown(stat)) this.#fail(candidate, 'save', 'unsupported');
    else if (this.#isElsewhere(candidate, stat)) this.#stayOut(candidate, stat);
    else if (stat.type !== 'd') this.#emitLeaf(candidate, stat, target);
    else if (isParentOnly(candidate)) this.#enterParent(candidate, stat);
    else this.#enterSource(candidate, stat);
  }

  /** Whether the entry is in another file system than the source, and that matters. */
  #isElsewhere({ directory, planned }: Candidate, stat: FileStat): boolean {
    if (directory === undefined || planned?.isSource === true) return false;
    const device = this.#levels.at(-1)?.device;
    return device !== undefined && device !== stat.device;
  }

  /** Of a mount point the directory is kept. */
  #stayOut(candidate: Candidate, stat: KnownStat): void {
    if (stat.type === 'd') this.#enterParent(candidate, stat);
    else this.#leaveOut(candidate);
  }

  #stat(candidate: Candidate): FileStat {
    const { name, directory, planned, listing, position } = candidate;
    if (directory !== undefined) {
      return listing?.statOf(position) ?? this.#fs.lstatIn(directory, name);
    }
    const { path } = planned as PlannedEntry;
    return isParentOnly(candidate) ? this.#fs.stat(path) : this.#fs.lstat(path);
  }

  #readLink({ name, directory, planned, listing, position }: Candidate): Uint8Array {
    if (directory !== undefined) {
      return listing?.targetOf(position) ?? this.#fs.readLinkIn(directory, name);
    }
    return this.#fs.readLink((planned as PlannedEntry).path);
  }

  /** Anything but a directory. */
  #emitLeaf(candidate: Candidate, stat: KnownStat, target: Uint8Array | undefined): void {
    if (!isParentOnly(candidate)) {
      this.#pending.push({ kind: 'entry', entry: this.#entry(candidate, stat, target) });
    }
    // Only a symlink to a directory could hold the sources that were named inside this entry.
    for (const { path } of nestedSources(candidate.planned)) {
      this.#failAt(path, 'enter', 'not_a_directory');
    }
  }

  /** A directory that only leads to sources: nothing is listed, so permission to pass is enough. */
  #enterParent(candidate: Candidate, stat: KnownStat): void {
    const entry = this.#entry(candidate, stat);
    const { planned } = candidate;
    const names = [...(planned?.children.keys() ?? [])].sort();
    this.#pushLevel({ ...unlisted, entry, names, planned });
  }

  #enterSource(candidate: Candidate, listed: KnownStat): void {
    const { planned } = candidate;
    const listing = this.#options.ahead?.take(this.#namesTo(candidate));
    if (listing !== undefined) {
      const entry = this.#entry(candidate, listing.stat);
      const directory = new SourceDirectory(this.#fs, undefined, entry);
      this.#reportMissing(planned, listing.names);
      this.#enterDirectory(candidate, { entry, directory, names: listing.names, listing });
      return;
    }
    let opened: { fd: number; stat: KnownStat };
    try {
      opened = this.#openDirectory(candidate);
    } catch (cause) {
      const reason = sourceReason(cause);
      if (reason !== 'vanished' && reason !== 'file_changed') {
        const entry = this.#entry(candidate, listed);
        this.#pushLevel({ ...unlisted, entry, names: [], planned, isUnreadable: true });
      }
      this.#fail(candidate, 'open', reason, cause);
      return;
    }
    const entry = this.#entry(candidate, opened.stat);
    const directory = new SourceDirectory(this.#fs, opened.fd, entry);
    const names = this.#list(candidate, directory);
    this.#enterDirectory(candidate, { entry, directory, names, listing: undefined });
  }

  #enterDirectory(
    { planned }: Candidate,
    listed: {
      readonly entry: SourceEntry;
      readonly directory: SourceDirectory;
      readonly names: readonly string[];
      readonly listing: Listing | undefined;
    },
  ): void {
    const { entry, directory, names, listing } = listed;
    const test = this.#excludes.testIn(this.#fs, directory, names);
    const device = this.#deviceBelow(planned, entry.identity.device);
    const isUnreadable = false;
    this.#pushLevel({ entry, directory, names, listing, planned, test, device, isUnreadable });
  }

  #deviceBelow(planned: PlannedEntry | undefined, device: number): number | undefined {
    if (!this.#excludes.isOneFileSystem) return undefined;
    return planned?.isSource === true ? device : this.#levels.at(-1)?.device;
  }

  /** From `/`, which has no name. */
  #namesTo({ name }: Candidate): string[] {
    if (this.#levels.length === 0) return [];
    const names: string[] = [];
    for (let i = 1; i < this.#levels.length; i++) names.push((this.#levels[i] as Level).entry.name);
    names.push(name);
    return names;
  }

  #openDirectory({ name, directory, planned }: Candidate): { fd: number; stat: KnownStat } {
    const fd =
      directory === undefined
        ? this.#fs.openDirectory((planned as PlannedEntry).path)
        : this.#fs.openDirectoryIn(directory, name);
    try {
      const stat = this.#fs.fstat(fd);
      assert(isKnown(stat), 'what opens as a directory is one');
      return { fd, stat };
    } catch (error) {
      this.#fs.close(fd);
      throw error;
    }
  }

  #pushLevel(level: Omit<Level, 'position'>): void {
    this.#levels.push({ ...level, position: 0 });
    const { entry, directory, isUnreadable } = level;
    this.#pending.push({ kind: 'enter', entry, directory, isUnreadable });
  }

  #list(candidate: Candidate, directory: SourceDirectory): string[] {
    let names: string[];
    try {
      names = this.#fs.list(directory).sort();
    } catch (cause) {
      this.#fail(candidate, 'list', sourceReason(cause), cause);
      return [];
    }
    this.#reportMissing(candidate.planned, names);
    return names;
  }

  #reportMissing(planned: PlannedEntry | undefined, names: readonly string[]): void {
    for (const [name, child] of planned?.children ?? []) {
      if (names.includes(name)) continue;
      for (const { path } of plannedSources(child)) this.#failAt(path, 'stat', 'missing');
    }
  }

  #entry(candidate: Candidate, stat: KnownStat, target?: Uint8Array): SourceEntry {
    const { name, directory, planned } = candidate;
    const place = directory ?? (planned as PlannedEntry).path;
    const mountOrdinal = this.#mountOrdinal(stat.device);
    return new SourceEntry(name, stat, target, place, mountOrdinal, this.#options);
  }

  #mountOrdinal(device: number): number {
    let ordinal = this.#mountOrdinals.get(device);
    if (ordinal === undefined) {
      ordinal = this.#mountOrdinals.size;
      this.#mountOrdinals.set(device, ordinal);
    }
    return ordinal;
  }

  /** Reports a candidate and the sources named inside it; a mere parent is nobody's loss. */
  #fail(candidate: Candidate, operation: string, reason: SourceReason, cause?: unknown): void {
    const { planned } = candidate;
    if (!isParentOnly(candidate)) {
      const isMissing = reason === 'vanished' && planned?.isSource === true;
      const path = absolutePath(candidate);
      this.#failAt(path, operation, isMissing ? 'missing' : reason, cause);
    }
    const nestedReason = reason === 'vanished' ? 'missing' : reason;
    for (const { path } of nestedSources(planned)) {
      this.#failAt(path, operation, nestedReason, cause);
    }
  }

  #failAt(path: Uint8Array, operation: string, reason: SourceReason, cause?: unknown): void {
    const error = sourceError({ path, operation, reason, cause });
    this.#pending.push({ kind: 'error', error });
  }
}

/** Of a level whose directory is not listed. */
const unlisted = {
  directory: undefined,
  listing: undefined,
  test: undefined,
  device: undefined,
  isUnreadable: false,
};

/** Whether a verdict that depends on the kind of entry is against this one. */
function isOfKind(verdict: Verdict, { type }: FileStat): boolean {
  return verdict === (type === 'd' ? 'directories' : 'others');
}

/** Whether the candidate is stored only because it leads to a source. */
function isParentOnly({ directory, planned }: Candidate): boolean {
  return directory === undefined && planned?.isSource === false;
}

function nestedSources(planned: PlannedEntry | undefined): PlannedEntry[] {
  if (planned === undefined) return [];
  return plannedSources(planned).filter((source) => source !== planned);
}

function isKnown(stat: FileStat): stat is KnownStat {
  return stat.type !== undefined;
}

/** The path as a user would write it. */
function absolutePath({ name, directory, planned }: Candidate): Uint8Array {
  if (directory === undefined) return (planned as PlannedEntry).path;
  return joinNames(directory.path, [name]);
}
