/** Repositories of the programs that are compared, each with a home of its own. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { type Command, measure } from './measure.ts';
import type { Argv, Place, Program } from './peers.ts';
import { removeTree, type Work } from './work-directory.ts';

export class BenchRepository {
  readonly program: Program;
  readonly #place: Place;
  readonly #work: Work;
  #snapshotCount = 0;

  constructor(
    work: Work,
    program: Program,
    options: { label: string; sources: readonly string[] },
  ) {
    const { label, sources } = options;
    const home = join(work.directory, `${label}-${program.name}`);
    this.program = program;
    this.#work = work;
    this.#place = {
      home,
      repository: join(home, 'repository'),
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
    mkdirSync(this.#place.home);
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

  /** Nothing of the settings of whoever runs the bench. */
  #command(argv: Argv): Command {
    const { home } = this.#place;
    const environment = {
      PATH: process.env['PATH'] ?? '',
      LANG: 'C.UTF-8',
      TZ: 'UTC',
      HOME: home,
      XDG_CACHE_HOME: join(home, 'cache'),
      XDG_CONFIG_HOME: join(home, 'config'),
      XDG_STATE_HOME: join(home, 'state'),
      ...this.program.environment(this.#place),
    };
    return { argv, cwd: home, environment };
  }
}

function nameOf(i: number): string {
  return `snapshot-${i}`;
}
