/**
 * Every fault of one kind for every operation of the table, as a list of points that is the same for
 * the same seed, so that a run can be sampled, cut into ranges and taken up again. What a campaign
 * reports is what it did: points, those that were hit, and each one after which anything was wrong.
 */
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { VarveError } from '../../src/errors.ts';
import type { SessionId } from '../../src/id.ts';
import { pruneRepository } from '../../src/maintain/prune/prune.ts';
import { OBJECT_KIND } from '../../src/record/object-kind.ts';
import { sealObject } from '../../src/record/sealed-object.ts';
import { encodeFence } from '../../src/record/session-records.ts';
import type { Repository } from '../../src/repository/repository.ts';
import type { Storage } from '../../src/storage/storage.ts';
import { mapConcurrent } from '../../src/util/concurrent.ts';
import { systemRandom } from '../../src/util/random.ts';
import { saveSource, withOtherClient } from './fault-clients.ts';
import { CampaignLog } from './fault-log.ts';
import type { FaultOperation } from './fault-operation.ts';
import { objectsOf } from './fault-oracle.ts';
import type { CommandOptions, FaultPlace } from './fault-place.ts';
import { type FaultRun, PreparedOperation } from './fault-runs.ts';
import { killedCall, straceArgs, tracePoints, wasInjected } from './fault-strace.ts';
import { seededRandom } from './seeded-random.ts';

/** One fault of one operation. */
interface FaultPoint {
  readonly name: string;
  fault(place: FaultPlace): Pick<CommandOptions, 'prefix' | 'preload' | 'onSpawn'>;
  /** Nobody else is at work: the same point leaves the same bytes. */
  readonly isSeeded?: boolean;
  /** The call that was hit; undefined when the command did not come to it. */
  hit(place: FaultPlace, run: FaultRun): string | undefined | Promise<string | undefined>;
}

interface Plan {
  readonly points: readonly FaultPoint[];
  /** Calls of a run without a fault that points aim at, if they have names. */
  readonly calls: ReadonlySet<string>;
  /** LMDB ends the process where it can write neither the cache nor a temporary one. */
  readonly mayCrash?: boolean;
}

/** Finds the points of an operation. */
export type Campaign = (prepared: PreparedOperation) => Promise<Plan>;

export interface Tally {
  readonly operation: string;
  readonly pointCount: number;
  readonly hitCount: number;
  /** Processes that native code ended, where that is no loss. */
  readonly crashCount: number;
  /** Points after which the bytes were those of another one, which was judged. */
  readonly knownCount: number;
  /** Calls of a run without a fault that a point was aimed at, and how many of them were hit. */
  readonly callCount: number;
  readonly hitCallCount: number;
  readonly losses: readonly string[];
}

export interface CampaignOptions {
  readonly directory: string;
  readonly operations: readonly FaultOperation[];
  /** Where what was judged is kept, under which title; default: nowhere. */
  readonly log?: CampaignLog;
  readonly title?: string;
  /** Points judged, of all; default all, or the range that `TEST_POINTS=<from>-<to>` names. */
  readonly sampleCount?: number;
  /** A planted bug that every command has. */
  readonly bug?: string;
  /** Ends at the first loss. */
  readonly stopsAtLoss?: boolean;
  readonly onProgress?: (text: string) => void;
}

const AT_ONCE = 2;

/** The numbers of the points that are to be judged, in the order in which they are planned. */
function chooser({ sampleCount }: CampaignOptions, share: number): (index: number) => boolean {
  if (sampleCount !== undefined) {
    const random = seededRandom(91 + share);
    const kept = new Set<number>();
    return (index) => {
      if (random.below(1000) < 1000 * sampleCount) kept.add(index);
      return kept.has(index);
    };
  }
  const [from = 0, to = Number.POSITIVE_INFINITY] = (process.env['TEST_POINTS'] ?? '')
    .split('-')
    .filter((text) => text !== '')
    .map(Number);
  return (index) => index >= from && index < to;
}

export async function runCampaign(campaign: Campaign, options: CampaignOptions): Promise<Tally[]> {
  const tallies: Tally[] = [];
  const { log = new CampaignLog(undefined), title = '' } = options;
  await mapConcurrent([...options.operations.entries()], AT_ONCE, async ([number, operation]) => {
    const key = `${title}, ${operation.name}`;
    if (log.endOf(key) === undefined) {
      const root = join(options.directory, `operation-${number}`);
      const prepared = await PreparedOperation.make(operation, root);
      try {
        const plan = await campaign(prepared);
        await judgePoints(prepared, plan, { ...options, share: number, log, key });
      } finally {
        prepared.remove();
      }
    }
    const tally = tallyOf(operation.name, key, log);
    tallies.push(tally);
    options.onProgress?.(`${title}, ${describeTally(tally)}`);
  });
  return tallies;
}

