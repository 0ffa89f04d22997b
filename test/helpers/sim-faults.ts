/**
 * All faults of one step of a history. The step is run once, and before each of its calls that change
 * the disk it is asked what a power cut, or the end of the process, would leave there. Errors and wrong
 * answers need a run each. From some of what was left somebody else goes on, and is cut off again.
 *
 * A seed is one of these: a history, a step, a call and what survives. At one call no disk counts twice.
 */
import type { OpenFile, StorageFs } from '../../src/storage/file-system.ts';
import type { Storage } from '../../src/storage/storage.ts';
import { hideFromListings } from './fault-storage.ts';
import { type FsOperation, failAtCall, interceptFs } from './intercepted-fs.ts';
import type { Home } from './repository-crash.ts';
import { type SeededRandom, seededRandom } from './seeded-random.ts';
import type { CrashMode, SimFs } from './sim-fs.ts';
import { type SimAction, type SimStep, stepText } from './sim-history.ts';
import { describeDisk, type SimDisk } from './sim-judge.ts';
import type { SimLedger } from './sim-ledger.ts';
import { SimWorld } from './sim-world.ts';

export const SIM_KINDS = [
  'power cut, ordered disk',
  'power cut, weak disk',
  'process ended',
  'error once',
  'error from then on',
  'answer lost',
  'short write',
  'lying write',
  'stale listing',
  'error, then power cut',
  'cut off, and again while going on',
] as const;
export type SimKind = (typeof SIM_KINDS)[number];

/** A disk to be judged. */
export interface SimState {
  readonly kind: SimKind;
  /** Which one it is among those of its step. */
  readonly where: string;
  readonly disk: SimFs;
  readonly described: SimDisk;
  readonly ledger: SimLedger;
  /** Of all clients, as they were then; where they were kept. */
  readonly homes: ReadonlyMap<string, Home> | undefined;
  /** Certainly on the disk when the operation began. */
  readonly before: ReadonlyMap<string, string>;
  readonly mayDelete: RegExp;
  /** What is wrong already. */
  readonly failures: readonly string[];
}

export interface FaultCounts {
  /** Disks asked for at each call; equal ones count once. */
  readonly cutsPerCall: number;
  /** Runs with an error or a wrong answer. */
  readonly errorRuns: number;
  /** States from which somebody goes on. */
  readonly secondRuns: number;
}

export type OnState = (state: SimState) => Promise<void>;

const CHANGING: ReadonlySet<FsOperation> = new Set<FsOperation>([
  'create',
  'write',
  'syncFile',
  'syncDirectory',
  'makeDirectory',
  'link',
  'rename',
  'unlink',
]);

const cutsAtEnd = 8;

/** What goes with a session, or with a question for the time. */
const TRANSIENT = 'sessions/|probe/';
const MAY_DELETE: Partial<Record<SimAction, string>> = {
  init: 'keys/',
  'key-replace': 'keys/',
  prune: 'data/|meta/|index/|snapshots/|tombs/|gc/',
  'prune-now': 'data/|meta/|index/|snapshots/|tombs/|gc/',
};

function mayDelete({ moves }: SimStep): RegExp {
  const parts = moves.flatMap(({ action }) => MAY_DELETE[action] ?? []);
  return new RegExp(`^(${[TRANSIENT, ...parts].join('|')})`);
}

/** Of several possibilities the worst. */
const WORST: Pick<SeededRandom, 'below'> = { below: (bound) => bound - 1 };

/** What is there and stays there whatever happens to the disk. */
function certainObjects(disk: SimFs): ReadonlyMap<string, string> {
  const { objects } = describeDisk(disk);
  const certain = describeDisk(disk.cut(WORST, 'weak')).objects;
  return new Map([...certain].filter(([name]) => objects.has(name)));
}

/** Does the step in this world, with all its faults beside. */
export async function runFaults(
  world: SimWorld,
  step: SimStep,
  { counts, onState }: { counts: FaultCounts; onState: OnState },
): Promise<void> {
  const before = world.fork();
  const random = seededRandom(100_000_000 + step.salt);
  try {
    const cuts = new Cuts(world, step, { counts, random });
    await cuts.run();
    for (const state of cuts.states) await onState(state);
    await runSecond(cuts.kept, { counts, random, onState });
    const isWhole = step.moves.length === 1 && step.stopAt === undefined;
    if (!isWhole) return;
    for (let i = 0; i < counts.errorRuns; i++) {
      await runError(before, step, { callCount: cuts.callCount, number: i, onState });
    }
  } finally {
    before.close();
  }
}

