/**
 * Entries that fit a pattern, in many snapshots at once. One walk goes through all trees together,
 * directory by directory: what stands at one path in several snapshots is read once, page by page,
 * however many snapshots have it. Of thirty snapshots of one tree each costs the pages that changed.
 *
 * A directory in which nothing can fit, by the patterns, is not entered. Memory is what is known of
 * one directory, in all its versions, for each level of the path.
 */
import { blobKey } from '../id.ts';
import type { ReadAccess } from '../repository/read-access.ts';
import type { Snapshot } from '../snapshot/selection.ts';
import { copyEntry, copyRoot } from '../tree/copy-entry.ts';
import type { DirectoryEntry, DirectoryRoot, NodeType, Time } from '../tree/node.ts';
import { bufferOf, concatBytes, decodeUtf8, encodeUtf8 } from '../util/bytes.ts';
import { systemClock } from '../util/clock.ts';
import { Turns } from '../util/turns.ts';
import { type NameTest, PatternList } from '../walk/pattern-list.ts';
import { differingMetadata, hasSameContent, isSameDirectory } from './compare-nodes.ts';
import {
  inSeries,
  rangesOf,
  type SnapshotRange,
  type SnapshotSet,
  setOf,
  unite,
} from './snapshot-set.ts';

/** What is looked for: whatever fits one of the patterns and all the rest. */
export interface FindCriteria {
  /** As in `ExcludeOptions`; at least one. */
  patterns: readonly (string | Uint8Array)[];
  isCaseIgnored?: boolean | undefined;
  /** Default: all. */
  types?: readonly NodeType[] | undefined;
  /** Not modified before, or after; nanoseconds since 1970. */
  oldestNs?: bigint | undefined;
  newestNs?: bigint | undefined;
  /** Bytes of a file; other entries have none. */
  sizeMin?: number | undefined;
  sizeMax?: number | undefined;
}

export interface FindOptions extends FindCriteria {
  snapshots: readonly Snapshot[];
  signal?: AbortSignal | undefined;
}

export interface FoundVersion {
  entry: DirectoryEntry;
  /** Where it is, by host and source, oldest first. */
  ranges: SnapshotRange[];
}

/** A path, at which there may be different things in different snapshots. */
export interface FoundEntry {
  /** Absolute, raw bytes. */
  path: Uint8Array;
  /** Where there is any of them. */
  ranges: SnapshotRange[];
  versions: FoundVersion[];
}

const SLASH = Uint8Array.of(0x2f);

/**
 * In the order of paths.
 * @throws RangeError on a pattern that makes no sense
 * @throws CorruptionError, NotFoundError, StorageError when a tree cannot be read
 */
export async function* findEntries(
  access: ReadAccess,
  options: FindOptions,
): AsyncGenerator<FoundEntry, void, undefined> {
  yield* new Search(access, options).run();
}

/** A part of a tree, and the snapshots that have it at the same place. */
interface Shared<T> {
  readonly part: T;
  set: SnapshotSet;
}

/** By what tells parts of a kind apart. */
type SharedParts<T> = Map<string, Shared<T>>;

/** What is known of a name in a directory. */
interface Candidate {
  readonly name: Uint8Array;
  /** Those that fit. */
  readonly versions: Shared<DirectoryEntry>[];
  /** Those to be entered. */
  readonly directories: SharedParts<DirectoryRoot>;
}

class Search {
  readonly #access: ReadAccess;
  readonly #row: readonly Snapshot[];
  readonly #matcher: Matcher;
  readonly #turns: Turns;

  constructor(access: ReadAccess, options: FindOptions) {
    this.#access = access;
    this.#row = inSeries(options.snapshots);
    this.#matcher = new Matcher(options);
    this.#turns = new Turns(systemClock, options.signal);
  }

  async *run(): AsyncGenerator<FoundEntry, void, undefined> {
    const roots: SharedParts<DirectoryRoot> = new Map();
    for (const [position, { manifest }] of this.#row.entries()) {
      if (manifest.root.entries > 0n) share(roots, manifest.root, setOf(position));
    }
    yield* this.#search(new Uint8Array(0), roots);
  }