async function judgePoints(
  prepared: PreparedOperation,
  { points, calls, mayCrash = false }: Plan,
  options: CampaignOptions & { share: number; log: CampaignLog; key: string },
): Promise<void> {
  const { log, key } = options;
  const isChosen = chooser(options, options.share);
  const known = new Set(log.pointsOf(key).map(({ name }) => name));
  for (const point of points.filter((_, index) => isChosen(index))) {
    if (known.has(point.name)) continue;
    const { hit, run } = await judgePoint(prepared, point, options.bug);
    const { wasCrashed, isKnown } = run;
    const faults = wasCrashed && !mayCrash ? ['crashed', ...run.faults] : run.faults;
    log.addPoint(key, { name: point.name, hit, wasCrashed, isKnown, faults });
    if (faults.length > 0 && options.stopsAtLoss === true) break;
  }
  const hits = new Set(log.pointsOf(key).flatMap(({ hit }) => hit ?? []));
  const hitCallCount = [...calls].filter((call) => hits.has(call)).length;
  log.addEnd(key, { callCount: calls.size, hitCallCount });
}

function tallyOf(operation: string, key: string, log: CampaignLog): Tally {
  const points = log.pointsOf(key);
  return {
    operation,
    pointCount: points.length,
    hitCount: points.filter(({ hit }) => hit !== undefined).length,
    crashCount: points.filter(({ wasCrashed }) => wasCrashed).length,
    knownCount: points.filter(({ isKnown }) => isKnown).length,
    callCount: log.endOf(key)?.callCount ?? 0,
    hitCallCount: log.endOf(key)?.hitCallCount ?? 0,
    losses: points
      .filter(({ faults }) => faults.length > 0)
      .map(({ name, faults }) => `${operation}, ${name}: ${faults.join('; ')}`),
  };
}

async function judgePoint(
  prepared: PreparedOperation,
  point: FaultPoint,
  bug: string | undefined,
): Promise<{ hit: string | undefined; run: FaultRun }> {
  const { prefix, preload, onSpawn } = point.fault(prepared.place);
  const variables = { ...preload, ...(bug !== undefined && { VARVE_TEST_BUG: bug }) };
  const run = await prepared.run({
    ...(prefix && { prefix }),
    ...(onSpawn && { onSpawn }),
    ...(point.isSeeded && { isSeeded: true }),
    // Without variables it is the command as it is shipped.
    ...(Object.keys(variables).length > 0 && { preload: variables }),
  });
  return { hit: await point.hit(prepared.place, run), run };
}

function describeTally(tally: Tally): string {
  const { operation, pointCount, hitCount, crashCount, callCount, hitCallCount, losses } = tally;
  const known = tally.knownCount === 0 ? '' : `, ${tally.knownCount} as others`;
  const calls = callCount === 0 ? '' : `, ${hitCallCount} of ${callCount} calls`;
  return `${operation}: ${hitCount} hits at ${pointCount} points${known}${calls}, ${crashCount} crashes, ${losses.length} losses`;
}

/** SIGKILL before each durable system call, by strace. */
export const systemKills: Campaign = async ({ place, operation }) => {
  const { points, calls } = await tracePoints(place, operation);
  return {
    calls,
    points: points.map((point) => ({
      name: `killed before ${point.call} ${point.number}`,
      isSeeded: true,
      fault: () => ({ prefix: straceArgs(place, point, { inject: 'signal=SIGKILL' }) }),
      hit: (_place, { wasKilled }) => {
        const call = killedCall(place, point);
        return wasKilled ? (call ?? 'unknown') : undefined;
      },
    })),
  };
};

/**
 * A process that ends syncs its two outputs, which are the first such calls of the main thread, and
 * a native package hangs when that fails. The seams have these points too.
 */
const OUTPUT_SYNCS = 2;

const ERRORS: Readonly<Record<string, RegExp>> = {
  EIO: /^(?:p?write|fsync|fdatasync|link|rename|unlink|mkdir|ftruncate)/,
  ENOSPC: /^(?:openat|p?write|link|rename|mkdir|fsync|ftruncate)/,
  EROFS: /^(?:openat|link|rename|unlink|mkdir)/,
  EMFILE: /^openat/,
};

