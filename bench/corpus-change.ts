/**
 * What may happen to a tree between two snapshots: about 1 % of it changes.
 *
 * - Of the files below 64 KiB one in a hundred of about the same size is rewritten, appended to,
 *   replaced by one of another name, or renamed, in turn.
 * - Of the files below 16 MiB some are rewritten until these are a hundredth of all their bytes, the
 *   last one in part.
 * - Every larger file gets other bytes in one stretch of a hundredth of it.
 *
 * Which and where follows from the tree and the round. Bytes change by XOR with a constant, so what
 * is new compresses as what was there.
 */
import {
  appendFileSync,
  closeSync,
  lstatSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  type Stats,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { type SeededBytes, seededBytes } from './seeded-bytes.ts';

/** One in so many. */
const changedEvery = 100;
const mediumSizeMin = 2 ** 16;
const largeSizeMin = 2 ** 24;
const blockSize = 2 ** 20;
const nameLengthMax = 60;
const ownerMayWrite = 0o200;

interface File {
  path: string;
  size: number;
}

/** Changes about 1 % of the trees; another 1 % for every `round`. */
export function changeALittle(roots: readonly string[], round: number): void {
  const source = seededBytes(`change ${round}`);
  const files = roots.flatMap((root) => writableFilesOf(root));
  changeSmallFiles(
    files.filter(({ size }) => size < mediumSizeMin),
    { round, source },
  );
  const medium = files.filter(({ size }) => size >= mediumSizeMin && size < largeSizeMin);
  changeMediumFiles(medium, source);
  for (const file of files.filter(({ size }) => size >= largeSizeMin)) {
    changeStretch(file, Math.ceil(file.size / changedEvery), source);
  }
}

function changeSmallFiles(files: File[], how: { round: number; source: SeededBytes }): void {
  files.sort((a, b) => a.size - b.size);
  for (let first = 0, turn = 0; first < files.length; first += changedEvery, turn++) {
    const choice = how.source.below(Math.min(changedEvery, files.length - first));
    changeSmallFile(files[first + choice]!.path, { turn, ...how });
  }
}

function changeMediumFiles(files: File[], source: SeededBytes): void {
  let left = Math.ceil(files.reduce((sum, { size }) => sum + size, 0) / changedEvery);
  while (left > 0) {
    const [file] = files.splice(source.below(files.length), 1);
    const size = Math.min(left, file!.size);
    changeStretch(file!, size, source);
    left -= size;
  }
}

/** Regular files in the order of their names, without what this process could not write to. */
function writableFilesOf(root: string): File[] {
  const stat = lstatSync(root);
  if (stat.isFile() && isWritable(stat)) return [{ path: root, size: stat.size }];
  if (!stat.isDirectory() || !isWritable(stat)) return [];
  // A name that is no UTF-8 would not lead back to its file.
  const names = readdirSync(root).filter((name) => !name.includes('\ufffd'));
  return names.sort().flatMap((name) => writableFilesOf(join(root, name)));
}

function isWritable(stat: Stats): boolean {
  return (stat.mode & ownerMayWrite) !== 0;
}

function changeSmallFile(
  path: string,
  how: { turn: number; round: number; source: SeededBytes },
): void {
  const { turn, round, source } = how;
  const bytes = readFileSync(path);
  const otherPath = join(dirname(path), `r${round}-${basename(path).slice(0, nameLengthMax)}`);
  const mask = 1 + source.below(255);
  if (turn % 4 === 0) writeFileSync(path, masked(bytes, mask));
  if (turn % 4 === 1) appendFileSync(path, masked(bytes.subarray(bytes.length >> 1), mask));
  if (turn % 4 === 2) {
    rmSync(path);
    writeFileSync(otherPath, masked(bytes, mask));
  }
  if (turn % 4 === 3) renameSync(path, otherPath);
}

function changeStretch({ path, size }: File, stretchSize: number, source: SeededBytes): void {
  const start = Math.floor((source.below(2 ** 32) / 2 ** 32) * (size - stretchSize));
  const mask = 1 + source.below(255);
  const block = new Uint8Array(blockSize);
  const fd = openSync(path, 'r+');
  try {
    for (let done = 0; done < stretchSize; ) {
      const length = Math.min(blockSize, stretchSize - done);
      const readSize = readSync(fd, block, 0, length, start + done);
      if (readSize === 0) return;
      writeSync(fd, masked(block.subarray(0, readSize), mask), 0, readSize, start + done);
      done += readSize;
    }
  } finally {
    closeSync(fd);
  }
}

function masked(bytes: Uint8Array, mask: number): Uint8Array {
  return bytes.map((byte) => byte ^ mask);
}