interface KeptState {
  readonly state: SimState;
  readonly homes: Map<string, Home>;
}

/** One run of a step, and what it might leave before each of its calls. */
class Cuts {
  readonly states: SimState[] = [];
  /** Some of them, with what the clients had. */
  readonly kept: KeptState[] = [];
  /** Of all kinds. */
  callCount = 0;
  readonly #world: SimWorld;
  readonly #step: SimStep;
  readonly #counts: FaultCounts;
  readonly #random: SeededRandom;
  readonly #prefix: string | undefined;
  readonly #before: ReadonlyMap<string, string>;
  readonly #mayDelete: RegExp;
  #ledger: SimLedger;
  #ledgerMark = '';

  constructor(
    world: SimWorld,
    step: SimStep,
    options: { counts: FaultCounts; random: SeededRandom; prefix?: string },
  ) {
    this.#world = world;
    this.#step = step;
    this.#counts = options.counts;
    this.#random = options.random;
    this.#prefix = options.prefix;
    this.#before = certainObjects(world.disk);
    this.#mayDelete = mayDelete(step);
    this.#ledger = world.ledger.copy();
  }

  async run(): Promise<void> {
    const { disk } = this.#world;
    const fs = interceptFs(disk, (call, run) => {
      if (CHANGING.has(call.operation)) this.#take(this.#counts.cutsPerCall);
      this.callCount += 1;
      return run();
    });
    await this.#world.perform(this.#step, { fs });
    this.#take(cutsAtEnd);
  }