/** Errors of durable system calls but LMDB's opens, by strace: each once, and from there on. */
export const systemErrors: Campaign = async ({ place, operation }) => {
  const { points } = await tracePoints(place, operation);
  const able = points.filter(
    ({ opensLmdb, call, number }) => !opensLmdb && !(call === 'fsync' && number <= OUTPUT_SYNCS),
  );
  const faults = able.flatMap((point) =>
    Object.entries(ERRORS)
      .filter(([, calls]) => calls.test(point.call))
      .flatMap(([code]) =>
        // Node itself opens files all the time, and cannot go on when it never may again.
        (point.call === 'openat' ? [false] : [false, true]).map((isLasting) => ({
          point,
          code,
          isLasting,
        })),
      ),
  );
  return {
    calls: new Set(),
    mayCrash: true,
    points: faults.map(({ point, code, isLasting }) => ({
      name: `${code} of ${point.call} ${point.number}${isLasting ? ' and later' : ''}`,
      fault: () => ({ prefix: straceArgs(place, point, { inject: `error=${code}`, isLasting }) }),
      hit: () => (wasInjected(place) ? 'failed' : undefined),
    })),
  };
};

/** How many calls of a kind the command makes through its seams. */
async function countSeamCalls(prepared: PreparedOperation, kind: string): Promise<number> {
  const file = join(prepared.place.client, '..', 'count');
  const { ended } = await prepared.run({
    preload: { VARVE_TEST_SEAM: `count:${kind}:${file}` },
  });
  const isDone = ended.code === (prepared.operation.code ?? 0);
  if (!isDone || !existsSync(file)) throw new Error(`not counted: ${ended.stdout}${ended.stderr}`);
  const count = Number(readFileSync(file, 'utf8'));
  rmSync(file);
  return count;
}

function seamPoint(setting: string, hit: (run: FaultRun) => boolean): FaultPoint {
  return {
    name: setting,
    fault: () => ({ preload: { VARVE_TEST_SEAM: setting } }),
    hit: (_place, run) => (hit(run) ? 'hit' : undefined),
  };
}

function numbersTo(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i + 1);
}

/** SIGKILL before each call that changes something, by the process itself. */
export const seamKills: Campaign = async (prepared) => {
  const count = await countSeamCalls(prepared, 'kill');
  const points = numbersTo(count).map((n) => ({
    ...seamPoint(`kill:${n}`, ({ wasKilled }) => wasKilled),
    isSeeded: true,
  }));
  return { points, calls: new Set() };
};

/** Errors of every call, those that only read included: each once, and from there on. */
export const seamErrors: Campaign = async (prepared) => {
  const count = await countSeamCalls(prepared, 'once');
  const points = numbersTo(count).flatMap((n) =>
    ['EIO', 'ENOSPC', 'EROFS', 'EMFILE'].flatMap((code) =>
      ['once', 'lasting'].map((kind) => seamPoint(`${kind}:${n}:${code}`, () => true)),
    ),
  );
  return { points, calls: new Set() };
};

/** Writes of objects that keep half of what they say. */
export const lyingWrites: Campaign = async (prepared) => writesOf(prepared, 'lie');

/** A storage that is full from its n-th write of an object on. */
export const fullDisks: Campaign = async (prepared) => writesOf(prepared, 'full');

async function writesOf(prepared: PreparedOperation, kind: 'lie' | 'full'): Promise<Plan> {
  const count = await countSeamCalls(prepared, kind);
  const points = numbersTo(count).map((n) => seamPoint(`${kind}:${n}`, () => true));
  return { points, calls: new Set() };
}

/** No fault but a planted one. */
export const unharmed: Campaign = async () => ({
  points: [{ name: 'unharmed', fault: () => ({}), hit: () => 'run' }],
  calls: new Set(),
});

/** What another client does while a process sleeps. */
type Interfere = (place: FaultPlace, operation: FaultOperation) => Promise<void>;

/** The process sleeps before each call that changes something; meanwhile another client is at work. */
function asleepWhile(interfere: Interfere): Campaign {
  return async (prepared) => {
    const count = await countSeamCalls(prepared, 'stop');
    const { operation } = prepared;
    const points = numbersTo(count).map((n) => sleeperPoint(n, operation, interfere));
    return { points, calls: new Set() };
  };
}

