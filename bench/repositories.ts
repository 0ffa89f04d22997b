/** Repositories of the programs that are compared, each with a home of its own. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from '../src/cli/benchmark/child.ts';
import { type Argv, commandOf, type Place } from '../src/cli/benchmark/programs.ts';
import { removeTree } from '../src/cli/benchmark/scratch.ts';
import { measure } from './measure.ts';
import type { BenchProgram } from './peers.ts';
import type { Work } from './work-directory.ts';

const passphrase = 'bench';

export class BenchRepository {
  readonly program: BenchProgram;
  readonly #place: Place;
  readonly #work: Work;
  #snapshotCount = 0;

  constructor(
    work: Work,
    program: BenchProgram,
    options: { label: string; sources: readonly string[] },
  ) {
    const { label, sources } = options;
    const home = join(work.directory, `${label}-${program.name}`);
    this.program = program;
    this.#work = work;
    this.#place = {
      home,
      repository: join(home, 'repository'),
      passphrase,
      target: join(home, 'restored'),
      sources,
      snapshot: '',
    };
  }

  get path(): string {
    return this.#place.repository;
  }

  get target(): string {
    return this.#place.target;
  }

  async init(): Promise<void> {
    mkdirSync(join(this.#place.home, 'tmp'), { recursive: true });
    for (const argv of this.program.init(this.#place)) await this.run(this.#command(argv));
  }

  /** The next snapshot, under a name of its own. */
  snapshot(): Command {
    this.#place.snapshot = nameOf(this.#snapshotCount++);
    return this.#command(this.program.snapshot(this.#place));
  }

  /**
   * Restores what was saved last, or the snapshot of this number, the first being 0, if the program
   * can; makes the directory for it.
   */
  restore(i: number = this.#snapshotCount - 1): Command {
    mkdirSync(this.target);
    this.#place.snapshot = nameOf(i);
    const command = this.#command(this.program.restore(this.#place));
    return this.program.restoresHere ? { ...command, cwd: this.target } : command;
  }

  /** Any other command on the repository. */
  command(argv: (place: Place) => Argv): Command {
    return this.#command(argv(this.#place));
  }

  /** Runs a command whose time is of no interest. */
  async run(command: Command): Promise<void> {
    const { signal } = this.#work;
    await measure(command, { signal, codesAccepted: this.program.codesPartial });
  }

  remove(): void {
    removeTree(this.#place.home);
  }

  #command(argv: Argv): Command {
    return commandOf(this.program, this.#place, argv);
  }
}

function nameOf(i: number): string {
  return `snapshot-${i}`;
}
