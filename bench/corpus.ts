/**
 * The trees that benches save, made anew for each run of a bench and the same on every machine:
 * names and content follow from the kind and its size or count alone.
 *
 * | kind     | what it is like                                                                      |
 * | -------- | ------------------------------------------------------------------------------------ |
 * | `mixed`  | a home directory: small files, text, binary and incompressible files, one large file |
 * | `many`   | sources and mail: very many small files in a tree                                    |
 * | `wide`   | a spool: all files in one directory                                                  |
 * | `sparse` | a disk image: one file of holes and zeros with islands of data                       |
 *
 * One file in 16 of a tree is a copy of another.
 */
import { closeSync, ftruncateSync, mkdirSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { type SeededBytes, seededBytes } from './seeded-bytes.ts';

export const corpusKinds = ['mixed', 'many', 'wide', 'sparse'] as const;
export type CorpusKind = (typeof corpusKinds)[number];

export interface CorpusOptions {
  kind: CorpusKind;
  /** Bytes, of `mixed` and `sparse`; content of `mixed` has exactly so many. */
  size: number;
  /** Files, of `many` and `wide`. */
  count: number;
  signal?: AbortSignal;
}

export const corpusSizes: Readonly<Partial<Record<CorpusKind, number>>> = {
  mixed: 2 ** 30,
  sparse: 10 * 2 ** 30,
};
export const corpusCounts: Readonly<Partial<Record<CorpusKind, number>>> = {
  many: 1_000_000,
  wide: 200_000,
};

type Content = 'text' | 'binary' | 'random';

/** A tree of files of one sort below one directory. */
interface Part {
  folder: string;
  content: Content;
  /** Exponents of two between which sizes lie. */
  octaves: readonly [number, number];
  extension: string;
  isFlat?: boolean;
}

const mixedParts: readonly (Part & { share: number })[] = [
  { folder: 'small', share: 0.15, content: 'text', octaves: [7, 14], extension: 'ts' },
  { folder: 'text', share: 0.25, content: 'text', octaves: [14, 21], extension: 'log' },
  { folder: 'binary', share: 0.2, content: 'binary', octaves: [16, 23], extension: 'dat' },
  { folder: 'incompressible', share: 0.2, content: 'random', octaves: [17, 23], extension: 'jpg' },
];
const manyPart: Part = { folder: 'many', content: 'text', octaves: [6, 13], extension: 'ts' };
const widePart: Part = { ...manyPart, folder: 'wide', octaves: [4, 8], isFlat: true };

const filesPerDirectory = 20;
const subdirectoriesMax = 20;
const duplicateEvery = 16;
const duplicateDistance = 8;
const blockSize = 2 ** 20;
/** Files or blocks written before other work of this process, such as a signal, gets its turn. */
const turnLength = 256;

/** Makes the corpus in the directory `root`, which is made, too. */
export async function makeCorpus(root: string, options: CorpusOptions): Promise<void> {
  const { kind, size, count, signal } = options;
  mkdirSync(root);
  if (kind === 'many') await writeTree(root, manyPart, { count, signal });
  if (kind === 'wide') await writeTree(root, widePart, { count, signal });
  if (kind === 'sparse') await writeSparseFile(join(root, 'disk.img'), size, signal);
  if (kind !== 'mixed') return;
  let left = size;
  for (const part of mixedParts) {
    const share = Math.floor(size * part.share);
    await writeTree(root, part, { size: share, signal });
    left -= share;
  }
  await writeLargeFile(join(root, 'large.bin'), left, signal);
}

interface Until {
  size?: number;
  count?: number;
  signal: AbortSignal | undefined;
}

async function writeTree(root: string, part: Part, until: Until): Promise<void> {
  const { size = Infinity, count = Infinity, signal } = until;
  let left = size;
  for (let i = 0; i < count && left > 0; i++) {
    if (i % turnLength === 0) await takeTurn(signal);
    const directory = join(root, part.folder, part.isFlat ? '' : directoryOf(i));
    if (i % filesPerDirectory === 0) mkdirSync(directory, { recursive: true });
    const source = seededBytes(`${part.folder} ${originalOf(i)}`);
    const bytes = source[part.content](Math.min(source.size(part.octaves), left));
    writeFileSync(join(directory, `${nameOf(i)}.${part.extension}`), bytes);
    left -= bytes.length;
  }
}

/** Directories of a few files and subdirectories each: digits of a number, the root's last. */
function directoryOf(i: number): string {
  let rest = Math.floor(i / filesPerDirectory);
  let path = `d${rest % subdirectoriesMax}`;
  while (rest >= subdirectoriesMax) {
    rest = Math.floor(rest / subdirectoriesMax) - 1;
    path = `d${rest % subdirectoriesMax}/${path}`;
  }
  return path;
}

function nameOf(i: number): string {
  return `${(Math.imul(i, 0x9e3779b1) >>> 0).toString(36)}-${i}`;
}

/** Which file the `i`th is a copy of: itself, mostly. */
function originalOf(i: number): number {
  return i % duplicateEvery === duplicateEvery - 1 ? i - duplicateDistance : i;
}

async function writeLargeFile(path: string, size: number, signal?: AbortSignal): Promise<void> {
  const source = seededBytes('large');
  const fd = openSync(path, 'wx');
  try {
    for (let at = 0; at < size; ) {
      await takeTurn(signal);
      const stretchSize = Math.min(source.size([16, 22]), size - at);
      writeSync(fd, largeStretch(source, stretchSize), 0, stretchSize, at);
      at += stretchSize;
    }
  } finally {
    closeSync(fd);
  }
}

function largeStretch(source: SeededBytes, size: number): Uint8Array {
  const kind = (['text', 'binary', 'binary', 'random', 'zero'] as const)[source.below(5)]!;
  return kind === 'zero' ? new Uint8Array(size) : source[kind](size);
}

/** Every 32 MiB an island of data and, elsewhere, a stretch of zeros that were written. */
async function writeSparseFile(path: string, size: number, signal?: AbortSignal): Promise<void> {
  const source = seededBytes('sparse');
  const fd = openSync(path, 'wx');
  try {
    ftruncateSync(fd, size);
    const seaSize = 32 * blockSize;
    for (let at = 0; at < size; at += seaSize) {
      await takeTurn(signal);
      const island = largeStretch(source, source.size([15, 21]));
      const zeros = new Uint8Array(source.size([15, 21]));
      writeWithin(fd, { bytes: island, at: at + source.below(seaSize / 4), size });
      writeWithin(fd, { bytes: zeros, at: at + seaSize / 2 + source.below(seaSize / 4), size });
    }
  } finally {
    closeSync(fd);
  }
}

function writeWithin(fd: number, write: { bytes: Uint8Array; at: number; size: number }): void {
  const { bytes, at, size } = write;
  const length = Math.min(bytes.length, size - at);
  if (length > 0) writeSync(fd, bytes, 0, length, at);
}

async function takeTurn(signal?: AbortSignal): Promise<void> {
  await setImmediate();
  signal?.throwIfAborted();
}