  #take(count: number): void {
    const { disk } = this.#world;
    const found = new Set<string>();
    const add = (kind: SimKind, left: SimFs, draw: number): void => {
      const described = describeDisk(left);
      const key = kind === 'process ended' ? kind : described.wholeDigest;
      if (found.has(key)) return;
      found.add(key);
      this.#add({ kind, disk: left, described, where: `call ${this.callCount}, draw ${draw}` });
    };
    for (let draw = 0; draw < count; draw++) {
      const mode: CrashMode = this.#random.below(3) === 0 ? 'ordered' : 'weak';
      add(`power cut, ${mode} disk`, disk.cut(this.#random, mode), draw);
    }
    if (this.#random.below(3) === 0) add('process ended', disk.fork(), count);
  }

  #add(found: Pick<SimState, 'kind' | 'disk' | 'described' | 'where'>): void {
    const isSecond = this.#prefix !== undefined;
    const state: SimState = {
      ...found,
      kind: isSecond ? 'cut off, and again while going on' : found.kind,
      where: isSecond ? `${this.#prefix}; ${found.kind} at ${found.where}` : found.where,
      ledger: this.#ledgerNow(),
      homes: isJudgedInFull(found.described) ? this.#homesNow() : undefined,
      before: this.#before,
      mayDelete: this.#mayDelete,
      failures: this.#world.failures.splice(0),
    };
    this.states.push(state);
    const isWanted = this.kept.length < this.#counts.secondRuns && !isSecond;
    if (isWanted && this.#random.below(20) === 0) {
      this.kept.push({ state, homes: this.#homesNow() });
    }
  }

  #homesNow(): Map<string, Home> {
    const homes = this.#world.copyHomes();
    for (const { stateFs } of homes.values()) stateFs.reboot();
    return homes;
  }

  /** A copy of it, made when something was promised since the last one. */
  #ledgerNow(): SimLedger {
    const { ledger } = this.#world;
    const mark = ledger.mark;
    if (mark !== this.#ledgerMark) this.#ledger = ledger.copy();
    this.#ledgerMark = mark;
    return this.#ledger;
  }
}

/** A sixteenth of all disks, whatever led to them. */
export function isJudgedInFull({ digest }: SimDisk): boolean {
  return digest.startsWith('0');
}

const RECOVERIES: readonly SimAction[] = [
  'snapshot',
  'snapshot',
  'prune-now',
  'prune-now',
  'prune',
  'rebuild',
  'undelete',
];

async function runSecond(
  kept: readonly KeptState[],
  options: { counts: FaultCounts; random: SeededRandom; onState: OnState },
): Promise<void> {
  const { counts, random, onState } = options;
  for (const { state, homes } of kept) {
    const { kind, where, disk, ledger } = state;
    const world = new SimWorld(disk.fork(), ledger.copy(), homes);
    const action = ledger.isInitialised
      ? (RECOVERIES[random.below(RECOVERIES.length)] as SimAction)
      : 'init';
    const move = { client: random.below(2) === 0 ? 'a' : 'b', action, which: random.below(8) };
    const step = { moves: [move], salt: random.below(1_000_000) };
    const prefix = `${kind} at ${where}, then ${stepText(step)}`;
    const cuts = new Cuts(world, step, { counts: { ...counts, cutsPerCall: 2 }, random, prefix });
    try {
      await cuts.run();
      for (const one of cuts.states) await onState(one);
    } finally {
      world.close();
    }
  }
}

const ERROR_KINDS: readonly SimKind[] = [
  'error once',
  'error from then on',
  'answer lost',
  'short write',
  'lying write',
  'stale listing',
];

/** One run with an error or a wrong answer in it, and a power cut after some of them. */
async function runError(
  start: SimWorld,
  step: SimStep,
  options: { callCount: number; number: number; onState: OnState },
): Promise<void> {
  const random = seededRandom(200_000_000 + 100 * step.salt + options.number);
  const kind = ERROR_KINDS[random.below(ERROR_KINDS.length)] as SimKind;
  const world = start.fork();
  const { disk, ledger } = world;
  try {
    const at = random.below(Math.max(1, options.callCount));
    const code = random.below(2) === 0 ? 'EIO' : 'ENOSPC';
    const before = certainObjects(disk);
    const isLie = kind === 'short write' || kind === 'lying write';
    const isStale = kind === 'stale listing';
    await world.perform(step, {
      ...(isLie && { fs: halfWrite(disk, { at: at >> 3, isLying: kind === 'lying write' }) }),
      ...(isStale && { storage: (storage) => staleStorage(disk, storage, random) }),
      ...(!isLie && !isStale && { fs: failing(disk, { kind, at, code }) }),
    });
    world.reboot();
    // What a repair does not see it cannot repair, and it does not say that it has seen everything.
    if (isStale) ledger.isDamaged = start.ledger.isDamaged;
    const where = `run ${options.number}, ${code} at call ${at}`;
    const common = { ledger, before, mayDelete: mayDelete(step), failures: world.failures };
    const cut = disk.cut(random, 'weak');
    const live = { ...common, disk, homes: world.copyHomes() };
    await options.onState({ ...live, kind, where, described: describeDisk(disk) });
    if (isStale) return;
    const described = describeDisk(cut);
    const after = { ...common, disk: cut, described, homes: undefined, where };
    await options.onState({ ...after, kind: 'error, then power cut' });
  } finally {
    world.close();
  }
}

function failing(
  disk: SimFs,
  { kind, at, code }: { kind: SimKind; at: number; code: string },
): StorageFs {
  return failAtCall(disk, {
    at,
    code,
    isLasting: kind === 'error from then on',
    isApplied: kind === 'answer lost',
    onFailure: ({ operation, path }) => {
      if (operation === 'syncFile') disk.forgetUnsynced(path);
    },
  });
}

/** One write keeps half of its bytes, and says so or not. */
function halfWrite(fs: StorageFs, { at, isLying }: { at: number; isLying: boolean }): StorageFs {
  let count = 0;
  const half = (file: OpenFile): OpenFile => ({
    ...file,
    write: async (bytes, position) => {
      const isHit = count++ === at;
      if (!isHit) return await file.write(bytes, position);
      const kept = await file.write(bytes.subarray(0, Math.ceil(bytes.length / 2)), position);
      return isLying ? bytes.length : kept;
    },
  });
  const seen = interceptFs(fs, (_call, run) => run());
  return { ...seen, create: async (path) => half(await fs.create(path)) };
}

/** Segments and packs that a listing misses, as object stores do for a while. */
function staleStorage(disk: SimFs, storage: Storage, random: SeededRandom): Storage {
  const names = [...describeDisk(disk).objects.keys()].filter((name) =>
    /^(index|meta|data)\//.test(name),
  );
  const hidden = new Set(names.filter(() => random.below(4) === 0));
  return hideFromListings(storage, (name) => hidden.has(name));
}
