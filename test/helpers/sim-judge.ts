/**
 * What a client that knows nothing finds on a simulated disk. It depends on the objects alone, so the
 * same objects are looked at once (`SimDisk.digest`); what was promised is compared each time.
 */
import { createHash } from 'node:crypto';
import { NoRepositoryError } from '../../src/errors.ts';
import { checkRepository } from '../../src/maintain/check.ts';
import type { Finding } from '../../src/maintain/finding.ts';
import { pruneRepository } from '../../src/maintain/prune/prune.ts';
import { openReadAccess } from '../../src/repository/read-access.ts';
import type { Repository } from '../../src/repository/repository.ts';
import { createLocalStorage, openLocalStorage } from '../../src/storage/local.ts';
import type { Clock } from '../../src/util/clock.ts';
import {
  describeSnapshot,
  type Home,
  initStorage,
  MemoryStateFs,
  withClient,
} from './repository-crash.ts';
import { seededRandom } from './seeded-random.ts';
import { dropCache } from './sim-cache.ts';
import type { SimFs } from './sim-fs.ts';
import type { SimLedger } from './sim-ledger.ts';
import { saveVersion, versionText } from './sim-trees.ts';

export const SIM_ROOT = '/backup/repository';

export interface SimFacts {
  /** Why the repository does not open. */
  readonly failure?: string;
  /** There is no repository at all. */
  readonly isAbsent: boolean;
  /** Listed snapshots by id, with what they hold, or why they cannot be read. */
  readonly snapshots: ReadonlyMap<string, string>;
  readonly damage: readonly string[];
  /** Packs that segments name and that are not there, whether or not anybody needs them. */
  readonly missing: readonly string[];
  /** Packs that sweeps name. */
  readonly swept: ReadonlySet<string>;
  /** SHA-256 of every object by name. */
  readonly objects: ReadonlyMap<string, string>;
}

/** The clock of a disk: what is stored now has this time. A microsecond passes whenever it is asked. */
export function diskClock(disk: SimFs): Clock {
  let count = 0n;
  const nowNs = (): bigint => {
    count += 1000n;
    return BigInt(disk.nowMs) * 1_000_000n + count;
  };
  return { nowNs, monotonicNs: nowNs };
}

let homeCount = 0;

/** Of a client that has never been here. */
export function newSimHome(): Home {
  homeCount += 1;
  return { cacheDirectory: `cache-${homeCount}`, stateFs: new MemoryStateFs() };
}

const digests = new WeakMap<Uint8Array, string>();

function digestOf(bytes: Uint8Array): string {
  let digest = digests.get(bytes);
  if (digest === undefined) {
    digest = createHash('sha256').update(bytes).digest('base64');
    digests.set(bytes, digest);
  }
  return digest;
}

export interface SimDisk {
  readonly objects: ReadonlyMap<string, string>;
  /** Of all objects. */
  readonly digest: string;
  /** Of unfinished files too: two disks with the same are the same. */
  readonly wholeDigest: string;
}

export function describeDisk(disk: SimFs): SimDisk {
  const objects = new Map<string, string>();
  const rest: string[] = [];
  for (const [path, bytes] of disk.filesBelow('/')) {
    if (path.startsWith(`${SIM_ROOT.slice(1)}/tmp/`)) rest.push(`${path} ${digestOf(bytes)}`);
    else objects.set(path.slice(SIM_ROOT.length), digestOf(bytes));
  }
  const lines = [...objects].map(([name, digest]) => `${name} ${digest}`).sort();
  const digest = digestOfLines(lines);
  return { objects, digest, wholeDigest: digestOfLines([digest, ...rest.sort()]) };
}

function digestOfLines(lines: readonly string[]): string {
  return createHash('sha256').update(lines.join('\n')).digest('hex').slice(0, 20);
}

/** @param mayRebuild whether a client may look into packs that no segment names: after damage. */
export async function findFacts(
  disk: SimFs,
  { objects }: SimDisk,
  mayRebuild: boolean,
): Promise<SimFacts> {
  const home = newSimHome();
  try {
    const storage = await openLocalStorage(SIM_ROOT, { fs: disk, random: seededRandom(77) });
    const options = { home, salt: 78, clock: diskClock(disk) };
    return await withClient(storage, options, async (repository) => ({
      isAbsent: false,
      objects,
      ...(await findInRepository(repository, mayRebuild)),
    }));
  } catch (error) {
    const isAbsent = error instanceof NoRepositoryError;
    const nothing = { snapshots: new Map(), damage: [], missing: [], swept: new Set<string>() };
    return { failure: String((error as Error).stack), isAbsent, objects, ...nothing };
  } finally {
    dropCache(home.cacheDirectory);
  }
}

async function findInRepository(
  repository: Repository,
  mayRebuild: boolean,
): Promise<Pick<SimFacts, 'snapshots' | 'damage' | 'missing' | 'swept'>> {
  const access = await openReadAccess(repository, { mayRebuild });
  const snapshots = new Map<string, string>();
  for (const snapshot of access.view.snapshots) {
    const text = await describeSnapshot(access, snapshot).then(
      (lines) => lines.join('\n'),
      (error: Error) => `unreadable: ${error.message}`,
    );
    snapshots.set(snapshot.id, text);
  }
  const { findings } = await checkRepository(repository, { isReadingData: true });
  const texts = (isWanted: (finding: Finding) => boolean): string[] =>
    findings.filter(isWanted).map(({ kind, message }) => `${kind}: ${message}`);
  return {
    snapshots,
    damage: texts(({ severity }) => severity === 'damage'),
    missing: texts(({ kind }) => kind === 'pack-missing'),
    swept: access.view.collector.sweptPacks,
  };
}

const dayMs = 86_400_000;

/**
 * Uses the repository as whoever comes next would, without repair: a snapshot, and two days later a
 * collection that keeps nothing forgotten. Everything must work, and be there afterwards.
 * @param disk that is written to.
 * @param home of the client; as the fault has left it, or a new one.
 */
export async function useAfterwards(disk: SimFs, ledger: SimLedger, home: Home): Promise<string[]> {
  const after = ledger.copy();
  try {
    const storage = await createLocalStorage(SIM_ROOT, { fs: disk, random: seededRandom(87) });
    if (!ledger.isInitialised) await initStorage(storage, 88).catch(ignoreExisting);
    const options = { home, salt: 89, clock: diskClock(disk) };
    const outcome = await withClient(storage, options, async (repository) => {
      const version = 90;
      const { id } = await saveVersion(repository, version);
      after.isInitialised = true;
      after.acknowledged.set(id, versionText(version));
      disk.pass(2 * dayMs);
      const result = await pruneRepository(repository, {
        graceMs: 0,
        sessionTtlMs: 0,
        wait: async (ms) => disk.pass(ms),
      });
      return result.outcome;
    });
    if (outcome === 'waiting') return ['the next collection waits for nobody'];
  } catch (error) {
    return [`the next client fails: ${(error as Error).stack}`];
  }
  const facts = await findFacts(disk, describeDisk(disk), false);
  return after.lossesIn(facts).map((loss) => `afterwards: ${loss}`);
}

function ignoreExisting(error: unknown): void {
  if ((error as { code?: string }).code !== 'REPOSITORY_EXISTS') throw error;
}
