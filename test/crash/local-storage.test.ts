/**
 * The local backend against power cuts and failing disks: one scripted run, stopped before each of
 * its calls to the file system, with many possible disks after each stop; then the same run with an
 * error at each call. Two planted bugs show that the harness sees what it is there to see.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { StorageError } from '../../src/errors.ts';
import type { StorageFs } from '../../src/storage/file-system.ts';
import { createLocalStorage, openLocalStorage } from '../../src/storage/local.ts';
import type { Storage } from '../../src/storage/storage.ts';
import { equalBytes } from '../../src/util/bytes.ts';
import {
  type FsCall,
  type FsFault,
  failAtCall,
  recordFs,
  refuseOperation,
  Stopped,
  skipOperation,
  stopAtCall,
} from '../helpers/intercepted-fs.ts';
import { chosenName, dataName } from '../helpers/object-names.ts';
import { seededRandom } from '../helpers/seeded-random.ts';
import { type CrashMode, SimFs } from '../helpers/sim-fs.ts';

const ROOT = '/backup/repository';
const MODES: readonly CrashMode[] = ['ordered', 'weak'];

/** What the run did and was told, to be compared with what is found afterwards. */
class Ledger {
  /** The only bytes that may ever be found under a name. */
  readonly contents = new Map<string, Uint8Array>();
  /** Acknowledged and durable by the promises of `Storage`. */
  readonly durable = new Set<string>();
  /** Deleted durably, and not stored again. */
  readonly deleted = new Set<string>();
  /** Acknowledged, and to be noted as durable by the next sync that succeeds. */
  readonly #changes = new Set<{ readonly name: string; readonly into: Set<string> }>();

  async put(storage: Storage, bytes: Uint8Array): Promise<void> {
    const name = this.#begin(dataName(bytes), bytes);
    await storage.put(name, bytes);
    this.#changes.add({ name, into: this.durable });
  }

  async putIfAbsent(storage: Storage, name: string, bytes: Uint8Array): Promise<void> {
    this.#begin(name, bytes);
    await storage.putIfAbsent(name, bytes);
    this.durable.add(name);
  }

  async delete(storage: Storage, name: string): Promise<void> {
    this.durable.delete(name);
    await storage.delete(name);
    this.#changes.add({ name, into: this.deleted });
  }

  async sync(storage: Storage): Promise<void> {
    const acknowledged = [...this.#changes];
    await storage.sync();
    for (const change of acknowledged) {
      change.into.add(change.name);
      this.#changes.delete(change);
    }
  }

  #begin(name: string, bytes: Uint8Array): string {
    this.contents.set(name, bytes);
    this.deleted.delete(name);
    return name;
  }
}

type Step = (storage: Storage, ledger: Ledger) => Promise<void>;

/** A small session: packs in several shards, two at a time, one twice; then a commit and cleaning. */
function sessionSteps(): Step[] {
  const random = seededRandom(7);
  const small = random.bytes(700);
  const large = random.bytes(3000);
  const larger = random.bytes(5000);
  const last = random.bytes(1200);
  const empty = new Uint8Array(0);
  const session = chosenName('sessions', 1);
  const intent = random.bytes(300);
  const manifest = random.bytes(900);
  return [
    (storage, ledger) => ledger.putIfAbsent(storage, 'config', empty),
    (storage, ledger) => ledger.putIfAbsent(storage, session, intent),
    (storage, ledger) => ledger.put(storage, small),
    async (storage, ledger) => {
      await settleAll([ledger.put(storage, large), ledger.put(storage, larger)]);
    },
    (storage, ledger) => ledger.put(storage, small),
    (storage, ledger) => ledger.sync(storage),
    (storage, ledger) => ledger.put(storage, empty),
    async (storage, ledger) => {
      await settleAll([ledger.sync(storage), ledger.put(storage, last)]);
    },
    (storage, ledger) => ledger.sync(storage),
    (storage, ledger) => ledger.putIfAbsent(storage, chosenName('snapshots', 1), manifest),
    (storage, ledger) => ledger.delete(storage, session),
    (storage, ledger) => ledger.sync(storage),
  ];
}

