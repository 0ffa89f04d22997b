/** The model of records (`records-model.ts`): its scenarios, and its rules. */
import { RecordBook } from './records.ts';
import { SegmentBook } from './segment-book.ts';

/** What can be removed from the protocol. */
export type RecordsRule =
  /** The merged tomb names the fenced sessions. */
  | 'closed-fenced'
  /** The merged tomb names the forgotten snapshots. */
  | 'closed-forgotten'
  /** A merged record is stored before anything is deleted. */
  | 'merged-first'
  /** Step 7 before success is reported. */
  | 'step-7'
  /** Snapshots are listed before tombs. */
  | 'tombs-last'
  /** A record that vanished between listing and reading: list again. */
  | 'list-again'
  /** A mark or sweep that a merged sweep covers is void. */
  | 'void'
  /** A collector lists `gc/` again after its sweep won. */
  | 'recheck'
  /** A session believes records only after a listing begun after it read them. */
  | 'list-after-read'
  /** So does whoever executes a sweep or compacts by it. */
  | 'execute-after-list'
  /** Names of swept packs stay in the merged sweep, */
  | 'keep-names'
  /** also of those that are no longer listed. */
  | 'keep-gone-names'
  /** No pack of a pending mark is adopted. */
  | 'adopt-uncondemned'
  /** No swept pack is adopted. */
  | 'adopt-unswept'
  /** Deltas in an adopted pack count by CHAIN alone. */
  | 'adopt-chain'
  /** Who adopts a pack makes it durable. */
  | 'adopt-durable'
  /** A collector lists segments again in step 6. */
  | 'relist-segments'
  /** A collector aborts when a live blob is missing. */
  | 'abort'
  /** Undelete looks at the blobs. */
  | 'undelete-blobs'
  /** Undelete is a session, with an intent. */
  | 'undelete-intent'
  /** Sessions do not use the grace. */
  | 'grace-collectors-only'
  /** The grace holds in step 6 too. */
  | 'grace-step-6'
  /** The manifest stays inside the grace. */
  | 'grace-manifest'
  /** Undelete stores again what is dead. */
  | 'undelete-restores'
  /** A compacted segment is stored before its inputs are deleted. */
  | 'output-first'
  /** It supersedes only what was read. */
  | 'supersede-read'
  /** Compaction applies no mark. */
  | 'apply-sweeps-only'
  /** Who misses a listed segment lists again: compactor, session, collector. */
  | 'input-again'
  | 'session-segment-again'
  | 'collector-segment-again';

/** What can be done in another way than the protocol says. */
export type RecordsVariant =
  /** A session takes packs for dead that records name which are void: more than it must. */
  | 'heed-void'
  /** The delete list is any part of what may go, not a largest one. */
  | 'any-part'
  /** Whoever has merged deletes manifests that reappear under closed names. */
  | 'drop-void';

/** What a session can do: find D present (h), reuse a tree (r), store D whole (u) or as a delta (d),
 * adopt (a), undelete (z). */
type Ability = 'h' | 'r' | 'u' | 'd' | 'a' | 'z';
/** Executor of step 8, compactor that takes packs out of the first segment, compactor of segments. */
type HelperKind = 'E' | 'S' | 'K';
type Feature = 'tombs' | 'sweeps' | 'late' | 'adopt' | 'grace' | 'grace0' | 'compact';

interface Scenario {
  /** Copies in old packs. */
  readonly old: string;
  readonly hasSnapshot: boolean;
  /** Of sessions A and B. */
  readonly abilities: readonly [string, string];
  readonly collectors: number;
  readonly generations: number;
  readonly helpers: string;
  readonly features: readonly Feature[];
}

export type ScenarioName =
  | 'tombs'
  | 'tombs-2'
  | 'tombs-3'
  | 'sweeps'
  | 'sweeps-b'
  | 'sweeps-2'
  | 'sweeps-k'
  | 'adopt'
  | 'adopt-2'
  | 'adopt-delta'
  | 'undelete'
  | 'undelete-2'
  | 'undelete-3'
  | 'grace0'
  | 'compact'
  | 'compact-b'
  | 'compact-2';

function scenario(
  [old, hasSnapshot]: [string, boolean],
  abilities: [string, string],
  [collectors, generations]: [number, number],
  [helpers, ...features]: [string, ...Feature[]],
): Scenario {
  return { old, hasSnapshot, abilities, collectors, generations, helpers, features };
}

