/**
 * Packs that are there and that no readable index segment names are named again, by new segments of
 * level 0. The segments that are damaged stay where they are: they are listed as suspects, and only a
 * collection deletes.
 *
 * What a pack holds is read from its own directory, or, where that is damaged too, is what this
 * client knew from the segment while it was good.
 */
import { CorruptionError, NotFoundError } from '../../errors.ts';
import type { PackName } from '../../id.ts';
import { type PackRecord, packStorageName } from '../../pack/pack-record.ts';
import { beginSession } from '../../repository/begin-session.ts';
import {
  type IndexSync,
  type ListedPack,
  readNamedPacks,
  syncIndex,
} from '../../repository/index-sync.ts';
import { demandCollectable } from '../../repository/open-repository.ts';
import { readPackDirectory } from '../../repository/pack-access.ts';
import type { Repository } from '../../repository/repository.ts';
import { type DamagedObject, loadView, type View } from '../../repository/view.ts';
import { isWanted, type Repair, type RepairOptions } from './repair-options.ts';

export interface IndexRepair extends Repair {
  /** Storage names of packs that are named again, which was read back; of a plan, would be. */
  packs: string[];
  /** Packs that cannot be named: their directories are damaged. */
  unreadable: DamagedObject[];
  /** Segments that are damaged; they are left where they are. */
  suspects: DamagedObject[];
}

/** @throws VersionError, BusyError, CorruptionError, StorageError */
export async function repairIndex(
  repository: Repository,
  options: RepairOptions<IndexRepair> = {},
): Promise<IndexRepair> {
  demandCollectable(repository);
  const { signal } = options;
  const view = await loadView(repository, 'write');
  const found = await findUnnamed(repository, await syncIndex(repository, view, options), {
    view,
    signal,
  });
  const { suspects, unreadable } = found;
  const planned = found.records.map(packStorageName).sort();
  const plan = { packs: planned, unreadable, suspects, isApplied: false };
  if (planned.length === 0 || !(await isWanted(plan, options))) return plan;
  const session = await beginSession(repository, { purpose: 'repack', signal });
  try {
    for (const record of found.records) {
      const isDead = session.view.collector.deadPacks.has(record.name);
      if (!isDead) await adoptIfThere(session, record);
    }
    await session.settle();
    const { named } = await readNamedPacks(repository, { signal });
    await session.close();
    const packs = found.records.filter(({ name }) => named.has(name)).map(packStorageName);
    return { packs: packs.sort(), unreadable, suspects, isApplied: true };
  } catch (error) {
    await session.abort();
    throw error;
  }
}

async function adoptIfThere(
  session: Awaited<ReturnType<typeof beginSession>>,
  record: PackRecord,
): Promise<void> {
  try {
    await session.adopt(record);
  } catch (error) {
    if (!(error instanceof NotFoundError)) throw error; // A collection was faster.
  }
}

/** Packs that are there and in no readable segment. */
async function findUnnamed(
  repository: Repository,
  sync: IndexSync,
  { view, signal }: { view: View; signal: AbortSignal | undefined },
): Promise<{ records: PackRecord[]; unreadable: DamagedObject[]; suspects: DamagedObject[] }> {
  const { named, damaged: suspects } = await readNamedPacks(repository, { signal });
  const { deadPacks } = view.collector;
  const isUnnamed = (name: PackName): boolean => !named.has(name) && !deadPacks.has(name);
  const records: PackRecord[] = [];
  const unreadable: DamagedObject[] = [];
  for (const pack of sync.listed.values()) {
    if (!isUnnamed(pack.name)) continue;
    signal?.throwIfAborted();
    try {
      records.push(await readRecord(repository, sync, { pack, signal }));
    } catch (error) {
      if (error instanceof NotFoundError) continue;
      if (!(error instanceof CorruptionError)) throw error;
      unreadable.push({ name: packStorageName(pack), error });
    }
  }
  return { records, unreadable, suspects };
}

async function readRecord(
  repository: Repository,
  { index }: IndexSync,
  { pack, signal }: { pack: ListedPack; signal: AbortSignal | undefined },
): Promise<PackRecord> {
  try {
    return (await readPackDirectory(repository, pack, { signal })).record;
  } catch (error) {
    const packNo = index.packNo(pack.name);
    const known = packNo === undefined ? undefined : index.record(packNo);
    if (known === undefined || known.length !== pack.size) throw error;
    return known;
  }
}
