/**
 * Schedules of two to four clients of one repository, each a row of processes of the command that
 * snapshot, forget and prune. One process moves at a time, from one of its stops to the next; who is
 * next, where each one stops, who sleeps through all that the others do and who is killed is up to the
 * seed. What commands said is held against what they did when all have ended (`schedule-oracle.ts`).
 *
 *   <root>/sources/<client>       what it saves: one of <root>/versions
 *   <root>/prepared               the repository and the clients before a schedule
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
import { type CommandEnded, describeDirectory, markCachesClean } from './fault-place.ts';
import { forgetSnapshots } from './forget-snapshots.ts';
import { type SeededRandom, seededRandom } from './seeded-random.ts';
import { edited, textOf } from './similar-versions.ts';
import { SteppedProcess } from './stepped-process.ts';

const clientCountMax = 4;
const versionCount = 6;
const stopCountMax = 5;
/** Calls that each command makes, or more where it has much to do. */
const stopAtMax: Readonly<Record<string, number>> = {
  snapshot: 160,
  forget: 65,
  prune: 450,
  'prune-fencing': 450,
};
/** Of seven processes. */
const fates: readonly ('killed' | 'asleep')[] = ['killed', 'asleep', 'asleep'];
const twoDaysMs = 48 * 3_600_000;
const saltOfSchedules = 500_000;

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

/** A process that has ended, with what it was. */
export interface EndedProcess {
  readonly name: string;
  readonly command: string;
  readonly sessions: readonly string[];
  readonly wasKilled: boolean;
  readonly ended: CommandEnded;
}

export interface PlayedSchedule {
  readonly ledger: ScheduleLedger;
  readonly processes: readonly EndedProcess[];
  readonly stopCount: number;
  /** Who did what, one line each. */
  readonly trace: readonly string[];
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
    await initRepository({ storage, credential: { kind: 'none' } });
    for (let client = 0; client < clientCountMax; client++) await ground.#prepare(client);
    cpSync(ground.#place, join(root, 'prepared'), { recursive: true });
    return ground;
  }

