/**
 * The commit protocol against power cuts: `init` and two snapshots on the local backend over a disk
 * in memory that loses what it may lose. Whatever is found afterwards, every acknowledged snapshot
 * is there byte for byte, `check` finds no damage, and the next snapshot works without repair.
 * Planted bugs show that this harness sees what it is there to see.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { StorageFs } from '../../src/storage/file-system.ts';
import { createLocalStorage } from '../../src/storage/local.ts';
import type { Storage } from '../../src/storage/storage.ts';
import { interceptStorage, recordStorage } from '../helpers/fault-storage.ts';
import { interceptFs, Stopped, skipOperation } from '../helpers/intercepted-fs.ts';
import {
  Ledger,
  newHome,
  snapshotTree,
  sourceTree,
  withClient,
} from '../helpers/repository-crash.ts';
import {
  type Change,
  type CrashState,
  collectCrashes,
  findLossesAfter,
  findLossesOnDisk,
  runAdoption,
  type Script,
  STORAGE_ROOT,
} from '../helpers/repository-crash-states.ts';
import { seededRandom } from '../helpers/seeded-random.ts';
import { SimFs } from '../helpers/sim-fs.ts';
import { tempDir } from '../helpers/temp-dir.ts';

/** States judged in this file; `snapshot-power-cut.slow.ts` judges all. */
const STATE_COUNT = 120;

function sample(states: readonly CrashState[], count: number, salt: number): CrashState[] {
  const random = seededRandom(salt);
  const left = [...states];
  const chosen: CrashState[] = [];
  while (left.length > 0 && chosen.length < count) {
    chosen.push(...left.splice(random.below(left.length), 1));
  }
  return chosen;
}

test('a power cut at any call of init and snapshot loses nothing acknowledged', async (t) => {
  const directory = tempDir(t);
  const states = await collectCrashes({ directory, seedsPerStop: 6, homeInterval: 10 });
  const chosen = sample(states, STATE_COUNT, 5);

  for (const state of chosen) {
    assert.deepEqual(await findLossesAfter(state, directory), [], state.where);
  }

  t.diagnostic(`${chosen.length} of ${states.length} different states`);
});

test('a power cut after a pack of a killed writer was adopted loses nothing', async (t) => {
  const directory = tempDir(t);
  const script = runAdoption;
  const states = await collectCrashes({ directory, seedsPerStop: 6, homeInterval: 50, script });

  for (const state of sample(states, STATE_COUNT / 2, 8)) {
    assert.deepEqual(await findLossesAfter(state, directory), [], state.where);
  }

  t.diagnostic(`${states.length} different states`);
});

test('a snapshot makes the segment durable that a killed writer has left', async (t) => {
  const disk = new SimFs();
  const ledger = new Ledger();
  let salt = 30;
  const open = (fs: StorageFs = disk): Promise<Storage> => {
    salt += 1;
    return createLocalStorage(STORAGE_ROOT, { fs, random: seededRandom(salt) });
  };
  await ledger.init(await open());
  let isDead = false;
  const dying = interceptFs(disk, async ({ operation, path }, run) => {
    if (isDead) throw new Stopped('killed');
    const result = await run();
    isDead = operation === 'link' && path.includes('/index/');
    return result;
  });
  const options = { home: newHome(tempDir(t)), salt: 11 };
  const saving = withClient(await open(dying), options, (repository) =>
    snapshotTree(repository, sourceTree(1)),
  );
  await assert.rejects(saving, Stopped);
  await withClient(await open(), { home: newHome(tempDir(t)), salt: 12 }, async (repository) => {
    const { newBytes } = await ledger.snapshot(repository, sourceTree(1));
    assert.equal(newBytes, 0, 'everything was there');
  });

  const found = disk.cut({ below: (bound) => bound - 1 }, 'weak');
  assert.equal(found.filesBelow(`${STORAGE_ROOT}/index`).size, 1);
  assert.deepEqual(await findLossesOnDisk(found, ledger, newHome(tempDir(t))), []);
});

