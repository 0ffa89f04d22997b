/**
 * A disk with a repository, the clients that use it and the ledger of what they were promised. All of
 * it can be copied, so a history is run once and every fault begins where it would strike.
 */
import { VarveError } from '../../src/errors.ts';
import { forget } from '../../src/maintain/forget.ts';
import { pruneRepository } from '../../src/maintain/prune/prune.ts';
import { repairIndex } from '../../src/maintain/repair/repair-index.ts';
import { repairPacks } from '../../src/maintain/repair/repair-packs.ts';
import { undelete } from '../../src/maintain/undelete.ts';
import { addKey, listKeySlots, removeKey } from '../../src/repository/manage-keys.ts';
import type { Repository } from '../../src/repository/repository.ts';
import type { StorageFs } from '../../src/storage/file-system.ts';
import { createLocalStorage, openLocalStorage } from '../../src/storage/local.ts';
import type { Storage } from '../../src/storage/storage.ts';
import { StorageStopped } from './fault-storage.ts';
import { Stopped, stopAtCall } from './intercepted-fs.ts';
import { RecordWriter } from './record-writer.ts';
import { type Home, initStorage, withClient } from './repository-crash.ts';
import { Killed, Schedule } from './schedule.ts';
import { seededRandom } from './seeded-random.ts';
import { copyCache, dropCache } from './sim-cache.ts';
import { SimFs } from './sim-fs.ts';
import { type SimBase, type SimMove, type SimStep, stepText } from './sim-history.ts';
import { describeDisk, diskClock, findFacts, newSimHome, SIM_ROOT } from './sim-judge.ts';
import { SimLedger } from './sim-ledger.ts';
import { saveVersion, versionText } from './sim-trees.ts';

const hourMs = 3_600_000;
const waitMs = 3 * hourMs;

/** Small packs, so that small trees fill some. */
const packTargets = { dataTarget: 2 ** 16, metadataTarget: 2 ** 15 };

export interface PerformOptions {
  /** What the clients see of the disk; default: all of it. */
  readonly fs?: StorageFs;
  /** What they see of a storage on it. */
  readonly storage?: (storage: Storage) => Storage;
}

export class SimWorld {
  readonly disk: SimFs;
  readonly ledger: SimLedger;
  readonly homes: Map<string, Home>;
  /** As it was before something was taken away. */
  #sound: SimFs | undefined;
  /** What happened, one line each. */
  readonly trace: string[] = [];
  /** Errors that no operation may end with. */
  readonly failures: string[] = [];

  constructor(
    disk: SimFs = new SimFs(),
    ledger: SimLedger = new SimLedger(),
    homes: Map<string, Home> = new Map(),
  ) {
    this.disk = disk;
    this.ledger = ledger;
    this.homes = homes;
  }

  /** The same once more. To be closed. */
  fork(disk: SimFs = this.disk.fork()): SimWorld {
    const world = new SimWorld(disk, this.ledger.copy(), this.copyHomes());
    world.#sound = this.#sound;
    return world;
  }

  /** Caches go; worlds are many. */
  close(): void {
    for (const { cacheDirectory } of this.homes.values()) dropCache(cacheDirectory);
  }

  copyHomes(): Map<string, Home> {
    return new Map([...this.homes].map(([client, home]) => [client, copyHome(home)]));
  }

  home(client: string): Home {
    let home = this.homes.get(client);
    if (home === undefined) {
      home = newSimHome();
      this.homes.set(client, home);
    }
    return home;
  }

  /** No process of a client lives any more. */
  reboot(): void {
    for (const { stateFs } of this.homes.values()) stateFs.reboot();
  }

