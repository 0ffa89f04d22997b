/**
 * The programs that are measured, as a table: those of `varve benchmark`, with what only benches do
 * with them, and further peers. All encrypt with a key behind a passphrase and compress with zstd at
 * the level that is about 3, except the pair of tar and zstd, which is the yardstick of plain reading
 * and compressing. To add a program, add an entry; what a program has no command for is left out there.
 */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  type Argv,
  borgProgram,
  type Place,
  type Program,
  resticProgram,
  varveProgram,
} from '../src/cli/benchmark/programs.ts';

export interface BenchProgram extends Program {
  /** False where a second snapshot would be the first once more. */
  isIncremental: boolean;
  /** Whether `restore` takes the last snapshot, whatever its name. */
  restoresLast?: boolean;
  check?: (place: Place) => Argv;
  checkReadData?: (place: Place) => Argv;
  /** Prints what the repository holds, in JSON; varve only. */
  stats?: (place: Place) => Argv;
}

/** It restores one path at a time. */
const kopiaRestore =
  'target=$1; shift; for path; do kopia restore "$path" "$target$path" || exit; done';
const tarToZstd = 'set -o pipefail; tar -cPf - -- "$@" | zstd -q -3 -T2 -f -o "$ARCHIVE"';
const zstdToTar = 'set -o pipefail; zstd -q -d -c "$ARCHIVE" | tar -xf -';

/** The command as it is shipped. */
const varve: Argv = [
  process.execPath,
  fileURLToPath(new URL('../command/main.js', import.meta.url)),
];

export const ownProgram: BenchProgram = {
  ...varveProgram(varve),
  isIncremental: true,
  check: () => [...varve, 'check'],
  checkReadData: () => [...varve, 'check', '--read-data'],
  stats: () => [...varve, 'stats', '--json'],
};

export const peers: readonly BenchProgram[] = [
  {
    ...resticProgram,
    isIncremental: true,
    check: () => ['restic', 'check'],
    checkReadData: () => ['restic', 'check', '--read-data'],
  },
  {
    ...borgProgram,
    isIncremental: true,
    check: () => ['borg', 'check'],
    checkReadData: () => ['borg', 'check', '--verify-data'],
  },
  {
    name: 'kopia',
    version: ['kopia', '--version'],
    environment: ({ home, passphrase }) => ({
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
    environment: ({ home, repository, passphrase }) => ({
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
