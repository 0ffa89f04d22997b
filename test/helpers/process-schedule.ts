/**
 * Schedules of two to four clients of one repository, each a row of processes of the command that
 * snapshot, forget and prune. One process moves at a time, from one of its stops to the next; who is
 * next, where each one stops, who sleeps through all that the others do and who is killed is up to the
 * seed. What commands said is held against what they did when all have ended (`schedule-oracle.ts`).
 */
import type { CommandEnded } from './fault-place.ts';
import {
  clientCountMax,
  type ScheduleGround,
  type ScheduleLedger,
  versionCount,
} from './schedule-ground.ts';
import { type SeededRandom, seededRandom } from './seeded-random.ts';
import type { SteppedProcess } from './stepped-process.ts';

const stopCountMax = 5;
/** Calls that each command makes, or more where it has much to do. */
const stopAtMax: Readonly<Record<string, number>> = {
  snapshot: 115,
  forget: 52,
  prune: 450,
  'prune-fencing': 450,
};
/** Of seven processes. */
const fates: readonly ('killed' | 'asleep')[] = ['killed', 'asleep', 'asleep'];
const saltOfSchedules = 500_000;

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

/** Plays the schedule of that number; the same one is played for the same number and seed. */
export async function playSchedule(
  ground: ScheduleGround,
  number: number,
): Promise<PlayedSchedule> {
  const random = seededRandom(saltOfSchedules + number);
  const ledger = await ground.reset(random);
  const schedule = new Schedule(ground, { number, random, ledger });
  await schedule.play();
  return schedule;
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
