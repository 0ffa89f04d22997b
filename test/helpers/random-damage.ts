/** Random damage to the objects of a repository, and repairs after it: nothing may disappear (R09). */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { VarveError } from '../../src/errors.ts';
import { repairIndex } from '../../src/maintain/repair/repair-index.ts';
import { repairPacks } from '../../src/maintain/repair/repair-packs.ts';
import { repairSnapshots } from '../../src/maintain/repair/repair-snapshots.ts';
import type { Storage } from '../../src/storage/storage.ts';
import { describeDirectory } from './fault-place.ts';
import { flipBit, interceptStorage } from './fault-storage.ts';
import { b } from './raw-path.ts';
import { assertKept, objectHashes } from './repaired.ts';
import { type SeededRandom, seededRandom } from './seeded-random.ts';
import { tempDir } from './temp-dir.ts';
import {
  check,
  copyStorage,
  inScope,
  newStorage,
  objectNames,
  openClient,
  replaceObject,
  restore,
  type Scope,
  snapshot,
  type Taken,
} from './test-repository.ts';

export interface DamageWorld {
  sound: Storage;
  source: string;
  taken: Taken[];
  /** What each snapshot holds (`describeDirectory`), by its id. */
  contents: Map<string, string>;
}

/** What is done to an object; flips come most often. */
const DAMAGES = ['gone', 'cut', 'emptied', 'junk', 'flip', 'flip'] as const;

/** Four snapshots of a tree that grows and changes. */
export async function damageWorld(scope: Scope): Promise<DamageWorld> {
  const sound = await newStorage();
  const client = await openClient(scope, sound);
  const source = join(tempDir(scope), 'source');
  const taken: Taken[] = [];
  const contents = new Map<string, string>();
  for (let i = 0; i < 4; i++) {
    mkdirSync(join(source, `directory-${i}`), { recursive: true });
    writeFileSync(join(source, `directory-${i}`, 'file'), seededRandom(i).bytes(20_000));
    writeFileSync(join(source, 'changing'), seededRandom(10 + i).bytes(3000));
    const one = await snapshot(client, [source]);
    taken.push(one);
    contents.set(one.id, describeDirectory(source));
  }
  await client.repository.close();
  return { sound, source, taken, contents };
}

/** One to four objects flipped, cut, emptied, replaced or taken away; gives what was done to which. */
export async function damageAtRandom(storage: Storage, random: SeededRandom): Promise<string[]> {
  const names = (await objectNames(storage)).filter((name) => !/^(config|keys)/.test(name));
  const done: string[] = [];
  for (let i = 0; i <= random.below(4); i++) {
    const name = names[random.below(names.length)] as string;
    const bytes = await storage.get(name).catch(() => undefined);
    if (bytes === undefined || bytes.length === 0) continue;
    const what = DAMAGES[random.below(DAMAGES.length)] as string;
    done.push(`${what} ${name}`);
    if (what === 'gone') await storage.delete(name);
    else if (what === 'cut')
      await replaceObject(storage, name, bytes.subarray(0, random.below(bytes.length)));
    else if (what === 'emptied') await replaceObject(storage, name, new Uint8Array(0));
    else if (what === 'junk') await replaceObject(storage, name, random.bytes(bytes.length));
    else await replaceObject(storage, name, flipBit(bytes, random.below(8 * bytes.length)));
  }
  return done;
}

/**
 * Damages a copy of the repository and runs every repair on it, with and without sources. Everything
 * that was there must still be, whatever is not hurt restores, and a repair says no more than it did.
 * Gives what was done to which object.
 */
export async function damageAndRepair(world: DamageWorld, salt: number): Promise<string[]> {
  const { sound, source } = world;
  const random = seededRandom(salt);
  const inner = await copyStorage(sound);
  const damages = await damageAtRandom(inner, random);
  const place = `salt ${salt}: ${damages.join(', ')}`;
  const before = await objectHashes(inner);
  const storage = interceptStorage(inner, async ({ operation, name }, run) => {
    // Sessions take their own records away when they end.
    const mayDelete = name.startsWith('sessions/') && !before.has(name);
    assert.ok(operation !== 'delete' || mayDelete, `${operation} ${name} ${place}`);
    return await run();
  });
  await inScope(async (scope) => {
    const { repository } = await openClient(scope, storage);
    const live = random.below(2) === 0 ? b(source) : undefined;
    const from = random.below(3) === 0 ? (await openClient(scope, sound)).repository : undefined;
    for (const repair of [
      () => repairIndex(repository),
      () => repairPacks(repository, { live, from, isReadingData: true }),
      () => repairSnapshots(repository),
    ]) {
      await repair().catch((error: unknown) => {
        assert.ok(error instanceof VarveError, `${error} ${place}`);
      });
      await assertKept(inner, before, place);
    }
    await assertHonest(scope, { world, inner, place, isHealable: from !== undefined });
  });
  return damages;
}

/** A check names every snapshot that does not restore; with a good copy to take from, none is hurt. */
async function assertHonest(
  scope: Scope,
  after: { world: DamageWorld; inner: Storage; place: string; isHealable: boolean },
): Promise<void> {
  const {
    world: { taken, source, contents },
    inner,
    place,
  } = after;
  const reader = await openClient(scope, inner);
  const { findings } = await check(reader, true);
  const hurt = new Set<string>(findings.flatMap(({ snapshots }) => snapshots));
  const damagedNames = new Set(findings.map(({ object }) => object));
  const names = new Set(await objectNames(inner, 'snapshots/'));
  for (const one of taken) {
    const name = `snapshots/${one.id}`;
    if (hurt.has(one.id) || damagedNames.has(name) || !names.has(name)) continue;
    const target = tempDir(scope);
    const { errorCount } = await restore(reader, one, target);
    assert.equal(errorCount, 0, `${one.id} ${place}`);
    assert.equal(describeDirectory(join(target, source)), contents.get(one.id), place);
  }
  const isHealable = after.isHealable && names.size >= taken.length;
  if (isHealable && ![...damagedNames].some((name) => /^(snapshots|tombs|gc)/.test(name))) {
    assert.deepEqual([...hurt], [], place);
  }
}
