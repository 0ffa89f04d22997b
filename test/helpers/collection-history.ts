/**
 * Random histories of several clients that snapshot, forget, bring back, collect and die or sleep in
 * between, over one storage; and what must hold at their end, whoever did what. In some of them every
 * collection grants the grace, and then whatever was forgotten can be brought back at any time.
 */
import { NotFoundError, VarveError } from '../../src/errors.ts';
import { checkRepository } from '../../src/maintain/check.ts';
import { forget } from '../../src/maintain/forget.ts';
import { pruneRepository } from '../../src/maintain/prune/prune.ts';
import { undelete } from '../../src/maintain/undelete.ts';
import { openReadAccess } from '../../src/repository/read-access.ts';
import type { Repository } from '../../src/repository/repository.ts';
import { createMemoryStorage } from '../../src/storage/memory.ts';
import type { Storage } from '../../src/storage/storage.ts';
import type { Clock } from '../../src/util/clock.ts';
import {
  countingClock,
  describeSnapshot,
  describeTree,
  initStorage,
  newHome,
  SOURCE_ROOT,
  snapshotTree,
  withClient,
} from './repository-crash.ts';
import { Schedule } from './schedule.ts';
import { type SeededRandom, seededRandom } from './seeded-random.ts';
import { edited, textOf } from './similar-versions.ts';

type Tree = Parameters<typeof snapshotTree>[1];

export interface HistoryResult {
  /** What is wrong; empty when nothing is. */
  losses: string[];
  trace: string[];
  snapshots: number;
  forgotten: number;
  broughtBack: number;
  collections: number;
}

/** Versions of a few files: some alike, so that they become deltas, some the same, some new. */
function versionTree(version: number): Tree {
  const base = textOf(1, 12_000);
  return {
    [`${SOURCE_ROOT}/shared`]: textOf(2, 9_000),
    [`${SOURCE_ROOT}/d/alike`]: version === 0 ? base : edited(base, 40 + version),
    [`${SOURCE_ROOT}/d/later`]: edited(edited(base, 40 + (version >> 1)), 90 + version),
    [`${SOURCE_ROOT}/e/own-${version}`]: textOf(300 + version, 3_000),
  };
}

class History {
  readonly storage: Storage = createMemoryStorage();
  readonly clock: Clock = countingClock();
  /** Acknowledged snapshots; those that somebody wants forgotten are no longer asked for. */
  readonly acknowledged = new Map<string, Tree>();
  readonly trees: Tree[] = [];
  readonly forgotten = new Set<string>();
  readonly #directory: string;
  readonly #random: SeededRandom;
  /** Undeletes refused within the grace. */
  readonly refused: string[] = [];
  readonly hasGrace: boolean;
  broughtBack = 0;
  collections = 0;
  #salt = 10;

  constructor(directory: string, random: SeededRandom) {
    this.#directory = directory;
    this.#random = random;
    this.hasGrace = random.below(3) === 0;
  }

  /** One client, from its start to its end. */
  async act(storage: Storage, steps: readonly string[], wait: () => Promise<void>): Promise<void> {
    const home = newHome(this.#directory);
    const salt = this.#salt++;
    await withClient(storage, { home, salt, clock: this.clock }, async (repository) => {
      for (const step of steps) {
        try {
          await this.#step(repository, step, wait);
        } catch (error) {
          // Refused, or found the repository changing under it: nothing was promised.
          if (!(error instanceof VarveError)) throw error;
        }
      }
    });
  }

  async #step(repository: Repository, step: string, wait: () => Promise<void>): Promise<void> {
    const [what, number = '0'] = step.split(' ');
    if (what === 'snapshot') await this.#snapshot(repository, Number(number));
    else if (what === 'forget') await this.#forget(repository);
    else if (what === 'undelete') await this.#undelete(repository);
    else await this.#prune(repository, wait, what === 'prune-fencing');
  }