/** Waits for all, then throws the first error. */
async function settleAll(calls: Promise<void>[]): Promise<void> {
  for (const result of await Promise.allSettled(calls)) {
    if (result.status === 'rejected') throw result.reason;
  }
}

async function runSession(fs: StorageFs, ledger: Ledger, salt = 3): Promise<void> {
  const storage = await createLocalStorage(ROOT, { fs, random: seededRandom(salt) });
  for (const step of sessionSteps()) await step(storage, ledger);
}

/** What is wrong with the repository that was found, one line for each finding. */
async function findLosses(fs: StorageFs, ledger: Ledger): Promise<string[]> {
  const findings: string[] = [];
  const found = new Set<string>();
  const storage = await openLocalStorage(ROOT, { fs }).catch(() => undefined);
  if (storage !== undefined) {
    for await (const { name } of storage.list('')) {
      found.add(name);
      const expected = ledger.contents.get(name);
      if (expected === undefined) findings.push(`foreign ${name}`);
      else if (!equalBytes(await storage.get(name), expected)) findings.push(`wrong ${name}`);
    }
  }
  for (const name of ledger.durable) if (!found.has(name)) findings.push(`lost ${name}`);
  for (const name of ledger.deleted) if (found.has(name)) findings.push(`back again ${name}`);
  return findings;
}

/** Calls to the file system that the whole session makes. */
async function countCalls(change: (fs: StorageFs) => StorageFs): Promise<number> {
  const { fs, calls } = recordFs(change(new SimFs()));
  await runSession(fs, new Ledger());
  return calls.length;
}

/** Stops the session before each call and at its end; hands each disk that may be left to `visit`. */
async function forEachCrash(
  change: (fs: StorageFs) => StorageFs,
  visit: (after: SimFs, ledger: Ledger, where: string) => Promise<void>,
  disksPerStop = 20,
): Promise<number> {
  const callCount = await countCalls(change);
  let crashCount = 0;
  for (let n = 0; n <= callCount; n++) {
    const sim = new SimFs();
    const ledger = new Ledger();
    await runSession(stopAtCall(change(sim), n), ledger).catch(ignoreStopped);
    for (const mode of MODES) {
      for (let seed = 0; seed < disksPerStop; seed++) {
        await visit(sim.crash(seed, mode), ledger, `call ${n}, ${mode}, seed ${seed}`);
        crashCount++;
      }
    }
  }
  return crashCount;
}

function ignoreStopped(error: unknown): void {
  if (!(error instanceof Stopped)) throw error;
}

const unchanged = (fs: StorageFs): StorageFs => fs;

test('a power cut at any call loses nothing acknowledged and tears nothing', async (t) => {
  const count = await forEachCrash(unchanged, async (after, ledger, where) => {
    assert.deepEqual(await findLosses(after, ledger), [], where);
  });

  t.diagnostic(`${count} crash states`);
});

test('after a power cut at any call the session can be run again', async () => {
  const runAgain = async (after: SimFs, _ledger: Ledger, where: string): Promise<void> => {
    const again = new Ledger();

    await runSession(after, again, 4);

    assert.deepEqual(await findLosses(after.crash(1, 'weak'), again), [], where);
  };

  await forEachCrash(unchanged, runAgain, 3);
});

test('after a power cut without hard links packs are whole, acknowledged objects are there', async () => {
  const withoutLinks = (fs: StorageFs): StorageFs => refuseOperation(fs, 'link', 'EPERM');

  await forEachCrash(withoutLinks, async (after, ledger, where) => {
    const isClaim = (finding: string): boolean =>
      finding.startsWith('wrong ') && !finding.startsWith('wrong data/');
    const claimed = (finding: string): string => finding.slice('wrong '.length);

    const findings = await findLosses(after, ledger);

    const harmless = findings.filter(
      (finding) => isClaim(finding) && !ledger.durable.has(claimed(finding)),
    );
    assert.deepEqual(findings, harmless, where);
  });
});

