/**
 * Several clients of one repository in memory that act in each other's pauses: one stops at a
 * failpoint, the others go on, then it wakes up. Time passes only when a test lets it. The stage knows
 * what was acknowledged, and tells what of it is lost.
 */
import type { TestContext } from 'node:test';
import { checkRepository } from '../../src/maintain/check.ts';
import { openReadAccess } from '../../src/repository/read-access.ts';
import type { Repository } from '../../src/repository/repository.ts';
import { createMemoryStorage } from '../../src/storage/memory.ts';
import type { Storage } from '../../src/storage/storage.ts';
import type { Clock } from '../../src/util/clock.ts';
import { onFailpoint } from '../../src/util/failpoint.ts';
import { interceptStorage, StorageStopped } from './fault-storage.ts';
import { forgetSnapshots } from './forget-snapshots.ts';
import {
  describeSnapshot,
  describeTree,
  type Home,
  initStorage,
  newHome,
  openClient,
  SOURCE_ROOT,
  snapshotTree,
  withClient,
} from './repository-crash.ts';
import { seededRandom } from './seeded-random.ts';
import { memoryDir } from './test-repository.ts';

type Tree = Parameters<typeof snapshotTree>[1];
type Taken = Awaited<ReturnType<typeof snapshotTree>>;

const hourNs = 3_600_000_000_000n;

/** A clock that is moved by hand, for the storage and all clients; a millisecond for each look at it. */
export class HandClock implements Clock {
  #nowNs = 1_700_000_000_000_000_000n;

  nowNs(): bigint {
    this.#nowNs += 1_000_000n;
    return this.#nowNs;
  }

  monotonicNs(): bigint {
    return this.nowNs();
  }

  passHours(count: number): void {
    this.#nowNs += BigInt(count) * hourNs;
  }
}

/** A tree of one small file that no tree of another number has. */
export function ownTree(...versions: readonly number[]): Tree {
  const file = (version: number) => seededRandom(5000 + version).bytes(3000);
  return Object.fromEntries(versions.map((one) => [`${SOURCE_ROOT}/own-${one}`, file(one)]));
}

export class Stage {
  readonly clock: HandClock;
  readonly storage: Storage;
  readonly directory: string;
  /** Acknowledged snapshots that nobody has wanted forgotten. */
  readonly expected: Map<string, Tree>;
  readonly #t: TestContext;
  #salt = 10;

  constructor(
    t: TestContext,
    from: { storage: Storage; clock: HandClock; expected?: ReadonlyMap<string, Tree> },
  ) {
    this.#t = t;
    this.storage = from.storage;
    this.clock = from.clock;
    this.expected = new Map(from.expected);
    this.directory = memoryDir(t);
  }

  /** With a client, and what it has on its machine; both end with the test. */
  async client(storage: Storage = this.storage, home: Home = this.home()): Promise<Repository> {
    const { clock } = this;
    const repository = await openClient(storage, { home, salt: this.#salt++, clock });
    this.#t.after(() => repository.close());
    return repository;
  }

  home(): Home {
    return newHome(this.directory);
  }

  async save(repository: Repository, tree: Tree): Promise<Taken> {
    const taken = await snapshotTree(repository, tree);
    this.expected.set(taken.id, tree);
    return taken;
  }

  async forget(repository: Repository, ...snapshots: readonly { id: string }[]): Promise<void> {
    const ids = snapshots.map(({ id }) => id);
    for (const id of ids) this.expected.delete(id);
    await forgetSnapshots(repository, ids);
  }

  /** The same in a storage of its own, in which everything was stored just now. */
  async copy(): Promise<Stage> {
    const { clock, expected } = this;
    const storage = createMemoryStorage({ clock });
    for await (const { name } of this.storage.list('')) {
      await storage.putIfAbsent(name, await this.storage.get(name));
    }
    return new Stage(this.#t, { storage, clock, expected });
  }

  /** What a new client finds wrong; empty when everything acknowledged is there, and nothing else. */
  async losses(storage: Storage = this.storage): Promise<string[]> {
    const { clock } = this;
    const home = this.home();
    return await withClient(storage, { home, salt: this.#salt++, clock }, (repository) =>
      this.#lossesFor(repository),
    );
  }

  async #lossesFor(repository: Repository): Promise<string[]> {
    const losses: string[] = [];
    const access = await openReadAccess(repository);
    const { snapshots } = access.view;
    const listed = new Set<string>(snapshots.map(({ id }) => id));
    for (const id of this.expected.keys()) if (!listed.has(id)) losses.push(`${id} is gone`);
    for (const snapshot of snapshots) {
      const tree = this.expected.get(snapshot.id);
      const found = await describeSnapshot(access, snapshot).then(
        (lines) => lines.join('\n'),
        (error: Error) => `unreadable: ${error.message}`,
      );
      if (tree === undefined) losses.push(`${snapshot.id} is there`);
      else if (found !== describeTree(tree).join('\n')) {
        losses.push(`${snapshot.id} is wrong: ${found.slice(0, 200)}`);
      }
    }
    const { findings } = await checkRepository(repository, { isReadingData: true });
    for (const { severity, message } of findings) if (severity === 'damage') losses.push(message);
    return losses;
  }
}

/** With an empty repository. */
export async function newStage(t: TestContext): Promise<Stage> {
  const clock = new HandClock();
  const storage = createMemoryStorage({ clock });
  await initStorage(storage);
  return new Stage(t, { storage, clock });
}

export interface Pause {
  /** Settles when somebody is held up. */
  readonly reached: Promise<void>;
  release(): void;
}

/** Whoever passes the point first is held up there until released; others pass. */
export function pauseAt(t: TestContext, point: string): Pause {
  let reach = (): void => {};
  let release = (): void => {};
  const reached = new Promise<void>((resolve) => {
    reach = resolve;
  });
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  let isTaken = false;
  t.after(() => {
    onFailpoint(undefined);
    release();
  });
  onFailpoint(async (name) => {
    if (name !== point || isTaken) return;
    isTaken = true;
    reach();
    await released;
  });
  return { reached, release };
}

/** A storage whose client can be killed: from then on none of its calls is made. */
export function mortal(storage: Storage): { storage: Storage; kill: () => void } {
  let isDead = false;
  const seen = interceptStorage(storage, async (_call, run) => {
    if (isDead) throw new StorageStopped('killed');
    return await run();
  });
  return {
    storage: seen,
    kill: () => {
      isDead = true;
    },
  };
}

/** Whoever passes the point for this time dies there. Gives whether somebody did. */
export function killAt(
  t: TestContext,
  point: string,
  { kill, count = 1 }: { kill: () => void; count?: number },
): () => boolean {
  let passed = 0;
  t.after(() => onFailpoint(undefined));
  onFailpoint((name) => {
    if (name !== point) return;
    passed += 1;
    if (passed !== count) return;
    kill();
    throw new StorageStopped('killed');
  });
  return () => passed >= count;
}

/** Sessions that have begun and not been cleaned up. */
export async function sessionIds({ storage }: Pick<Stage, 'storage'>): Promise<string[]> {
  const ids: string[] = [];
  for await (const { name } of storage.list('sessions/')) {
    if (!name.includes('.h')) ids.push(name.slice('sessions/'.length));
  }
  return ids;
}
