/**
 * Every state of the disk that a power cut may leave of one run: before each call to the file system
 * the simulated disk is asked what might survive, under several seeds and both modes. The run itself
 * goes on, so one run gives the states of all its stops; equal states are kept once.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { cpSync } from 'node:fs';
import type { StorageFs } from '../../src/storage/file-system.ts';
import { createLocalStorage } from '../../src/storage/local.ts';
import type { Storage } from '../../src/storage/storage.ts';
import { interceptStorage, StorageStopped } from './fault-storage.ts';
import { interceptFs } from './intercepted-fs.ts';
import {
  findLosses,
  type Home,
  initStorage,
  Ledger,
  MemoryStateFs,
  namesIn,
  newHome,
  snapshotTree,
  sourceTree,
  withClient,
} from './repository-crash.ts';
import { seededRandom } from './seeded-random.ts';
import { type CrashMode, SimFs } from './sim-fs.ts';

export const STORAGE_ROOT = '/backup/repository';
const MODES: readonly CrashMode[] = ['ordered', 'weak'];

/** How a run differs from a right one: planted bugs. */
export interface Change {
  readonly fs?: (fs: StorageFs) => StorageFs;
  readonly storage?: (storage: Storage) => Storage;
}

export interface CrashState {
  readonly disk: SimFs;
  /** What had been acknowledged by then. */
  readonly ledger: Ledger;
  /** Cache and writer state as they were, where they were kept. */
  readonly home: Home | undefined;
  readonly where: string;
}

export interface CrashOptions {
  /** Directory for caches. */
  readonly directory: string;
  readonly seedsPerStop: number;
  /** Keep the home at every so many calls. */
  readonly homeInterval: number;
  readonly change?: Change;
  readonly script?: Script;
}

export type Script = (
  fs: StorageFs,
  ledger: Ledger,
  options: { home: Home; change?: Change | undefined },
) => Promise<void>;

/** `init`, and two snapshots by two clients, one after the other. */
export const runScript: Script = async (fs, ledger, { home, change }) => {
  const storage = await createStorage(fs, { salt: 3, change });
  await ledger.init(storage);
  for (const version of [1, 2]) {
    await withClient(storage, { home, salt: 10 + version }, async (repository) => {
      await ledger.snapshot(repository, sourceTree(version));
    });
  }
};

/** `init` and a snapshot that is large enough for a data pack and a metadata pack. */
export const runLargeSnapshot: Script = async (fs, ledger, { home, change }) => {
  const storage = await createStorage(fs, { salt: 3, change });
  await ledger.init(storage);
  await withClient(storage, { home, salt: 11 }, async (repository) => {
    await ledger.snapshot(repository, sourceTree(1, 2_600_000));
  });
  assert.equal((await namesIn(storage, 'data/')).length, 1, 'a data pack of its own');
};

/**
 * `init`, a client that dies as soon as its pack has a name that nothing made durable, and another
 * one that adopts the pack. `change` is that of the second client.
 */
export const runAdoption: Script = async (fs, ledger, { home, change }) => {
  const storage = await createStorage(fs, { salt: 3 });
  await ledger.init(storage);
  let isDead = false;
  const dying = interceptStorage(storage, async ({ operation, name }, run) => {
    isDead ||= operation === 'stat' && name.startsWith('meta/');
    if (isDead) throw new StorageStopped('stopped');
    return await run();
  });
  await withClient(dying, { home, salt: 11 }, async (repository) => {
    await snapshotTree(repository, sourceTree(1));
  }).catch((error: unknown) => {
    if (!(error instanceof StorageStopped)) throw error;
  });
  const living = await createStorage(fs, { salt: 4, change });
  await withClient(living, { home, salt: 12 }, async (repository) => {
    const { newBytes } = await ledger.snapshot(repository, sourceTree(1));
    assert.equal(newBytes, 0, 'the pack was adopted');
  });
};