  /** @returns whether everything was done and said to be. */
  async perform(step: SimStep, options: PerformOptions = {}): Promise<boolean> {
    this.trace.push(stepText(step));
    const { fs = this.disk } = options;
    const seen = { ...options, fs: step.stopAt === undefined ? fs : stopAtCall(fs, step.stopAt) };
    if (step.moves.length > 1) return await this.#performTogether(step, seen);
    return await this.#attempt(step.moves[0] as SimMove, () =>
      this.#performOne(step.moves[0] as SimMove, {
        ...seen,
        salt: step.salt,
        wait: async () => this.disk.pass(waitMs),
      }),
    );
  }

  async #performTogether({ moves, salt }: SimStep, options: PerformOptions): Promise<boolean> {
    const random = seededRandom(600_000_000 + salt);
    const schedule = new Schedule(random);
    let isDone = true;
    for (const [i, move] of moves.entries()) {
      const dice = random.below(4);
      const fate = dice > 1 ? undefined : { after: 1 + random.below(100), isKilled: dice === 0 };
      const storage = await this.#openStorage({ ...options, salt: salt + i });
      schedule.add(
        move.client,
        storage,
        async (seen, wait) => {
          const letPass = async (): Promise<void> => {
            this.disk.pass(waitMs);
            await wait();
          };
          const storageOf = (): Storage => seen;
          const done = await this.#attempt(move, () =>
            this.#performOne(move, {
              ...options,
              storage: storageOf,
              salt: salt + i,
              wait: letPass,
            }),
          );
          isDone &&= done;
        },
        fate,
      );
    }
    await schedule.run();
    this.trace.push(...schedule.trace.filter((line) => / is (killed|asleep)/.test(line)));
    return isDone;
  }

  /** An error of ours says that nothing was promised; a process that ended says nothing. */
  async #attempt({ client, action }: SimMove, run: () => Promise<void>): Promise<boolean> {
    try {
      await run();
      return true;
    } catch (error) {
      const isEnd =
        error instanceof Stopped || error instanceof Killed || error instanceof StorageStopped;
      if (isEnd) this.homes.get(client)?.stateFs.reboot();
      else if (!(error instanceof VarveError)) {
        this.failures.push(`${action} ends with an error of no kind: ${(error as Error).stack}`);
      }
      this.trace.push(`${client} ${action}: ${(error as Error).message}`);
      return false;
    }
  }

  async #openStorage({
    fs = this.disk,
    storage: see = (one) => one,
    salt,
  }: PerformOptions & { salt: number }): Promise<Storage> {
    const random = seededRandom(700_000_000 + salt);
    return see(await openLocalStorage(SIM_ROOT, { fs, random }));
  }

  async #performOne(
    { client, action, which }: SimMove,
    options: PerformOptions & { salt: number; wait: () => Promise<void> },
  ): Promise<void> {
    const { disk, ledger } = this;
    if (action === 'pass') return disk.pass(which * hourMs);
    if (action === 'lose-segment') return await this.#lose('index/', which);
    if (action === 'lose-pack') return await this.#lose('meta/', which);
    if (action === 'init') {
      const { fs = disk, salt } = options;
      const storage = await createLocalStorage(SIM_ROOT, { fs, random: seededRandom(salt) });
      await initStorage(options.storage?.(storage) ?? storage, salt + 1);
      ledger.isInitialised = true;
      return;
    }
    const storage = await this.#openStorage(options);
    const seen = {
      home: this.home(client),
      salt: 800_000_000 + options.salt,
      clock: diskClock(disk),
    };
    await withClient(storage, seen, async (repository) => {
      await this.#use(repository, { action, which, wait: options.wait });
    });
  }

  async #use(
    repository: Repository,
    { action, which, wait }: Pick<SimMove, 'action' | 'which'> & { wait: () => Promise<void> },
  ): Promise<void> {
    if (action === 'snapshot') return await this.#snapshot(repository, which);
    if (action === 'forget') return await this.#forget(repository, which);
    if (action === 'undelete') return await this.#undelete(repository, which);
    if (action === 'key-replace') return await replaceKeys(repository);
    if (action === 'rebuild') return await this.#rebuild(repository);
    if (action === 'heal') return await this.#heal(repository);
    if (action === 'key-add') await addKey(repository, { kind: 'none' });
    if (action === 'prune') await pruneRepository(repository, { wait });
    if (action === 'prune-now') {
      // Half of the collectors wait until sessions of others are taken for dead.
      const sessionTtlMs = which % 2 === 0 ? 0 : undefined;
      await pruneRepository(repository, { wait, graceMs: 0, sessionTtlMs });
    }
  }

  async #snapshot(repository: Repository, version: number): Promise<void> {
    const { allowed, acknowledged } = this.ledger;
    allowed.add(versionText(version));
    const { id } = await saveVersion(repository, version);
    acknowledged.set(id, versionText(version));
  }

  async #rebuild(repository: Repository): Promise<void> {
    await repairIndex(repository);
    if (this.ledger.hurt.size === 0) this.ledger.isDamaged = false;
  }

  async #forget(repository: Repository, which: number): Promise<void> {
    const { acknowledged, leaving, forgotten } = this.ledger;
    const ids = [...acknowledged.keys()].filter((id) => !leaving.has(id));
    const id = ids[which % Math.max(1, ids.length)];
    if (id === undefined) return;
    leaving.add(id);
    await forget(repository, { choice: { selectors: [id] }, mayEmpty: true });
    forgotten.add(id);
  }

  async #undelete(repository: Repository, which: number): Promise<void> {
    const { acknowledged, leaving } = this.ledger;
    const ids = [...leaving];
    const old = ids[which % Math.max(1, ids.length)];
    const text = acknowledged.get(old ?? '');
    if (old === undefined || text === undefined) return;
    const { id } = await undelete(repository, { selector: old });
    acknowledged.set(id, text);
  }

  /** An object is taken away; what cannot be read after that is hurt. */
  async #lose(prefix: string, which: number): Promise<void> {
    const { disk, ledger } = this;
    const names = [...describeDisk(disk).objects.keys()].filter((one) => one.startsWith(prefix));
    const name = names.sort()[which % Math.max(1, names.length)];
    if (name === undefined) return;
    disk.settle();
    this.#sound ??= disk.fork();
    await disk.unlink(`${SIM_ROOT}/${name}`);
    disk.settle();
    ledger.isDamaged = true;
    ledger.hasLostPack ||= prefix !== 'index/';
    const { snapshots } = await findFacts(disk, describeDisk(disk), true);
    for (const [id, text] of snapshots) if (text.startsWith('unreadable')) ledger.hurt.add(id);
  }

  async #heal(repository: Repository): Promise<void> {
    const { ledger } = this;
    const sound = this.#sound ?? this.disk;
    const fs = sound.fork();
    const storage = await openLocalStorage(SIM_ROOT, { fs, random: seededRandom(1) });
    const home = newSimHome();
    const seen = { home, salt: 2, clock: diskClock(fs) };
    const { lost } = await withClient(storage, seen, (from) =>
      repairPacks(repository, { from, isReadingData: true }),
    );
    dropCache(home.cacheDirectory);
    await repairIndex(repository);
    if (lost.length === 0) {
      ledger.hurt.clear();
      this.#sound = undefined;
    }
  }
}

