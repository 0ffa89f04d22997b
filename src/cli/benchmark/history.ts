/**
 * One program through all versions of some data, in a repository of its own: a snapshot of each in
 * turn, one more with nothing changed, then the last version and a middle one are restored. What it
 * made is removed before the next program has its turn, so that space for one of them is enough.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { SourceError } from '../../errors.ts';
import type { LongCall } from '../../progress.ts';
import { encodeUtf8 } from '../../util/bytes.ts';
import type { Savings } from '../savings.ts';
import { BenchmarkError } from './benchmark-error.ts';
import { ChildFailed, type Command, demandCode, runChild } from './child.ts';
import { measureFiles } from './measure-files.ts';
import { type Argv, commandOf, ownArgv, type Place, type Program } from './programs.ts';
import { freeSpace, removeTree } from './scratch.ts';
import { savingsOf, VarveLines } from './varve-lines.ts';

/** A program with options. */
export interface Contender {
  /** For programs: `varve`, `varve_similarity_off`, … */
  name: string;
  program: Program;
  isVarve: boolean;
}

/** Seconds are by the clock, from the start of a process to its end. */
export interface History {
  /** Bytes of all files of the repository after the last version. */
  storedSize: number;
  /** Of all versions. */
  saveSeconds: number;
  /** Of one more snapshot of the last version. */
  unchangedSeconds: number;
  restoreSeconds: number;
  /** Of the version in the middle, where there are three or more. */
  restoreMiddleSeconds: number | undefined;
  /** Of varve only. */
  savings: Savings | undefined;
}

export interface HistoryOptions extends LongCall {
  signal: AbortSignal;
  /** An existing directory, in which everything is made. */
  scratch: string;
  passphrase: string;
  /** Absolute path of the data. */
  source: string;
  versionCount: number;
  /** Makes the data what it is in that version, the first being 0. */
  lay: (version: number) => Promise<void>;
  /** Further variables for varve. */
  varveSettings: Readonly<Record<string, string>>;
  /** Told of each entry of each version that varve could not save as it is. */
  onError: (error: SourceError) => void;
  /** Told of each step, in words. */
  onStep: (step: string) => void;
}

/** What is no damage: such entries are not restored, or not by this user. */
const codesNotRestored: ReadonlySet<string> = new Set(['special_file', 'special_bits', 'owner']);
const TICK_MS = 1000;

/** Whether there is a version between the first and the last. */
export function hasMiddle(versionCount: number): boolean {
  return versionCount > 2;
}

/**
 * @throws BenchmarkError when a run of varve fails, ChildFailed when one of another program does,
 * and the reason of the signal.
 */
export async function runHistory(contender: Contender, options: HistoryOptions): Promise<History> {
  const runner = new Runner(contender, options);
  try {
    return await runner.run();
  } finally {
    runner.remove();
  }
}

class Runner {
  readonly #contender: Contender;
  readonly #options: HistoryOptions;
  readonly #place: Place;

  constructor(contender: Contender, options: HistoryOptions) {
    const { scratch, passphrase, source } = options;
    const home = join(scratch, contender.name);
    const [repository, target] = [join(home, 'repository'), join(home, 'restored')];
    this.#contender = contender;
    this.#options = options;
    this.#place = { home, repository, target, passphrase, sources: [source], snapshot: '' };
  }