for (const operation of ['syncFile', 'syncDirectory'] as const) {
  test(`a storage whose ${operation} does nothing is caught in both modes`, async (t) => {
    const caught = { ordered: 0, weak: 0 };

    await forEachCrash(
      (fs) => skipOperation(fs, operation),
      async (after, ledger, where) => {
        const findings = await findLosses(after, ledger);
        if (findings.length > 0) caught[where.includes('weak') ? 'weak' : 'ordered']++;
      },
    );

    t.diagnostic(`states with losses: ${caught.ordered} ordered, ${caught.weak} weak`);
    assert.ok(caught.ordered > 0 && caught.weak > 0);
  });
}

/** Runs the session with one fault; a step that fails is ignored, as long as it says so properly. */
async function runWithFault(fault: FsFault): Promise<{
  sim: SimFs;
  ledger: Ledger;
  failed: Step[];
  storage: Storage | undefined;
  hit: FsCall[];
}> {
  const sim = new SimFs();
  const ledger = new Ledger();
  const hit: FsCall[] = [];
  const fs = failAtCall(sim, {
    ...fault,
    onFailure: (call) => {
      hit.push(call);
      if (call.operation === 'syncFile') sim.forgetUnsynced(call.path);
    },
  });
  const failed: Step[] = [];
  const storage = await createLocalStorage(ROOT, { fs, random: seededRandom(3) }).catch(
    demandStorageError,
  );
  if (storage !== undefined) {
    for (const step of sessionSteps()) {
      await step(storage, ledger).catch((error: unknown) => {
        demandStorageError(error);
        failed.push(step);
      });
    }
  }
  return { sim, ledger, failed, storage, hit };
}

function demandStorageError(error: unknown): undefined {
  assert.ok(error instanceof StorageError, `StorageError, not ${error}`);
}

for (const code of ['EIO', 'ENOSPC']) {
  for (const [title, kind] of Object.entries({
    once: {},
    'from then on': { isLasting: true },
    'after the call was made': { isApplied: true },
  })) {
    test(`${code} at any call, ${title}, is told truthfully`, async () => {
      const callCount = await countCalls(unchanged);
      for (let at = 0; at < callCount; at++) {
        const { sim, ledger } = await runWithFault({ at, code, ...kind });

        for (let seed = 0; seed < 5; seed++) {
          const findings = await findLosses(sim.crash(seed, 'weak'), ledger);
          assert.deepEqual(findings, [], `call ${at}, seed ${seed}`);
        }
        assert.deepEqual(await findLosses(sim, ledger), [], `call ${at}`);
        const again = new Ledger();
        await runSession(sim, again, 4);
        assert.deepEqual(await findLosses(sim.crash(1, 'weak'), again), [], `after call ${at}`);
      }
    });
  }

  test(`${code} once leaves the storage usable unless a directory fsync failed`, async () => {
    const callCount = await countCalls(unchanged);
    for (let at = 0; at < callCount; at++) {
      const { ledger, failed, storage, hit } = await runWithFault({ at, code });
      if (storage === undefined || hit[0]?.operation === 'syncDirectory') continue;

      for (const step of failed) await step(storage, ledger);
      await ledger.sync(storage);
    }
  });

  test(`${code} at a directory fsync fails every later sync, until the storage is reopened`, async () => {
    const sim = new SimFs();
    await createLocalStorage(ROOT, { fs: sim });
    let isBroken = true;
    const { fs } = recordFs(sim);
    const storage = await openLocalStorage(ROOT, {
      fs: {
        ...fs,
        openDirectory: async (path) => ({
          ...(await fs.openDirectory(path)),
          sync: async () => {
            if (isBroken) throw Object.assign(new Error(code), { code });
          },
        }),
      },
    });

    await assert.rejects(storage.putIfAbsent('config', Uint8Array.of(1)), StorageError);
    isBroken = false;

    await assert.rejects(storage.sync(), StorageError);
    await assert.rejects(
      storage.putIfAbsent(chosenName('keys', 1), Uint8Array.of(1)),
      StorageError,
    );
    const reopened = await openLocalStorage(ROOT, { fs });
    assert.equal(await reopened.putIfAbsent('config', Uint8Array.of(1)), 'exists');
  });
}