  /** Plays the schedule of that number; the same one is played for the same number and seed. */
  async play(number: number): Promise<PlayedSchedule> {
    const random = seededRandom(saltOfSchedules + number);
    rmSync(this.#place, { recursive: true, force: true });
    cpSync(join(this.#root, 'prepared'), this.#place, {
      recursive: true,
      preserveTimestamps: true,
    });
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
    const schedule = new Schedule(this, { number, random, ledger });
    await schedule.play();
    return schedule;
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
    const home = join(this.#place, String(client));
    await this.#withRepository(home, async (repository) => {
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
    home: string,
    use: (repository: Repository) => Promise<void>,
  ): Promise<void> {
    const repository = await openRepository({
      storage: await openLocalStorage(this.repository),
      askPassphrase: async () => undefined,
      cacheDirectory: join(home, 'cache'),
      stateDirectory: join(home, 'state', 'varve'),
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
    await this.#withRepository(this.scratch, (repository) =>
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

/** What the last line of a command says; empty where it did not live to say it. */
export function lastLine({ stdout }: CommandEnded): Record<string, unknown> {
  const line = stdout.trimEnd().split('\n').at(-1) ?? '';
  return line.endsWith('}') ? (JSON.parse(line) as Record<string, unknown>) : {};
}

/** One of the clients, and the process of it that lives. */
interface Client {
  readonly number: number;
  readonly home: number;
  readonly steps: string[];
  isAsleep: boolean;
  live: LiveProcess | undefined;
}

interface LiveProcess {
  readonly name: string;
  readonly command: string;
  readonly process: SteppedProcess;
  /** At this one of its stops it is killed, or falls asleep. */
  readonly fate: { readonly at: number; readonly what: 'killed' | 'asleep' } | undefined;
  /** Of a snapshot: what it holds. */
  readonly tree: string | undefined;
}

class Schedule implements PlayedSchedule {
  readonly ledger: ScheduleLedger;
  readonly processes: EndedProcess[] = [];
  readonly trace: string[] = [];
  stopCount = 0;
  readonly #ground: ScheduleGround;
  readonly #random: SeededRandom;
  readonly #number: number;
  readonly #clients: Client[] = [];
  #begun = 0;

  constructor(
    ground: ScheduleGround,
    { number, random, ledger }: { number: number; random: SeededRandom; ledger: ScheduleLedger },
  ) {
    this.#ground = ground;
    this.#number = number;
    this.#random = random;
    this.ledger = ledger;
    const clientCount = 2 + random.below(clientCountMax - 1);
    for (let i = 0; i < clientCount; i++) {
      const first = ['prune', 'snapshot'][i];
      const steps = Array.from({ length: 1 + random.below(3) }, () => randomStep(random));
      if (first !== undefined) steps[0] = first;
      // Some clients are two processes on one machine.
      const home = random.below(4) === 0 ? 0 : i;
      this.#clients.push({ number: i, home, steps, isAsleep: false, live: undefined });
    }
  }

  /** Until all clients have ended. @throws where a process does not move any more */
  async play(): Promise<void> {
    try {
      for (let client = this.#next(); client !== undefined; client = this.#next()) {
        await this.#move(client);
      }
    } finally {
      for (const { live } of this.#clients) await live?.process.kill();
    }
  }

  /** Sleepers wake up, one after the other, when nobody else can go on. */
  #next(): Client | undefined {
    const left = this.#clients.filter(({ live, steps }) => live !== undefined || steps.length > 0);
    const awake = left.filter(({ isAsleep }) => !isAsleep);
    const isStuck = awake.every(({ live }) => live?.process.isWaiting === true);
    if (!isStuck) return this.#choose(awake);
    const sleeper = left.find(({ isAsleep }) => isAsleep);
    if (sleeper !== undefined && (awake.length === 0 || this.#random.below(2) === 0)) {
      this.trace.push(`${sleeper.live?.name} wakes up`);
      sleeper.isAsleep = false;
      return sleeper;
    }
    if (awake.length > 0) {
      // Whoever they wait for was killed, or sleeps on.
      this.trace.push('two days pass');
      this.#ground.passTwoDays();
    }
    return this.#choose(awake);
  }

  #choose(clients: readonly Client[]): Client | undefined {
    return clients[this.#random.below(clients.length)];
  }

  async #move(client: Client): Promise<void> {
    const { live } = client;
    if (live === undefined) client.live = await this.#begin(client);
    else await live.process.step();
    const now = client.live as LiveProcess;
    const { process, name, fate } = now;
    if (process.ended === undefined) {
      this.stopCount += 1;
      this.trace.push(`${name} stops at ${process.stops.at(-1)}`);
      if (process.stops.length === fate?.at) {
        this.trace.push(`${name} is ${fate.what}`);
        if (fate.what === 'asleep') client.isAsleep = true;
        else await process.kill();
      }
    }
    if (process.ended !== undefined) this.#end(client, now);
  }

  async #begin(client: Client): Promise<LiveProcess> {
    const random = this.#random;
    const command = client.steps.shift() as string;
    const number = this.#begun++;
    const stopCount = 1 + random.below(stopCountMax);
    const stopAt = stopAtMax[command] as number;
    const stops = Array.from({ length: stopCount }, () => 1 + random.below(stopAt));
    const what = fates[random.below(7)];
    const fate = what && { at: 1 + random.below(stopCount), what };
    const { args, tree } = this.#argsOf(client, command);
    const name = `${number} (client ${client.number}, ${command})`;
    this.trace.push(`${name} begins`);
    const seed = `${this.#number} ${number}`;
    const process = await this.#ground.begin(args, { home: client.home, stops, seed });
    return { name, command, process, fate, tree };
  }

  #argsOf(client: Client, command: string): { args: string[]; tree: string | undefined } {
    const { ledger } = this;
    if (command === 'snapshot') {
      const version = this.#random.below(versionCount);
      const { args, tree } = this.#ground.snapshotOf(client.number, version);
      ledger.possible.add(tree);
      return { args, tree };
    }
    if (command === 'forget') {
      const ids = [...ledger.kept.keys()].filter((id) => !ledger.forgotten.has(id));
      const id = ids[this.#random.below(ids.length)];
      if (id !== undefined) ledger.wanted.add(id);
      const which = id === undefined ? ['--keep-last', '1'] : ['--allow-empty', id];
      return { args: ['forget', '--yes', ...which], tree: undefined };
    }
    const fencing = command === 'prune-fencing' ? ['--fence-after', '0'] : [];
    return { args: ['prune', '--yes', '--grace', '0', ...fencing], tree: undefined };
  }

  #end(client: Client, { name, command, process, tree }: LiveProcess): void {
    client.live = undefined;
    const ended = process.ended as CommandEnded;
    const wasKilled = ended.signal === 'SIGKILL';
    this.processes.push({ name, command, sessions: process.sessions, wasKilled, ended });
    this.trace.push(`${name} ends with ${ended.code ?? ended.signal}`);
    if (ended.code !== 0) return;
    const { ledger } = this;
    if (tree !== undefined) ledger.kept.set(String(lastLine(ended)['snapshot_id']), tree);
    if (command === 'forget') {
      for (const id of forgottenBy(ended)) ledger.forgotten.add(id);
    }
  }
}

function forgottenBy({ stdout }: CommandEnded): string[] {
  const lines = stdout.trimEnd().split('\n');
  return lines
    .map((line) => JSON.parse(line) as Record<string, unknown>)
    .filter(({ message_type: type, keep }) => type === 'retention' && keep === false)
    .map(({ id }) => String(id));
}

function randomStep(random: SeededRandom): string {
  const dice = random.below(20);
  if (dice < 10) return 'snapshot';
  if (dice < 13) return 'forget';
  return dice < 15 ? 'prune' : 'prune-fencing';
}