test('the same seed gives the same calls to the storage, name by name', async (t) => {
  const traces: string[][] = [];
  for (let i = 0; i < 2; i++) {
    const local = await createLocalStorage(STORAGE_ROOT, {
      fs: new SimFs(),
      random: seededRandom(3),
    });
    const { storage, calls } = recordStorage(local);
    const ledger = new Ledger();
    await ledger.init(storage);
    for (const salt of [11, 12]) {
      await withClient(storage, { home: newHome(tempDir(t)), salt }, async (repository) => {
        await ledger.snapshot(repository, sourceTree(salt));
      });
    }
    traces.push(calls);
  }

  assert.ok((traces[0] ?? []).length > 30);
  assert.deepEqual(traces[0], traces[1]);
});

/** Acknowledges puts below `prefix` at once, and makes them only after a put below `until`. */
function putLate(storage: Storage, prefixes: readonly string[], until: string): Storage {
  const late = new Map<string, Uint8Array>();
  const flush = async (): Promise<void> => {
    for (const [name, bytes] of late) await storage.put(name, bytes);
    late.clear();
    await storage.sync();
  };
  return {
    ...interceptStorage(storage, (_call, run) => run()),
    put: async (name, bytes) => {
      if (prefixes.some((prefix) => name.startsWith(prefix))) {
        late.set(name, bytes.slice());
        return;
      }
      await storage.put(name, bytes);
      if (name.startsWith(until)) {
        await storage.sync();
        await flush();
      }
    },
    putIfAbsent: async (name, bytes) => {
      const outcome = await storage.putIfAbsent(name, bytes);
      if (name.startsWith(until)) await flush();
      return outcome;
    },
    stat: async (name) => {
      const bytes = late.get(name);
      return bytes === undefined ? await storage.stat(name) : { size: bytes.length, modifiedMs: 0 };
    },
  };
}

const PLANTED_BUGS: Readonly<Record<string, Change & { script?: Script }>> = {
  'files are not synced': { fs: (fs) => skipOperation(fs, 'syncFile') },
  'directories are not synced': { fs: (fs) => skipOperation(fs, 'syncDirectory') },
  'the storage is not synced before a segment and the commit': {
    storage: (storage) =>
      interceptStorage(storage, async ({ operation }, run) =>
        operation === 'sync' ? (undefined as never) : await run(),
      ),
  },
  'the commit comes before its packs': {
    storage: (storage) => putLate(storage, ['data/', 'meta/'], 'snapshots/'),
  },
  'the commit comes before its segment': {
    storage: (storage) => putLate(storage, ['index/'], 'snapshots/'),
  },
  'a segment comes before its packs': {
    storage: (storage) => putLate(storage, ['data/', 'meta/'], 'index/'),
  },
  'an adopted pack is not made durable': {
    script: runAdoption,
    storage: (storage) =>
      interceptStorage(storage, async ({ operation }, run) =>
        operation === 'adopt' ? (undefined as never) : await run(),
      ),
  },
};

for (const [bug, { script, ...change }] of Object.entries(PLANTED_BUGS)) {
  test(`a planted bug is caught: ${bug}`, async (t) => {
    const directory = tempDir(t);
    const states = await collectCrashes({
      directory,
      seedsPerStop: 3,
      homeInterval: 1_000_000,
      change,
      ...(script !== undefined && { script }),
    });

    let judged = 0;
    for (const state of sample(states, states.length, 6)) {
      judged += 1;
      const losses = await findLossesAfter(state, directory).catch((error: Error) => [
        `failed: ${error.message}`,
      ]);
      if (losses.length === 0) continue;
      t.diagnostic(`state ${judged} of ${states.length}, ${state.where}: ${losses[0]}`);
      return;
    }
    assert.fail(`nothing found in ${judged} states`);
  });
}