const SCENARIOS: Readonly<Record<ScenarioName, Scenario>> = {
  tombs: scenario(['D', true], ['hu', 'ru'], [1, 1], ['', 'tombs']),
  'tombs-2': scenario(['D', true], ['h', ''], [2, 1], ['', 'tombs']),
  'tombs-3': scenario(['D', true], ['h', 'r'], [2, 1], ['', 'tombs']),
  sweeps: scenario(['DD', false], ['h', ''], [2, 1], ['E', 'sweeps', 'late']),
  'sweeps-b': scenario(['DD', false], ['h', 'h'], [1, 1], ['E', 'sweeps', 'late']),
  'sweeps-2': scenario(['DD', false], ['h', ''], [1, 2], ['E', 'sweeps', 'late']),
  'sweeps-k': scenario(['DD', false], ['h', ''], [2, 1], ['S', 'sweeps']),
  adopt: scenario(['', false], ['u', 'au'], [1, 2], ['', 'adopt', 'late']),
  'adopt-2': scenario(['D', true], ['u', 'a'], [2, 1], ['', 'adopt']),
  'adopt-delta': scenario(['X', false], ['d', 'a'], [1, 1], ['', 'adopt', 'late']),
  undelete: scenario(['D', true], ['hu', 'z'], [1, 2], ['', 'grace']),
  'undelete-2': scenario(['DX', true], ['z', ''], [1, 2], ['', 'grace']),
  'undelete-3': scenario(['D', true], ['z', ''], [2, 2], ['', 'grace']),
  grace0: scenario(['D', true], ['r', 'z'], [1, 1], ['', 'grace', 'grace0']),
  compact: scenario(['D', true], ['hu', ''], [1, 1], ['KK', 'compact']),
  'compact-b': scenario(['D', true], ['u', 'h'], [1, 1], ['K', 'compact']),
  'compact-2': scenario(['DD', true], ['h', ''], [1, 2], ['K', 'compact']),
};

/** Sessions, collectors, generations and helpers of a scenario. */
export function describeScenario(name: ScenarioName): string {
  const { abilities, collectors, generations, helpers } = SCENARIOS[name];
  const sessions = abilities.filter((ability) => ability !== '').length;
  const more = helpers === '' ? '' : ` + ${helpers.length}`;
  return `${sessions} / ${collectors} / ${generations}${more}`;
}

/** What holds for all states of one exploration. */
export class World {
  readonly oldPacks: number;
  readonly packCount: number;
  readonly collectors: number;
  readonly generations: number;
  readonly helpers: readonly HelperKind[];
  readonly old: string;
  readonly hasSnapshot: boolean;
  readonly book: RecordBook;
  readonly segments: SegmentBook = new SegmentBook();
  readonly #abilities: readonly [string, string];
  readonly #features: ReadonlySet<Feature>;
  readonly #removed: ReadonlySet<RecordsRule>;
  readonly #variants: ReadonlySet<RecordsVariant>;

  constructor(
    name: ScenarioName,
    removed: readonly RecordsRule[],
    variants: readonly RecordsVariant[],
  ) {
    const { old, hasSnapshot, abilities, collectors, generations, helpers, features } = SCENARIOS[
      name
    ] as Scenario;
    this.old = old;
    this.hasSnapshot = hasSnapshot;
    this.oldPacks = old.length;
    this.packCount = old.length + 2;
    this.collectors = collectors;
    this.generations = generations;
    this.helpers = [...helpers] as HelperKind[];
    this.book = new RecordBook(generations, { believesVoid: removed.includes('void') });
    this.#abilities = abilities;
    this.#features = new Set(features);
    this.#removed = new Set(removed);
    this.#variants = new Set(variants);
  }

  /** Whether the rule was removed. */
  lacks(rule: RecordsRule): boolean {
    return this.#removed.has(rule);
  }

  varies(variant: RecordsVariant): boolean {
    return this.#variants.has(variant);
  }

  isAbout(feature: Feature): boolean {
    return this.#features.has(feature);
  }

  /** Whether session 1 or 2 can do that. */
  can(id: number, ability: Ability): boolean {
    return (this.#abilities[id - 1] as string).includes(ability);
  }

  takesPart(id: number): boolean {
    return this.#abilities[id - 1] !== '';
  }
}
