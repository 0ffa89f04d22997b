/**
 * The programs that can be compared, as a table: varve as its `bin` is installed, and peers where they
 * are on the PATH. All encrypt with a key behind a passphrase and compress with zstd at the level
 * that is about 3. To add a program, add an entry.
 */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import type { Command } from './child.ts';

/** Where one repository of one program lies, and what is done with it. */
export interface Place {
  /** Home directory of the program: configuration, caches, state and temporary files go there. */
  home: string;
  repository: string;
  passphrase: string;
  /** Absolute paths to save. */
  sources: readonly string[];
  /** Existing empty directory to restore into. */
  target: string;
  /** Name of the snapshot to make or to restore. */
  snapshot: string;
}

export type Argv = readonly string[];

export interface Program {
  name: string;
  /** Prints a version, and so tells whether the program is there. */
  version: Argv;
  environment: (place: Place) => Readonly<Record<string, string>>;
  init: (place: Place) => readonly Argv[];
  snapshot: (place: Place) => Argv;
  restore: (place: Place) => Argv;
  /** Whether `restore` writes to its working directory, which is then the target. */
  restoresHere?: boolean;
  /** Exit codes that mean: done, except for entries that could not be read or written. */
  codesPartial: readonly number[];
}

/** How the command that is running was called. */
export const ownArgv: Argv = [process.execPath, process.argv[1] as string];

export function varveProgram(varve: Argv): Program {
  return {
    name: 'varve',
    version: [...varve, '--version'],
    environment: ({ repository, passphrase }) => ({
      VARVE_REPOSITORY: repository,
      VARVE_PASSWORD: passphrase,
    }),
    init: () => [[...varve, 'init']],
    snapshot: ({ snapshot, sources }) => [...varve, 'snapshot', '--tag', snapshot, ...sources],
    restore: ({ snapshot, target }) => [
      ...[...varve, 'restore', 'latest', '--tag', snapshot],
      ...['--target', target],
    ],
    codesPartial: [3],
  };
}

export const resticProgram: Program = {
  name: 'restic',
  version: ['restic', 'version'],
  environment: ({ home, repository, passphrase }) => ({
    RESTIC_REPOSITORY: repository,
    RESTIC_PASSWORD: passphrase,
    RESTIC_CACHE_DIR: join(home, 'restic-cache'),
  }),
  init: () => [['restic', 'init']],
  snapshot: ({ snapshot, sources }) => ['restic', 'backup', '--tag', snapshot, ...sources],
  restore: ({ snapshot, target }) => [
    ...['restic', 'restore', 'latest', '--tag', snapshot],
    ...['--target', target],
  ],
  codesPartial: [3],
};

export const borgProgram: Program = {
  name: 'borg',
  version: ['borg', '--version'],
  environment: ({ home, repository, passphrase }) => ({
    BORG_REPO: repository,
    BORG_PASSPHRASE: passphrase,
    BORG_BASE_DIR: home,
  }),
  init: () => [['borg', 'init', '-e', 'repokey-blake2']],
  snapshot: ({ snapshot, sources }) => [
    ...['borg', 'create', '-C', 'zstd,3', `::${snapshot}`],
    ...sources,
  ],
  restore: ({ snapshot }) => ['borg', 'extract', `::${snapshot}`],
  restoresHere: true,
  codesPartial: [1],
};

/** A program with further options of its command for snapshots. */
export function withSnapshotOptions<T extends Program>(program: T, options: readonly string[]): T {
  return { ...program, snapshot: (place) => [...program.snapshot(place), ...options] };
}

/** Nothing of the settings of whoever runs it; `home` and `home/tmp` are there. */
export function commandOf(program: Program, place: Place, argv: Argv): Command {
  const { home } = place;
  const environment = {
    ...basicEnvironment(),
    HOME: home,
    TMPDIR: join(home, 'tmp'),
    XDG_CACHE_HOME: join(home, 'cache'),
    XDG_CONFIG_HOME: join(home, 'config'),
    XDG_STATE_HOME: join(home, 'state'),
    ...program.environment(place),
  };
  return { argv, cwd: home, environment };
}

function basicEnvironment(): { PATH: string; LANG: string; TZ: string } {
  return { PATH: process.env['PATH'] ?? '', LANG: 'C.UTF-8', TZ: 'UTC' };
}

/** The first line with which a program answers for its version; undefined where it is not there. */
export function versionOf(program: Program): string | undefined {
  const [name = '', ...args] = program.version;
  try {
    const answer = execFileSync(name, args, {
      encoding: 'utf8',
      env: basicEnvironment(),
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    return answer.trim().split('\n')[0];
  } catch {
    return undefined;
  }
}