/** What a change of the passphrase does, without the time that passphrases take. */
async function replaceKeys(repository: Repository): Promise<void> {
  const slots = await listKeySlots(repository);
  await addKey(repository, { kind: 'none' });
  for (const { id } of slots) await removeKey(repository, id);
}

function copyHome({ cacheDirectory, stateFs }: Home): Home {
  const copy = newSimHome();
  copyCache(cacheDirectory, copy.cacheDirectory);
  for (const [path, content] of stateFs.files) copy.stateFs.files.set(path, content);
  return copy;
}

/** Worlds to begin with, made once. */
const bases = new Map<SimBase, Promise<SimWorld>>();

/** A world of its own that begins so. */
export async function newWorld(base: SimBase): Promise<SimWorld> {
  let made = bases.get(base);
  if (made === undefined) {
    made = makeBase(base);
    bases.set(base, made);
  }
  return (await made).fork();
}

interface BaseShape {
  readonly snapshots: number;
  /** So many stay; when there are more the oldest is forgotten. */
  readonly kept: number;
  /** Every tree is another one: what was saved before would need no segment. */
  readonly isVaried?: boolean;
  /** Collected as often, and all of it is old. */
  readonly isOld?: boolean;
  /** Collected, long enough ago for what was replaced to go next time. */
  readonly isReplaced?: boolean;
}

const BASE_SHAPES: Readonly<Record<Exclude<SimBase, 'new'>, BaseShape>> = {
  two: { snapshots: 2, kept: 2 },
  forgotten: { snapshots: 6, kept: 3 },
  segments: { snapshots: 34, kept: 2, isVaried: true },
  compacted: { snapshots: 34, kept: 2, isVaried: true, isReplaced: true },
  records: { snapshots: 66, kept: 2, isOld: true },
  merged: { snapshots: 66, kept: 2, isOld: true, isReplaced: true },
};

async function makeBase(base: SimBase): Promise<SimWorld> {
  const world = new SimWorld();
  if (base === 'new') return world;
  const shape = BASE_SHAPES[base];
  let salt = 900_000 + 1000 * base.length;
  const perform = async (client: string, action: SimMove['action'], which = 0): Promise<void> => {
    salt += 1;
    await world.perform({ moves: [{ client, action, which }], salt });
  };
  await perform('a', 'init');
  await setPackTargets(world);
  for (let i = 0; i < shape.snapshots; i++) {
    await perform(i % 2 === 0 ? 'a' : 'b', 'snapshot', shape.isVaried === true ? 10 + i : i % 7);
    if (i >= shape.kept) await perform('a', 'forget', 0);
    if (shape.isOld === true && i % 11 === 10) await perform('a', 'prune-now');
  }
  if (shape.isOld === true) await perform('a', 'pass', 32 * 24);
  if (shape.isReplaced === true) {
    await perform('a', 'prune-now');
    await perform('a', 'pass', 2);
  }
  world.disk.settle();
  if (world.failures.length > 0) throw new Error(world.failures.join('\n'));
  return world;
}

async function setPackTargets({ disk }: SimWorld): Promise<void> {
  const storage = await openLocalStorage(SIM_ROOT, { fs: disk, random: seededRandom(5) });
  const home = newSimHome();
  await withClient(storage, { home, salt: 6, clock: diskClock(disk) }, async (repository) => {
    const config = { ...repository.config, pack: packTargets, number: 1 };
    await new RecordWriter(repository).configUpdate(1, config);
  });
  dropCache(home.cacheDirectory);
}
