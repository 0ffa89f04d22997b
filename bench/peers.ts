/**
 * The programs that are compared, as a table: varve as its `bin` is installed, and peers where they
 * are on the PATH. All encrypt with a key behind a passphrase and compress with zstd at the level
 * that is about 3, except the pair of tar and zstd, which is the yardstick of plain reading and
 * compressing. To add a program, add an entry; what a program has no command for is left out there.
 */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Where one repository of one program lies, and what is done with it. */
export interface Place {
  /** Home directory of the program: configuration, caches and state go there. */
  home: string;
  repository: string;
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
  /** False where a second snapshot would be the first once more. */
  isIncremental: boolean;
  restore: (place: Place) => Argv;
  /** Whether `restore` takes the last snapshot, whatever its name. */
  restoresLast?: boolean;
  /** Whether `restore` writes to its working directory, which is then the target. */
  restoresHere?: boolean;
  check?: (place: Place) => Argv;
  checkReadData?: (place: Place) => Argv;
  /** Prints what the repository holds, in JSON; varve only. */
  stats?: (place: Place) => Argv;
  /** Exit codes that mean: done, except for entries that could not be read or written. */
  codesPartial: readonly number[];
}

const passphrase = 'bench';
const varve = [process.execPath, fileURLToPath(new URL('../src/cli/main.js', import.meta.url))];

/** It restores one path at a time. */
const kopiaRestore =
  'target=$1; shift; for path; do kopia restore "$path" "$target$path" || exit; done';
const tarToZstd = 'set -o pipefail; tar -cPf - -- "$@" | zstd -q -3 -T2 -f -o "$ARCHIVE"';
const zstdToTar = 'set -o pipefail; zstd -q -d -c "$ARCHIVE" | tar -xf -';

export const varveProgram: Program = {
  name: 'varve',
  version: [...varve, '--version'],
  environment: ({ repository }) => ({ VARVE_REPOSITORY: repository, VARVE_PASSWORD: passphrase }),
  init: () => [[...varve, 'init']],
  snapshot: ({ snapshot, sources }) => [...varve, 'snapshot', '--tag', snapshot, ...sources],
  isIncremental: true,
  restore: ({ snapshot, target }) => [
    ...[...varve, 'restore', 'latest', '--tag', snapshot],
    ...['--target', target],
  ],
  check: () => [...varve, 'check'],
  checkReadData: () => [...varve, 'check', '--read-data'],
  stats: () => [...varve, 'stats', '--json'],
  codesPartial: [3],
};

/** varve with further options of `snapshot`, under another name. */
export function varveWith(name: string, options: readonly string[]): Program {
  const snapshot = (place: Place): Argv => [...varveProgram.snapshot(place), ...options];
  return { ...varveProgram, name, snapshot };
}

/** Whether `varve snapshot` knows an option, such as `--tag`. */
export function hasSnapshotOption(option: string): boolean {
  const [program = '', ...args] = [...varve, 'help', 'snapshot'];
  return execFileSync(program, args, { encoding: 'utf8' }).includes(`${option} `);
}

export const peers: readonly Program[] = [
  {
    name: 'restic',
    version: ['restic', 'version'],
    environment: ({ home, repository }) => ({
      RESTIC_REPOSITORY: repository,
      RESTIC_PASSWORD: passphrase,
      RESTIC_CACHE_DIR: join(home, 'restic-cache'),
    }),
    init: () => [['restic', 'init']],
    snapshot: ({ snapshot, sources }) => ['restic', 'backup', '--tag', snapshot, ...sources],
    isIncremental: true,
    restore: ({ snapshot, target }) => [
      ...['restic', 'restore', 'latest', '--tag', snapshot],
      ...['--target', target],
    ],
    check: () => ['restic', 'check'],
    checkReadData: () => ['restic', 'check', '--read-data'],
    codesPartial: [3],
  },
  {
    name: 'borg',
    version: ['borg', '--version'],
    environment: ({ home, repository }) => ({
      BORG_REPO: repository,
      BORG_PASSPHRASE: passphrase,
      BORG_BASE_DIR: home,
    }),
    init: () => [['borg', 'init', '-e', 'repokey-blake2']],
    snapshot: ({ snapshot, sources }) => [
      ...['borg', 'create', '-C', 'zstd,3', `::${snapshot}`],
      ...sources,
    ],
    isIncremental: true,
    restore: ({ snapshot }) => ['borg', 'extract', `::${snapshot}`],
    restoresHere: true,
    check: () => ['borg', 'check'],
    checkReadData: () => ['borg', 'check', '--verify-data'],
    codesPartial: [1],
  },
  {
    name: 'kopia',
    version: ['kopia', '--version'],
    environment: ({ home }) => ({
      KOPIA_PASSWORD: passphrase,
      KOPIA_CONFIG_PATH: join(home, 'kopia.config'),
      KOPIA_CACHE_DIRECTORY: join(home, 'kopia-cache'),
      KOPIA_LOG_DIR: join(home, 'kopia-logs'),
      KOPIA_CHECK_FOR_UPDATES: 'false',
    }),
    init: ({ repository }) => [
      ['kopia', 'repository', 'create', 'filesystem', '--path', repository],
      ['kopia', 'policy', 'set', '--global', '--compression=zstd'],
    ],
    snapshot: ({ sources }) => ['kopia', 'snapshot', 'create', '--no-progress', ...sources],
    isIncremental: true,
    restore: ({ target, sources }) => ['sh', '-c', kopiaRestore, 'sh', target, ...sources],
    restoresLast: true,
    check: () => ['kopia', 'snapshot', 'verify'],
    checkReadData: () => ['kopia', 'snapshot', 'verify', '--verify-files-percent=100'],
    codesPartial: [],
  },
  {
    name: 'rustic',
    version: ['rustic', '--version'],
    environment: ({ home, repository }) => ({
      RUSTIC_REPOSITORY: repository,
      RUSTIC_PASSWORD: passphrase,
      RUSTIC_CACHE_DIR: join(home, 'rustic-cache'),
    }),
    init: () => [['rustic', 'init']],
    snapshot: ({ sources }) => ['rustic', 'backup', ...sources],
    isIncremental: true,
    restore: ({ target }) => ['rustic', 'restore', 'latest', target],
    restoresLast: true,
    check: () => ['rustic', 'check'],
    checkReadData: () => ['rustic', 'check', '--read-data'],
    codesPartial: [],
  },
  {
    name: 'tar+zstd',
    version: ['zstd', '--version'],
    environment: ({ repository }) => ({ ARCHIVE: join(repository, 'archive.tar.zst') }),
    init: ({ repository }) => [['mkdir', repository]],
    snapshot: ({ sources }) => ['bash', '-c', tarToZstd, 'bash', ...sources],
    isIncremental: false,
    restore: () => ['bash', '-c', zstdToTar],
    restoresLast: true,
    restoresHere: true,
    codesPartial: [1],
  },
];

/** The first line with which a program answers for its version; undefined where it is not there. */
export function versionOf(program: Program): string | undefined {
  const [name = '', ...args] = program.version;
  try {
    const answer = execFileSync(name, args, {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    return answer.trim().split('\n')[0];
  } catch {
    return undefined;
  }
}
