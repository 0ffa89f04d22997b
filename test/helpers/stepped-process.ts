/**
 * A process of the command that runs from one of its stops to the next (`schedule-preload.ts`): whoever
 * steps it decides what happens meanwhile, or that it is killed where it stands.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { CommandEnded } from './fault-place.ts';
import { mainPath } from './run-varve.ts';

const modulesPath = fileURLToPath(new URL('../../src/cli/main.js', import.meta.url));
const preloadPath = fileURLToPath(new URL('./schedule-preload.js', import.meta.url));

/** A step takes milliseconds; who takes this long does not move any more. */
const stepMsMax = 120_000;

export interface SteppedOptions {
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
  /** Numbers of calls before which it stops. */
  readonly stops: readonly number[];
  /** What it draws its ids from. */
  readonly seed: string;
  /** A planted bug; without one it is the command as it is shipped. */
  readonly bug?: string | undefined;
}

export class SteppedProcess {
  /** Ids of the sessions it has begun. */
  readonly sessions: string[] = [];
  /** Where it stopped last, and before that. */
  readonly stops: string[] = [];
  /** Undefined while it lives. */
  ended: CommandEnded | undefined;
  readonly #child: ChildProcess;
  readonly #end: Promise<void>;
  #onStop: () => void = () => {};
  #step: Promise<void>;

  constructor({ args, env, cwd, stops, seed, bug }: SteppedOptions) {
    const variables = {
      VARVE_TEST_STOPS: stops.join(),
      VARVE_TEST_RANDOM: seed,
      ...(bug !== undefined && { VARVE_TEST_BUG: bug }),
    };
    const program = bug === undefined ? mainPath : modulesPath;
    const all = ['--import', preloadPath, program, '--json', '--jobs', '0', ...args];
    this.#child = spawn(process.execPath, all, {
      cwd,
      env: { PATH: process.env['PATH'], TZ: 'UTC', ...env, ...variables },
      stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
    });
    this.#step = this.#nextStop();
    this.#end = this.#watch();
  }

  /** It stands where it would wait for another session to end. */
  get isWaiting(): boolean {
    return this.ended === undefined && this.stops.at(-1)?.endsWith(' waits') === true;
  }

  /** Until it stands still for the first time, or has ended. */
  async begin(): Promise<void> {
    await this.#settle();
  }

  /** Lets it go on until it stands still again, or has ended. */
  async step(): Promise<void> {
    this.#step = this.#nextStop();
    this.#child.kill('SIGCONT');
    await this.#settle();
  }

  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#end;
  }

  #nextStop(): Promise<void> {
    return new Promise((resolve) => {
      this.#onStop = resolve;
    });
  }

  async #settle(): Promise<void> {
    const timer = new AbortController();
    const tooLong = delay(stepMsMax, 'too long', timer).catch(() => undefined);
    const outcome = await Promise.race([this.#step, this.#end, tooLong]);
    timer.abort();
    if (outcome === 'too long') {
      await this.kill();
      throw new Error(`does not move any more: ${this.#child.spawnargs.join(' ')}`);
    }
    // It says so just before: a SIGCONT that came first would be lost.
    while (this.ended === undefined && !isStopped(this.#child.pid)) await delay(1);
  }

  async #watch(): Promise<void> {
    const ended = { code: null, signal: null, stdout: '', stderr: '' } as {
      -readonly [Key in keyof CommandEnded]: CommandEnded[Key];
    };
    const [, stdout, stderr, told] = this.#child.stdio;
    stdout?.on('data', (bytes: Buffer) => {
      ended.stdout += bytes.toString('utf8');
    });
    stderr?.on('data', (bytes: Buffer) => {
      ended.stderr += bytes.toString('utf8');
    });
    createInterface({ input: told as NodeJS.ReadableStream }).on('line', (line) => {
      const [what, ...rest] = line.split(' ');
      if (what === 'begins') this.sessions.push(rest.join(' '));
      if (what !== 'stops') return;
      this.stops.push(rest.join(' '));
      this.#onStop();
    });
    await new Promise<void>((resolve, reject) => {
      this.#child.on('error', reject);
      this.#child.on('close', (code, signal) => {
        Object.assign(ended, { code, signal });
        resolve();
      });
    });
    this.ended = ended;
  }
}

function isStopped(pid: number | undefined): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return 'TZX'.includes(stat.charAt(stat.lastIndexOf(')') + 2));
  } catch {
    return true; // It has been waited for.
  }
}
