/**
 * Blobs that are damaged or missing are stored again, whole, wherever their content can still be had:
 * from another copy in the repository, from the files they came from, or from a copy of the
 * repository (`healer.ts`). Nothing is taken on trust: what is stored is what has the id.
 *
 * New packs stand beside the damaged ones, which are left to a collection. A blob counts as healed
 * when the pack it was stored in has been read back and verified. One base that is healed heals every
 * delta on it.
 */
import { CorruptionError } from '../../errors.ts';
import type { PackInfo } from '../../index/pack-states.ts';
import { beginSession } from '../../repository/begin-session.ts';
import { demandCollectable } from '../../repository/open-repository.ts';
import { openFixedAccess, ReadAccess } from '../../repository/read-access.ts';
import type { Repository } from '../../repository/repository.ts';
import { inspectRepository } from '../check.ts';
import type { Finding } from '../finding.ts';
import { readPacks } from '../read-packs.ts';
import { type HealedCounts, Healer, type HealSources } from './healer.ts';
import { isWanted, type Repair, type RepairOptions } from './repair-options.ts';

export interface PacksRepairOptions
  extends RepairOptions<PacksRepair>,
    Pick<HealSources, 'live' | 'from'> {
  /** Read all data first, to find damage that is not known yet. */
  isReadingData?: boolean | undefined;
}

export interface PacksRepair extends Repair {
  /** Blobs that were stored again and read back, by where they came from; of a plan: would be. */
  healed: HealedCounts;
  /** What hurts snapshots still. */
  lost: Finding[];
  storedBytes: number;
}

/** A page that is healed may show what is lost below it: one level in each pass. */
const PASSES_MAX = 32;

/** @throws VersionError, CorruptionError, StorageError */
export async function repairPacks(
  repository: Repository,
  options: PacksRepairOptions = {},
): Promise<PacksRepair> {
  demandCollectable(repository);
  let repair = await repairOnce(repository, options);
  // The last one finds nothing more to do, and what it misses is what is lost.
  for (let pass = 1; repair.isApplied && pass < PASSES_MAX; pass++) {
    const again = { ...options, isReadingData: false, confirm: undefined };
    const more = await repairOnce(repository, again);
    repair = {
      isApplied: true,
      healed: sumOf(repair.healed, more.healed),
      lost: more.lost,
      storedBytes: repair.storedBytes + more.storedBytes,
    };
    if (!more.isApplied) break;
  }
  return repair;
}

function sumOf(a: HealedCounts, b: HealedCounts): HealedCounts {
  return {
    repository: a.repository + b.repository,
    live: a.live + b.live,
    from: a.from + b.from,
  };
}

async function repairOnce(
  repository: Repository,
  options: PacksRepairOptions,
): Promise<PacksRepair> {
  const { signal, onProgress, isReadingData } = options;
  const inspected = await inspectRepository(repository, { isReadingData, signal, onProgress });
  const { result, losses } = inspected;
  const lost = result.findings.filter(({ kind }) => /^blob-(missing|unreadable)$/.test(kind));
  const found = await openFixedAccess(repository, { signal });
  const planner = new Healer({ repository, access: found, session: undefined, options });
  await planner.heal(losses);
  const { counts: healed } = planner;
  const left = await planner.left(lost, losses);
  const plan = { healed, lost: left, storedBytes: 0, isApplied: false };
  const count = healed.repository + healed.live + healed.from;
  if (count === 0 || !(await isWanted(plan, options))) return plan;
  const session = await beginSession(repository, { purpose: 'repack', signal });
  try {
    const { sync, view } = session;
    const before = new Set([...sync.index.packs()].map(({ packNo }) => packNo));
    const access = new ReadAccess(repository, { view, sync, signal, mayRebuild: false });
    const healer = new Healer({ repository, access, session, options });
    await healer.heal(losses);
    await session.settle();
    const packs = [...sync.index.packs()].filter(({ packNo }) => !before.has(packNo));
    await readBack(packs, { repository, access, signal });
    await session.close();
    return {
      isApplied: true,
      healed: healer.counts,
      lost: await healer.left(lost, losses),
      storedBytes: session.counts.storedBytes,
    };
  } catch (error) {
    await session.abort();
    throw error;
  }
}

/** As `check --read-data` would. */
async function readBack(
  packs: readonly PackInfo[],
  place: { repository: Repository; access: ReadAccess; signal: AbortSignal | undefined },
): Promise<void> {
  const results = await readPacks({ ...place, packs, onRead: () => {} });
  for (const { findings } of results) {
    const [finding] = findings;
    if (finding === undefined) continue;
    const { object, message } = finding;
    const expected = 'what was just written; nothing is healed by it';
    throw new CorruptionError({ kind: 'new pack', which: object, found: message, expected });
  }
}
