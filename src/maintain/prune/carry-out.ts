/**
 * Step 8 of a collection: the packs of a stored sweep are deleted, then the generation is marked as
 * done. Anybody may do that or repeat it at any time, since names of packs are never used again; what
 * is deleted is what stands in the stored sweep, and nothing else.
 */
import type { PackName } from '../../id.ts';
import type { SaltSource } from '../../keys/salt-source.ts';
import { packStorageName } from '../../pack/pack-record.ts';
import { encodeDone } from '../../record/collector-records.ts';
import { OBJECT_KIND } from '../../record/object-kind.ts';
import { sealObject } from '../../record/sealed-object.ts';
import { generationName } from '../../repository/collector-state.ts';
import { relyOn } from '../../repository/rely-on.ts';
import type { RepositoryCore } from '../../repository/repository.ts';
import { pass } from './failpoints.ts';

export interface SweptGeneration {
  generation: number;
  /** SHA-256 of the sweep's file, hex. */
  hash: string;
  delete: readonly string[];
}

/**
 * Deletes what the sweep names. A pack lies among the data packs or among the metadata packs; which,
 * only a listing can say.
 * @param listed names of packs in storage, by their hash.
 */
export async function carryOut(
  core: RepositoryCore,
  sweep: SweptGeneration,
  options: {
    listed: ReadonlyMap<PackName, Parameters<typeof packStorageName>[0]>;
    newSalt: SaltSource;
    signal: AbortSignal | undefined;
    onDeleted: (name: PackName) => void;
  },
): Promise<void> {
  const { storage, keys } = core;
  const { listed, newSalt, signal, onDeleted } = options;
  await relyOn(storage, [generationName(sweep.generation, 'sweep')]);
  await pass('prune.8.before');
  for (const name of sweep.delete as PackName[]) {
    const pack = listed.get(name);
    if (pack === undefined) continue;
    signal?.throwIfAborted();
    await storage.delete(packStorageName(pack));
    onDeleted(name);
    await pass('prune.8.deleted');
  }
  await storage.sync();
  const name = generationName(sweep.generation, 'done');
  const payload = encodeDone({ generation: sweep.generation, sweep: sweep.hash });
  const identity = { kind: OBJECT_KIND.sweep, name };
  await storage.putIfAbsent(name, sealObject(keys, identity, { payload, salt: newSalt }));
  await pass('prune.8.after');
}