function sleeperPoint(n: number, operation: FaultOperation, interfere: Interfere): FaultPoint {
  let wasStopped = false;
  let meanwhile: Promise<void> = Promise.resolve();
  return {
    name: `asleep before call ${n}`,
    fault: (place) => ({
      preload: { VARVE_TEST_SEAM: `stop:${n}` },
      onSpawn: (pid) => {
        meanwhile = whileAsleep(pid, async () => {
          wasStopped = true;
          if (!existsSync(join(place.repository, 'config'))) return;
          await interfere(place, operation);
        });
      },
    }),
    hit: async () => {
      await meanwhile;
      return wasStopped ? 'hit' : undefined;
    },
  };
}

/** Waits until the process has stopped itself, does something, and wakes it. */
async function whileAsleep(pid: number, action: () => Promise<void>): Promise<void> {
  for (;;) {
    let status: string;
    try {
      status = readFileSync(`/proc/${pid}/stat`, 'latin1');
    } catch {
      return; // It has ended.
    }
    const state = status.slice(status.lastIndexOf(')') + 2, status.lastIndexOf(')') + 3);
    if (state === 'Z' || state === 'X') return;
    if (state === 'T') break;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  try {
    await action();
  } finally {
    process.kill(pid, 'SIGCONT');
  }
}

/**
 * Another client ends every session, as a collection does with those that look dead, and takes a
 * snapshot of its own.
 */
export const sleepers: Campaign = asleepWhile(async (place, operation) => {
  await withOtherClient(place, async (repository) => {
    await fenceAll(repository);
    operation.revive?.(place);
    // Where there is damage that nobody has found a snapshot would rely on it.
    if (place.ledger.damaged.size === 0) await saveSource(place, repository, { host: 'other' });
  });
  await noteChange(place, operation);
});

/** Another client collects, to the end and without a grace: it waits for nobody. */
export const outrun: Campaign = asleepWhile(async (place, operation) => {
  await withOtherClient(place, async (repository) => {
    await pruneRepository(repository, { graceMs: 0, sessionTtlMs: 0 }).catch((error: unknown) => {
      // Where something is damaged nothing is deleted.
      if (!(error instanceof VarveError)) throw error;
    });
  });
  await noteChange(place, operation);
});

/**
 * Another client has begun a snapshot of what the command may be about to delete, and completes it only
 * when the command has ended, or waits for it.
 */
export const overlapped: Campaign = asleepWhile(async (place, operation) => {
  operation.revive?.(place);
  const release = new Turnstile();
  const reached = new Turnstile();
  const hold = (storage: Storage): Storage => holdingCommits(storage, { release, reached });
  const ended = withOtherClient(
    place,
    async (repository) => {
      if (place.ledger.damaged.size === 0) await saveSource(place, repository, { host: 'other' });
    },
    hold,
  ).finally(() => reached.open());
  place.meanwhile = async () => {
    release.open();
    await ended;
  };
  await reached.passed;
  setTimeout(() => release.open(), WAITING_MS);
  await noteChange(place, operation);
});

/** Long enough for a command that would not wait. */
const WAITING_MS = 1500;

class Turnstile {
  open!: () => void;
  readonly passed = new Promise<void>((resolve) => {
    this.open = resolve;
  });
}

/** A storage in which no session is completed before it is let. */
function holdingCommits(
  storage: Storage,
  { release, reached }: { release: Turnstile; reached: Turnstile },
): Storage {
  const putIfAbsent: Storage['putIfAbsent'] = async (name, ...rest) => {
    if (name.startsWith('snapshots/')) {
      reached.open();
      await release.passed;
    }
    return await storage.putIfAbsent(name, ...rest);
  };
  return new Proxy(storage, {
    get: (target, key) => {
      if (key === 'putIfAbsent') return putIfAbsent;
      const value: unknown = Reflect.get(target, key);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

async function fenceAll({ storage, keys }: Repository): Promise<void> {
  for await (const { name } of storage.list('sessions/')) {
    const id = name.slice('sessions/'.length) as SessionId;
    const identity = { kind: OBJECT_KIND.fence, name: `snapshots/${id}` };
    const content = { payload: encodeFence('closed'), salt: systemRandom.bytes(32) };
    await storage.putIfAbsent(identity.name, sealObject(keys, identity, content));
  }
}

/** What is there now is what must stay, and what the sleeper may plan from now on may go. */
async function noteChange(place: FaultPlace, operation: FaultOperation): Promise<void> {
  place.changed = objectsOf(place);
  if (operation.deletes === undefined) return;
  const more = await withOtherClient(place, operation.deletes);
  place.deletable = new Set([...place.deletable, ...more]);
}
