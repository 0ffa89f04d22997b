/**
 * `npm run demo [-- DIR]`: varve on a real tree in a minute. Copies DIR (default: this project
 * without its dependencies and build output) to a temporary directory, takes a snapshot, changes a
 * little, takes another, restores both points in time, compares, and says what was saved. DIR itself
 * is only read; everything made is removed. Exits 1 when a comparison differs.
 */
import { execFileSync } from 'node:child_process';
import {
  appendFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  initRepository,
  openRepository,
  type SnapshotResult,
  TargetError,
  type VarveError,
} from '../src/index.ts';
import { printable } from '../src/util/printable.ts';
import { compareTrees } from '../test/helpers/compare-trees.ts';

const LEFT_OUT = ['node_modules', '.git', 'dist'];
/** Devices, FIFOs and sockets are kept in snapshots and not restored. */
const SPECIAL = 'cbps';
/** So many of the tree's files get a line more. */
const EDITED_FILE_COUNT = 3;
const DIFFERENCES_SHOWN_MAX = 20;

const [given] = process.argv.slice(2);
if (given !== undefined && !existsSync(given)) {
  console.error(`Cannot find "${given}"`);
  process.exit(1);
}
const scratch = mkdtempSync(join(tmpdir(), 'varve-demo-'));
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    removeScratch();
    process.exit(130);
  });
}
try {
  await demonstrate();
} finally {
  removeScratch();
}

async function demonstrate(): Promise<void> {
  const tree = join(scratch, 'tree');
  const before = join(scratch, 'before');
  copySource(tree);
  const location = join(scratch, 'repository');
  await initRepository({ location, isInsecure: true });
  const repository = await openRepository({
    location,
    cacheDirectory: join(scratch, 'cache'),
    stateDirectory: join(scratch, 'state'),
  });
  try {
    const first = await repository.snapshot({ paths: [tree] });
    describe('first snapshot', first);
    execFileSync('cp', ['-a', tree, before]);
    changeALittle(tree);
    const second = await repository.snapshot({ paths: [tree] });
    describe('second snapshot, after a few edits', second);

    let differenceCount = 0;
    const restore = async (result: SnapshotResult, original: string): Promise<void> => {
      const target = join(scratch, `restored-${result.id}`);
      const snapshot = await repository.select(result.id);
      const failures: string[] = [];
      const onError = (error: VarveError): void => {
        const isSpecial = error instanceof TargetError && error.reason === 'special_file';
        if (!isSpecial) failures.push(error.message);
      };
      await repository.restore({ snapshot, path: tree, target, onError });
      const differences = [...failures, ...compareTrees(original, target, { without: SPECIAL })];
      differenceCount += differences.length;
      const verdict = differences.length === 0 ? 'identical' : `${differences.length} differences`;
      console.log(`restored ${result.id.slice(0, 8)}: ${result.files} files, ${verdict}`);
      for (const line of differences.slice(0, DIFFERENCES_SHOWN_MAX)) console.log(`  ${line}`);
    };
    await restore(first, before);
    await restore(second, tree);
    if (differenceCount > 0) process.exitCode = 1;
    describeSavings([first, second], sizeOf(location));
  } finally {
    await repository.close();
  }
}

/** Everything of the user's directory; of the project's own tree, what is not made from the rest. */
function copySource(tree: string): void {
  const source =
    given === undefined ? fileURLToPath(new URL('../../', import.meta.url)) : resolve(given);
  const names = readdirSync(source, { encoding: 'buffer' }).filter(
    (name) => given !== undefined || !LEFT_OUT.includes(name.toString()),
  );
  console.log(`copying ${printable(Buffer.from(source))}`);
  if (given !== undefined) {
    execFileSync('cp', ['-a', '--', source, tree]);
    return;
  }
  mkdirSync(tree);
  for (const name of names) execFileSync('cp', ['-a', '--', join(source, name.toString()), tree]);
}

function changeALittle(tree: string): void {
  const files = readdirSync(tree, { recursive: true, encoding: 'utf8' })
    .sort()
    .filter((path) => isOwnFile(join(tree, path)));
  for (const path of files.slice(0, EDITED_FILE_COUNT)) {
    appendFileSync(join(tree, path), 'one line more\n');
  }
  const [moved] = files.slice(EDITED_FILE_COUNT);
  if (moved !== undefined) renameSync(join(tree, moved), join(tree, 'moved by the demo'));
  const [removed] = files.slice(EDITED_FILE_COUNT + 1);
  if (removed !== undefined) rmSync(join(tree, removed));
  writeFileSync(join(tree, 'new in the second snapshot'), 'hello\n');
}

/** A regular file with one name that may be written to. */
function isOwnFile(path: string): boolean {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  return stat?.isFile() === true && stat.nlink === 1 && (stat.mode & 0o200) !== 0;
}

function describe(what: string, result: SnapshotResult): void {
  const seconds = (Number(result.durationNs) / 1e9).toFixed(1);
  const parts = [
    `${result.files} files`,
    `${megabytes(Number(result.bytes))} read`,
    `${megabytes(result.newBytes)} new`,
    `${megabytes(result.storedBytes)} stored`,
    `${seconds} s`,
  ];
  console.log(`${what} ${result.id.slice(0, 8)}: ${parts.join(', ')}`);
}

function describeSavings(results: SnapshotResult[], stored: number): void {
  const raw = results.reduce((sum, { bytes }) => sum + Number(bytes), 0);
  const factor = (raw / stored).toFixed(1);
  console.log(
    `${results.length} points in time, ${megabytes(raw)} in all, kept in ${megabytes(stored)}: ` +
      `${factor} times smaller, encrypted and verified`,
  );
}

function sizeOf(directory: string): number {
  let size = 0;
  for (const path of readdirSync(directory, { recursive: true, encoding: 'utf8' })) {
    const stat = lstatSync(join(directory, path));
    if (stat.isFile()) size += stat.size;
  }
  return size;
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(2)} MB`;
}

function removeScratch(): void {
  execFileSync('chmod', ['-R', 'u+rwX', scratch]);
  rmSync(scratch, { recursive: true, force: true });
}
