/**
 * Where schedules are played (`process-schedule.ts`): one repository and the clients of it, prepared once
 * and put back before each schedule.
 *
 *   <root>/sources/<client>             what it saves: one of <root>/versions
 *   <root>/prepared                     what <root>/place is before a schedule
 *   <root>/place/repository
 *   <root>/place/<home>/{cache,state}   of a client, or of two on one machine
 */
import {
  cpSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { hostname } from 'node:os';
import { dirname, join } from 'node:path';
import { takeSnapshot } from '../../src/backup/take-snapshot.ts';
import { initRepository } from '../../src/repository/init-repository.ts';
import { openRepository } from '../../src/repository/open-repository.ts';
import type { Repository } from '../../src/repository/repository.ts';
import { createLocalStorage, openLocalStorage } from '../../src/storage/local.ts';
import { encodeUtf8 } from '../../src/util/bytes.ts';
import { describeDirectory, markCachesClean } from './fault-place.ts';
import { forgetSnapshots } from './forget-snapshots.ts';
import { type SeededRandom, seededRandom } from './seeded-random.ts';
import { edited, textOf } from './similar-versions.ts';
import { SteppedProcess } from './stepped-process.ts';

export const clientCountMax = 4;
export const versionCount = 6;
const saltOfGround = 400_000;
const twoDaysMs = 48 * 3_600_000;

/** What is known of a repository from outside. */
export interface ScheduleLedger {
  /** What each acknowledged snapshot must hold, by its id (`describeDirectory`). */
  readonly kept: Map<string, string>;
  /** What any snapshot may hold. */
  readonly possible: Set<string>;
  /** What a command was told to forget, and what one of them said is forgotten. */
  readonly wanted: Set<string>;
  readonly forgotten: Set<string>;
}

export class ScheduleGround {
  readonly repository: string;
  readonly scratch: string;
  readonly #root: string;
  readonly #place: string;
  readonly #bug: string | undefined;
  readonly #prepared = new Map<string, string>();
  /** Versions of the trees that stand where they are saved from; none is -1. */
  readonly #versions: number[] = Array(clientCountMax).fill(-1);

  private constructor(root: string, bug: string | undefined) {
    this.#root = root;
    this.#bug = bug;
    this.#place = join(root, 'place');
    this.repository = join(this.#place, 'repository');
    this.scratch = join(root, 'scratch');
  }

  /** Of each client two snapshots that have much in common. `root` is made. */
  static async make(root: string, bug?: string): Promise<ScheduleGround> {
    const ground = new ScheduleGround(root, bug);
    for (const path of [ground.#place, join(root, 'sources')]) mkdirSync(path, { recursive: true });
    const storage = await createLocalStorage(ground.repository);
    const random = seededRandom(saltOfGround);
    await initRepository({ storage, credential: { kind: 'none' }, random });
    for (let client = 0; client < clientCountMax; client++) await ground.#prepare(client);
    cpSync(ground.#place, join(root, 'prepared'), { recursive: true });
    return ground;
  }

  /** Puts everything back. Some of the prepared snapshots are then forgotten. */
  async reset(random: SeededRandom): Promise<ScheduleLedger> {
    rmSync(this.#place, { recursive: true, force: true });
    const prepared = join(this.#root, 'prepared');
    cpSync(prepared, this.#place, { recursive: true, preserveTimestamps: true });
    for (let home = 0; home < clientCountMax; home++) {
      markCachesClean(join(this.#place, String(home), 'cache'));
    }
    const ledger: ScheduleLedger = {
      kept: new Map(this.#prepared),
      possible: new Set(this.#prepared.values()),
      wanted: new Set(),
      forgotten: new Set(),
    };
    await this.#forgetSome(random, ledger);
    return ledger;
  }

  /** Begins a process; `home` is whose cache and state it has. */
  async begin(
    args: readonly string[],
    { home, stops, seed }: { home: number; stops: readonly number[]; seed: string },
  ): Promise<SteppedProcess> {
    const env = this.#environment(home);
    const cwd = this.#place;
    const stepped = new SteppedProcess({ args, env, cwd, stops, seed, bug: this.#bug });
    await stepped.begin();
    return stepped;
  }

  /** A snapshot of one of a few versions. Gives what it will hold, too. */
  snapshotOf(client: number, version: number): { args: string[]; tree: string } {
    this.#put(client, version);
    return { args: this.#snapshotArgs(client), tree: describeDirectory(this.#source(client)) };
  }

  /** By the clock of the storage; sessions have given no sign meanwhile. */
  passTwoDays(): void {
    const directory = join(this.repository, 'sessions');
    const then = new Date(Date.now() - twoDaysMs);
    for (const name of readdirSync(directory)) utimesSync(join(directory, name), then, then);
  }

  async #prepare(client: number): Promise<void> {
    for (let version = 0; version < versionCount; version++) {
      writeVersion(this.#spare(client, version), client, version);
    }
    const own = { home: join(this.#place, String(client)), salt: saltOfGround + 1 + client };
    await this.#withRepository(own, async (repository) => {
      for (const version of [client, (client + 2) % versionCount]) {
        this.#put(client, version);
        const { id } = await takeSnapshot(repository, {
          paths: [this.#source(client)],
          workingDirectory: '/',
          host: encodeUtf8(hostname()),
          user: encodeUtf8('user'),
          timeZone: 'UTC',
        });
        this.#prepared.set(id, describeDirectory(this.#source(client)));
      }
    });
  }

  async #withRepository(
    { home, salt }: { home: string; salt: number },
    use: (repository: Repository) => Promise<void>,
  ): Promise<void> {
    const repository = await openRepository({
      storage: await openLocalStorage(this.repository),
      askPassphrase: async () => undefined,
      cacheDirectory: join(home, 'cache'),
      stateDirectory: join(home, 'state', 'varve'),
      random: seededRandom(salt),
    });
    try {
      await use(repository);
    } finally {
      await repository.close();
    }
  }

  async #forgetSome(random: SeededRandom, ledger: ScheduleLedger): Promise<void> {
    const ids = [...this.#prepared.keys()];
    for (let i = 2 + random.below(4); i > 0; i--) {
      const [id] = ids.splice(random.below(ids.length), 1);
      ledger.wanted.add(id as string);
      ledger.forgotten.add(id as string);
    }
    const own = { home: this.scratch, salt: saltOfGround - 1 };
    await this.#withRepository(own, (repository) =>
      forgetSnapshots(repository, [...ledger.forgotten]),
    );
    rmSync(this.scratch, { recursive: true, force: true });
  }

  #source(client: number): string {
    return join(this.#root, 'sources', String(client));
  }

  #snapshotArgs(client: number): string[] {
    return ['snapshot', '--similarity', 'local', this.#source(client)];
  }

  #environment(home: number): Record<string, string> {
    const own = join(this.#place, String(home));
    return {
      HOME: own,
      VARVE_REPOSITORY: this.repository,
      VARVE_CACHE_DIR: join(own, 'cache'),
      XDG_STATE_HOME: join(own, 'state'),
    };
  }

  /**
   * The tree of that version takes the place of the one that is there. Its files stay the ones they
   * were, so the program can tell that they have not changed.
   */
  #put(client: number, version: number): void {
    const present = this.#versions[client] as number;
    if (present === version) return;
    if (present >= 0) renameSync(this.#source(client), this.#spare(client, present));
    renameSync(this.#spare(client, version), this.#source(client));
    this.#versions[client] = version;
  }

  #spare(client: number, version: number): string {
    return join(this.#root, 'versions', `${client}-${version}`);
  }
}

/** Some files that are alike, so that they become deltas, some the same in all, some new. */
function writeVersion(directory: string, client: number, version: number): void {
  const base = textOf(1, 12_000);
  const pair = version >> 1;
  const files: Record<string, Uint8Array> = {
    shared: textOf(2, 9000),
    'd/alike': version === 0 ? base : edited(base, 40 + version),
    'd/later': edited(edited(base, 40 + pair), 90 + version),
    [`e/own-${version}`]: textOf(300 + version, 5000),
    [`e/ours-${client}-${pair}`]: textOf(400 + 10 * client + pair, 5000),
  };
  for (const [name, bytes] of Object.entries(files)) {
    mkdirSync(dirname(join(directory, name)), { recursive: true });
    writeFileSync(join(directory, name), bytes);
  }
}