  async #snapshot(repository: Repository, version: number): Promise<void> {
    const tree = versionTree(version);
    this.trees.push(tree);
    const { id } = await snapshotTree(repository, tree);
    this.acknowledged.set(id, tree);
  }

  async #forget(repository: Repository): Promise<void> {
    const ids = [...this.acknowledged.keys()].filter((id) => !this.forgotten.has(id));
    const id = ids[this.#random.below(Math.max(1, ids.length))];
    if (id === undefined) return;
    this.forgotten.add(id);
    await forget(repository, { choice: { selectors: [id] }, mayEmpty: true });
  }

  async #undelete(repository: Repository): Promise<void> {
    const ids = [...this.forgotten];
    const old = ids[this.#random.below(Math.max(1, ids.length))];
    const tree = this.acknowledged.get(old ?? '');
    if (old === undefined || tree === undefined) return;
    try {
      const { id } = await undelete(repository, { selector: old });
      this.acknowledged.set(id, tree);
      this.broughtBack += 1;
    } catch (error) {
      // That it is not forgotten yet, or that nobody ever saw it, is no news.
      const isGone = error instanceof NotFoundError && error.kind !== 'forgotten snapshot';
      if (isGone && this.hasGrace) this.refused.push(`within the grace: ${error.message}`);
      throw error;
    }
  }

  async #prune(
    repository: Repository,
    wait: () => Promise<void>,
    isFencing: boolean,
  ): Promise<void> {
    let waits = 0;
    const result = await pruneRepository(repository, {
      graceMs: this.hasGrace ? undefined : 0,
      wait: async () => {
        waits += 1;
        await wait();
      },
      ...(isFencing && { sessionTtlMs: 0 }),
      get durationMaxMs() {
        return waits > 20 ? 0 : undefined;
      },
    });
    if (result.outcome === 'swept') this.collections += 1;
  }

  /** What is not as it was promised. */
  async losses(): Promise<string[]> {
    const home = newHome(this.#directory);
    return await withClient(
      this.storage,
      { home, salt: 9999, clock: this.clock },
      async (repository) => {
        const before = await this.#compare(repository, 'at the end');
        // A last collection, after everybody has ended, must not take anything either.
        await pruneRepository(repository, { graceMs: 0, sessionTtlMs: 0 });
        const after = await this.#compare(repository, 'after a last collection');
        return [...this.refused, ...before, ...after];
      },
    );
  }

  async #compare(repository: Repository, when: string): Promise<string[]> {
    const losses: string[] = [];
    const access = await openReadAccess(repository);
    const listed = new Map(access.view.snapshots.map((one) => [one.id as string, one]));
    for (const id of this.acknowledged.keys()) {
      if (!listed.has(id) && !this.forgotten.has(id)) losses.push(`${when}: ${id} is gone`);
    }
    const allowed = this.trees.map((tree) => describeTree(tree).join('\n'));
    for (const snapshot of listed.values()) {
      const tree = this.acknowledged.get(snapshot.id);
      const found = await describeSnapshot(access, snapshot).then(
        (lines) => lines.join('\n'),
        (error: Error) => `unreadable: ${error.message}`,
      );
      const isRight =
        tree === undefined ? allowed.includes(found) : found === describeTree(tree).join('\n');
      if (!isRight) losses.push(`${when}: ${snapshot.id} is wrong: ${found.slice(0, 300)}`);
    }
    const { findings } = await checkRepository(repository, { isReadingData: true });
    for (const { severity, message } of findings) {
      if (severity === 'damage') losses.push(`${when}: ${message}`);
    }
    return losses;
  }
}

/** @param number of the history; the same one gives the same history. */
export async function runHistory(directory: string, number: number): Promise<HistoryResult> {
  const random = seededRandom(100_000 + number);
  const history = new History(directory, random);
  await initStorage(history.storage, 7);
  const none = async (): Promise<void> => {};
  const before = Array.from({ length: 1 + random.below(3) }, (_, i) => `snapshot ${i}`);
  if (random.below(2) === 0) before.push('forget');
  await history.act(history.storage, before, none);
  const schedule = new Schedule(random);
  const clientCount = 2 + random.below(3);
  for (let i = 0; i < clientCount; i++) {
    const steps = Array.from({ length: 1 + random.below(3) }, () => randomStep(random));
    const fate = randomFate(random);
    schedule.add(
      `client ${i} (${steps.join(', ')})`,
      history.storage,
      (storage, wait) => history.act(storage, steps, wait),
      fate,
    );
  }
  await schedule.run();
  const losses = await history.losses();
  return {
    losses,
    trace: schedule.trace,
    snapshots: history.acknowledged.size,
    forgotten: history.forgotten.size,
    broughtBack: history.broughtBack,
    collections: history.collections,
  };
}

function randomStep(random: SeededRandom): string {
  const dice = random.below(12);
  if (dice < 4) return `snapshot ${random.below(6)}`;
  if (dice < 6) return 'forget';
  if (dice < 8) return 'undelete';
  return dice < 10 ? 'prune' : 'prune-fencing';
}

function randomFate(random: SeededRandom): { after: number; isKilled: boolean } | undefined {
  const dice = random.below(3);
  if (dice === 0) return undefined;
  return { after: 1 + random.below(120), isKilled: dice === 1 };
}