  async run(): Promise<History> {
    const { versionCount, lay, signal, onError } = this.#options;
    const { home, repository } = this.#place;
    mkdirSync(join(home, 'tmp'), { recursive: true });
    for (const argv of this.#contender.program.init(this.#place)) await this.#run(argv);
    let saveSeconds = 0;
    for (let i = 0; i < versionCount; i++) {
      await lay(i);
      this.#tell(`version ${i + 1} of ${versionCount}`);
      saveSeconds += await this.#save(nameOf(i), onError);
    }
    const storedSize = await measureFiles(encodeUtf8(repository), { signal });
    const savings = this.#contender.isVarve ? await this.#readSavings() : undefined;
    this.#tell('the last version, unchanged');
    const unchangedSeconds = await this.#save('unchanged');
    const last = versionCount - 1;
    const restoreSeconds = await this.#restore(last);
    const restoreMiddleSeconds = hasMiddle(versionCount)
      ? await this.#restore(last >> 1)
      : undefined;
    return {
      ...{ storedSize, savings, saveSeconds, unchangedSeconds },
      ...{ restoreSeconds, restoreMiddleSeconds },
    };
  }

  remove(): void {
    removeTree(this.#place.home);
  }

  async #save(snapshot: string, onError?: (error: SourceError) => void): Promise<number> {
    this.#place.snapshot = snapshot;
    const { program } = this.#contender;
    await this.#settle();
    return await this.#run(program.snapshot(this.#place), { codes: program.codesPartial, onError });
  }

  async #restore(version: number): Promise<number> {
    this.#tell(`restoring version ${version + 1}`);
    const { program } = this.#contender;
    const { home, target } = this.#place;
    this.#place.snapshot = nameOf(version);
    mkdirSync(target);
    await this.#settle();
    let failure: SourceError | undefined;
    const seconds = await this.#run(program.restore(this.#place), {
      cwd: program.restoresHere ? target : home,
      onError: (error) => {
        if (!codesNotRestored.has(error.reason)) failure ??= error;
      },
    });
    if (failure !== undefined) throw this.#restoreFailure(failure);
    removeTree(target);
    return seconds;
  }

  #restoreFailure({ reason, message }: SourceError): BenchmarkError {
    const space = reason === 'no_space' ? `, ${freeSpace(this.#options.scratch)}` : '';
    return new BenchmarkError(reason, `${message}${space}`);
  }

  async #readSavings(): Promise<Savings> {
    const lines = new VarveLines({ onProgress: undefined, onError: () => {} });
    await this.#runVarve(this.#command([...ownArgv, 'stats']), lines);
    return savingsOf(lines.summary());
  }

  /** Leaves nothing to be written back during the next run; without the program there is something. */
  async #settle(): Promise<void> {
    const { scratch, signal } = this.#options;
    await runChild(this.#command(['sync', '-f', scratch]), { signal }).catch((error: unknown) => {
      if (!(error instanceof ChildFailed)) throw error;
    });
  }

  /** @returns its seconds. */
  async #run(argv: Argv, options: RunOptions = {}): Promise<number> {
    const { codes = [], cwd, onError = () => {} } = options;
    const command = { ...this.#command(argv), ...(cwd !== undefined && { cwd }) };
    if (!this.#contender.isVarve) return await this.#runPeer(command, codes);
    const lines = new VarveLines({ onProgress: this.#options.onProgress, onError });
    const seconds = await this.#runVarve(command, lines);
    lines.summary();
    return seconds;
  }

  async #runVarve(command: Command, { onLine }: VarveLines): Promise<number> {
    const environment = { ...command.environment, ...this.#options.varveSettings, VARVE_JSON: '1' };
    const { signal } = this.#options;
    const { wallSeconds } = await runChild({ ...command, environment }, { signal, onLine });
    return wallSeconds;
  }

  async #runPeer(command: Command, codes: readonly number[]): Promise<number> {
    const { signal, onProgress } = this.#options;
    const progress = { phase: this.#contender.name, filesDone: 0, bytesDone: 0 };
    const timer = setInterval(() => onProgress?.(progress), TICK_MS);
    try {
      const ended = await runChild(command, { signal });
      demandCode(command, ended, codes);
      return ended.wallSeconds;
    } finally {
      clearInterval(timer);
    }
  }

  #command(argv: Argv): Command {
    return commandOf(this.#contender.program, this.#place, argv);
  }

  #tell(what: string): void {
    this.#options.onStep(`${this.#contender.name}: ${what}`);
  }
}

interface RunOptions {
  /** With which the run counts, besides 0; a run of varve says itself how it went. */
  codes?: readonly number[];
  cwd?: string;
  /** Told of each entry that varve could not save or restore as it is. */
  onError?: ((error: SourceError) => void) | undefined;
}

function nameOf(version: number): string {
  return `version-${version}`;
}