async function createStorage(
  fs: StorageFs,
  { salt, change }: { salt: number; change?: Change | undefined },
): Promise<Storage> {
  const storage = await createLocalStorage(STORAGE_ROOT, {
    fs: change?.fs?.(fs) ?? fs,
    random: seededRandom(salt),
  });
  return change?.storage?.(storage) ?? storage;
}

export async function collectCrashes(options: CrashOptions): Promise<CrashState[]> {
  const { directory, seedsPerStop, homeInterval, script = runScript } = options;
  const sim = new SimFs();
  const ledger = new Ledger();
  const home = newHome(directory);
  const states: CrashState[] = [];
  let n = 0;
  const stop = (): void => {
    const homeThen = n % homeInterval === 0 ? copyHome(home, directory) : undefined;
    const ledgerThen = ledger.copy();
    for (const mode of MODES) {
      for (let seed = 0; seed < seedsPerStop; seed++) {
        const disk = sim.crash(1000 * n + seed, mode);
        const where = `call ${n}, ${mode}, seed ${seed}`;
        const isFirst = states.at(-1)?.ledger !== ledgerThen;
        states.push({ disk, ledger: ledgerThen, home: isFirst ? homeThen : undefined, where });
      }
    }
    n += 1;
  };
  const watched = interceptFs(sim, (_call, run) => {
    stop();
    return run();
  });
  await script(watched, ledger, { home, change: options.change });
  stop();
  return await distinct(states);
}

function copyHome(home: Home, directory: string): Home {
  const copy: Home = { ...newHome(directory), stateFs: new MemoryStateFs() };
  cpSync(home.cacheDirectory, copy.cacheDirectory, { recursive: true });
  for (const [path, content] of home.stateFs.files) copy.stateFs.files.set(path, content);
  copy.stateFs.reboot();
  return copy;
}

/** Unfinished files do not tell states apart; a state with a home is always kept. */
async function distinct(states: readonly CrashState[]): Promise<CrashState[]> {
  const kept: CrashState[] = [];
  const seen = new Set<string>();
  for (const state of states) {
    const key = `${state.ledger.acknowledged.size} ${await digest(state.disk)}`;
    if (seen.has(key) && state.home === undefined) continue;
    seen.add(key);
    kept.push(state);
  }
  return kept;
}

async function digest(fs: StorageFs): Promise<string> {
  const hash = createHash('sha256');
  const visit = async (path: string): Promise<void> => {
    for (const { name, isDirectory } of await fs.readDirectory(path === '' ? '/' : path)) {
      const below = `${path}/${name}`;
      hash.update(`${below}\n`);
      if (below === `${STORAGE_ROOT}/tmp`) continue;
      if (isDirectory) await visit(below);
      else hash.update(await readWhole(fs, below));
    }
  };
  await visit('');
  return hash.digest('hex');
}

async function readWhole(fs: StorageFs, path: string): Promise<Uint8Array> {
  const file = await fs.openFile(path);
  const bytes = new Uint8Array((await file.stat()).size);
  await file.read(bytes, 0);
  await file.close();
  return bytes;
}

/** Judges a repository as found after a stop, then uses it once more; no repair comes between. */
export async function findLossesAfter(state: CrashState, directory: string): Promise<string[]> {
  const { disk, ledger } = state;
  const home = state.home ?? newHome(directory);
  return await findLossesOnDisk(disk, ledger, home);
}

export async function findLossesOnDisk(
  disk: StorageFs,
  ledger: Ledger,
  home: Home,
): Promise<string[]> {
  const random = seededRandom(77);
  const storage = await createLocalStorage(STORAGE_ROOT, { fs: disk, random });
  if (!ledger.isInitialised) await initStorage(storage, 78).catch(ignoreExisting);
  return await withClient(storage, { home, salt: 79 }, async (repository) => {
    const losses = await findLosses(repository, ledger);
    if (losses.length > 0) return losses;
    const after = ledger.copy();
    await after.snapshot(repository, sourceTree(2));
    return await findLosses(repository, after);
  });
}

function ignoreExisting(error: unknown): void {
  if ((error as { code?: string }).code !== 'REPOSITORY_EXISTS') throw error;
}