  async *#search(
    path: Uint8Array,
    roots: SharedParts<DirectoryRoot>,
  ): AsyncGenerator<FoundEntry, void, undefined> {
    const candidates = await this.#readCandidates(path, roots);
    // As latin1 text, names sort by bytes.
    for (const name of [...candidates.keys()].sort()) {
      const { name: bytes, versions, directories } = candidates.get(name) as Candidate;
      candidates.delete(name);
      const entryPath = concatBytes(path, SLASH, bytes);
      if (versions.length > 0) yield this.#describe(entryPath, versions);
      if (directories.size > 0) yield* this.#search(entryPath, directories);
    }
  }

  #describe(path: Uint8Array, versions: readonly Shared<DirectoryEntry>[]): FoundEntry {
    const all = versions.reduce<SnapshotSet>((set, version) => unite(set, version.set), []);
    return {
      path,
      ranges: rangesOf(all, this.#row),
      versions: [...versions]
        .sort((a, b) => (a.set[0] as number) - (b.set[0] as number))
        .map(({ part, set }) => ({ entry: part, ranges: rangesOf(set, this.#row) })),
    };
  }

  async #readCandidates(
    path: Uint8Array,
    roots: SharedParts<DirectoryRoot>,
  ): Promise<Map<string, Candidate>> {
    const candidates = new Map<string, Candidate>();
    const tests = this.#matcher.testIn(path);
    for await (const { entries, owners } of this.#access.sharedEntries([...roots.values()])) {
      const set = owners.reduce<SnapshotSet>((sum, owner) => unite(sum, owner.set), []);
      for (const entry of entries) addCandidate(candidates, tests, { part: entry, set });
      if (this.#turns.isOver) await this.#turns.next();
    }
    return candidates;
  }
}

function addCandidate(
  candidates: Map<string, Candidate>,
  { test, mayFitBelow }: EntryTests,
  { part: entry, set }: Shared<DirectoryEntry>,
): void {
  const { directory } = entry;
  const entered = directory !== undefined && mayFitBelow(entry.name) ? directory : undefined;
  const isHit = test(entry);
  if (!isHit && entered === undefined) return;
  const candidate = candidateOf(candidates, entry.name);
  if (isHit) addVersion(candidate.versions, entry, set);
  if (entered !== undefined) share(candidate.directories, entered, set);
}

function candidateOf(candidates: Map<string, Candidate>, name: Uint8Array): Candidate {
  const key = bufferOf(name).toString('latin1');
  const known = candidates.get(key);
  if (known !== undefined) return known;
  const candidate = { name: Uint8Array.from(name), versions: [], directories: new Map() };
  candidates.set(key, candidate);
  return candidate;
}

function share(parts: SharedParts<DirectoryRoot>, root: DirectoryRoot, set: SnapshotSet): void {
  const key = `${blobKey(root.id)}${root.height}:${root.entries}:${root.bytes}`;
  const known = parts.get(key);
  if (known === undefined) parts.set(key, { part: copyRoot(root), set });
  else known.set = unite(known.set, set);
}

function addVersion(
  versions: Shared<DirectoryEntry>[],
  entry: DirectoryEntry,
  set: SnapshotSet,
): void {
  const known = versions.find(({ part }) => isSameVersion(part, entry));
  if (known === undefined) versions.push({ part: copyEntry(entry), set });
  else known.set = unite(known.set, set);
}

function isSameVersion(a: DirectoryEntry, b: DirectoryEntry): boolean {
  if (a.type === 'refused' || b.type === 'refused') {
    return a.type === b.type && a.size === b.size && isSameDirectory(a.directory, b.directory);
  }
  return (
    a.type === b.type &&
    // Of a directory with other content nothing is seen but its own metadata.
    hasSameContent(a, b) &&
    differingMetadata(a, b).length === 0
  );
}

/** For the entries of one directory. */
interface EntryTests {
  test: (entry: DirectoryEntry) => boolean;
  mayFitBelow: (name: Uint8Array) => boolean;
}

/** What an entry is measured by, with what follows from its directory found out once. */
class Matcher {
  readonly #criteria: FindCriteria;
  readonly #patterns: PatternList;
  readonly #types: ReadonlySet<string> | undefined;

  constructor(criteria: FindCriteria) {
    const { patterns, types, isCaseIgnored } = criteria;
    this.#criteria = criteria;
    this.#patterns = new PatternList(
      isCaseIgnored ? patterns.map((pattern) => folded(bytesOf(pattern))) : patterns,
      'search',
    );
    this.#types = types && new Set(types);
  }

  testIn(path: Uint8Array): EntryTests {
    const fold = this.#criteria.isCaseIgnored ? folded : (bytes: Uint8Array) => bytes;
    const own = fold(path);
    const isNamed = this.#patterns.testIn({ path: own });
    return {
      test: (entry) => this.#fits(entry, fold(entry.name), isNamed),
      mayFitBelow: (name) =>
        this.#patterns.mayFitBelow({ path: concatBytes(own, SLASH, fold(name)) }),
    };
  }

  #fits(entry: DirectoryEntry, name: Uint8Array, isNamed: NameTest): boolean {
    const { type } = entry;
    if (this.#types !== undefined && !this.#types.has(type)) return false;
    const verdict = isNamed(bufferOf(name).toString('latin1'));
    if (verdict !== 'all' && verdict !== (type === 'd' ? 'directories' : 'others')) return false;
    return this.#hasSize(entry) && this.#hasTime(entry);
  }

  #hasSize({ size }: DirectoryEntry): boolean {
    const { sizeMin, sizeMax } = this.#criteria;
    if (sizeMin === undefined && sizeMax === undefined) return true;
    if (size === undefined) return false;
    return size >= BigInt(sizeMin ?? 0) && (sizeMax === undefined || size <= BigInt(sizeMax));
  }

  #hasTime(entry: DirectoryEntry): boolean {
    const { oldestNs, newestNs } = this.#criteria;
    if (oldestNs === undefined && newestNs === undefined) return true;
    if (entry.type === 'refused' || entry.mtime === undefined) return false;
    const ns = nsOf(entry.mtime);
    return (oldestNs === undefined || ns >= oldestNs) && (newestNs === undefined || ns <= newestNs);
  }
}

function nsOf({ seconds, nanoseconds }: Time): bigint {
  return seconds * 1_000_000_000n + BigInt(nanoseconds);
}

function bytesOf(pattern: string | Uint8Array): Uint8Array {
  return typeof pattern === 'string' ? encodeUtf8(pattern) : pattern;
}

/** Without capitals, where it is UTF-8. */
function folded(bytes: Uint8Array): Uint8Array {
  const text = decodeUtf8(bytes);
  return text === undefined ? bytes : encodeUtf8(text.toLowerCase());
}
