/**
 * The steps every new blob goes through, one after the other on one thread:
 * `npm run bench -- blob [--size 64M] [--runs 5] [--json FILE] [DIR…]`. `id` is the keyed hash of
 * each chunk, `compress` gathers chunks into frames and compresses these at the default level,
 * `seal` encrypts the frames. MB/s (10^6 bytes) of plaintext for `id`, `compress` and the three
 * together, of what is sealed for `seal`. Reading and cutting are not counted.
 */
import { lstatSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { type BlobIdentifier, createBlobIdentifier } from '../src/blob/blob-ids.ts';
import { BLOB_TYPE } from '../src/blob/blob-type.ts';
import { chunkStream } from '../src/chunk/chunk-stream.ts';
import { DEFAULT_PROFILE } from '../src/chunk/profile.ts';
import { createSimdScanner } from '../src/chunk/scan-simd.ts';
import { type EncodedFrame, FrameBuilder } from '../src/frame/frame-builder.ts';
import { sealFrame } from '../src/frame/frame-codec.ts';
import type { BlobId } from '../src/id.ts';
import { KEY_CLASS } from '../src/keys/key-hierarchy.ts';
import { DEFAULT_CONFIG } from '../src/repository/default-config.ts';
import { ZstdCodec } from '../src/util/zstd.ts';
import { counting, testKeys } from '../test/helpers/test-keys.ts';
import { describeMachine } from './machine.ts';
import { markdownTable, spreadOf } from './report.ts';
import { seededBytes } from './seeded-bytes.ts';
import { parseCount, parseSize, UsageError } from './sizes.ts';

const smallFileSize = 3000;
const scanner = createSimdScanner(counting(1), DEFAULT_PROFILE, {
  capacity: 2 ** 20 + DEFAULT_PROFILE.maximum,
});
const identify: BlobIdentifier = createBlobIdentifier(testKeys.blobId);
const codec = new ZstdCodec();
const frameKey = counting(2);

/** One pass over one kind of data, seconds and bytes. */
interface Pass {
  idSeconds: number;
  compressSeconds: number;
  sealSeconds: number;
  plainSize: number;
  sealedSize: number;
}

export async function run(args: string[]): Promise<void> {
  const { size, runs, jsonPath, directories } = parseOptions(args);
  const kinds: [name: string, makeFiles: () => Uint8Array[]][] = [
    ['random', () => [seededBytes('blob').random(size)]],
    ['binary', () => [seededBytes('blob').binary(size)]],
    ['text', () => [seededBytes('blob').text(size)]],
    ['text, small files', () => smallFiles(size)],
    ['zeros', () => [new Uint8Array(size)]],
    ...directories.map((path): [string, () => Uint8Array[]] => [path, () => readSome(path, size)]),
  ];
  const measured = kinds.map(([name, makeFiles]) => {
    const chunks = makeFiles().flatMap(cut);
    onePass(chunks);
    return {
      name,
      chunks: chunks.length,
      passes: Array.from({ length: runs }, () => onePass(chunks)),
    };
  });
  console.log(`blob, ${size} bytes of each, MB/s\n`);
  const head = ['data', 'id', 'compress', 'seal', 'all three', 'compressed to', 'average chunk'];
  console.log(markdownTable(head, measured.map(rowOf)));
  if (jsonPath === undefined) return;
  const about = { machine: describeMachine('.'), settings: { bench: 'blob', size, runs } };
  writeFileSync(jsonPath, `${JSON.stringify({ ...about, measured }, undefined, 2)}\n`);
}

function parseOptions(args: string[]): {
  size: number;
  runs: number;
  jsonPath: string | undefined;
  directories: string[];
} {
  try {
    const { values, positionals } = parseArgs({
      args,
      allowPositionals: true,
      options: {
        size: { type: 'string', default: '64M' },
        runs: { type: 'string', default: '5' },
        json: { type: 'string' },
      },
    });
    return {
      size: parseSize(values.size),
      runs: parseCount(values.runs),
      jsonPath: values.json,
      directories: positionals.map((path) => resolve(path)),
    };
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

function rowOf({
  name,
  chunks,
  passes,
}: {
  name: string;
  chunks: number;
  passes: Pass[];
}): string[] {
  const speed = (size: (pass: Pass) => number, seconds: (pass: Pass) => number): string =>
    spreadOf(
      passes.map((pass) => size(pass) / seconds(pass) / 1e6),
      0,
    );
  const plain = ({ plainSize }: Pass): number => plainSize;
  const { plainSize, sealedSize } = passes[0]!;
  return [
    name,
    speed(plain, ({ idSeconds }) => idSeconds),
    speed(plain, ({ compressSeconds }) => compressSeconds),
    speed(
      ({ sealedSize }) => sealedSize,
      ({ sealSeconds }) => sealSeconds,
    ),
    speed(plain, (pass) => pass.idSeconds + pass.compressSeconds + pass.sealSeconds),
    `${((100 * sealedSize) / plainSize).toFixed(1)} %`,
    `${(plainSize / chunks / 1024).toFixed(1)} KiB`,
  ];
}

function onePass(chunks: readonly Uint8Array[]): Pass {
  const ids: BlobId[] = [];
  const idSeconds = secondsOf(() => {
    for (const chunk of chunks) ids.push(identify(BLOB_TYPE.data, chunk));
  });
  const { frames, compressSeconds } = compress(chunks, ids);
  let offset = 0;
  const sealSeconds = secondsOf(() => {
    for (const { record, content } of frames) {
      sealFrame(frameKey, { record, offset }, content);
      offset += record.storedSize;
    }
  });
  const plainSize = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
  return { idSeconds, compressSeconds, sealSeconds, plainSize, sealedSize: offset };
}

/** Frames are copied to outlive the builder; that is not counted. */
function compress(
  chunks: readonly Uint8Array[],
  ids: readonly BlobId[],
): { frames: EncodedFrame[]; compressSeconds: number } {
  const builder = new FrameBuilder(KEY_CLASS.data);
  const frames: EncodedFrame[] = [];
  let compressSeconds = 0;
  const close = (): void => {
    let frame: EncodedFrame | undefined;
    compressSeconds += secondsOf(() => {
      frame = builder.finish(codec, DEFAULT_CONFIG.compressionLevel);
    });
    if (frame !== undefined) frames.push({ ...frame, content: frame.content.slice() });
  };
  for (const [i, plaintext] of chunks.entries()) {
    compressSeconds += secondsOf(() => {
      builder.add({ id: ids[i]!, rawSize: plaintext.length, type: BLOB_TYPE.data }, plaintext);
    });
    if (builder.isFull) close();
  }
  if (!builder.isEmpty) close();
  return { frames, compressSeconds };
}

function secondsOf(action: () => void): number {
  const startMs = performance.now();
  action();
  return (performance.now() - startMs) / 1000;
}

/** The chunks of one file, views of it. */
function cut(file: Uint8Array): Uint8Array[] {
  let at = 0;
  const readInto = (target: Uint8Array): number => {
    const part = file.subarray(at, at + target.length);
    target.set(part);
    at += part.length;
    return part.length;
  };
  const chunks: Uint8Array[] = [];
  let start = 0;
  for (const { length } of chunkStream(scanner, readInto)) {
    chunks.push(file.subarray(start, start + length));
    start += length;
  }
  return chunks;
}

function smallFiles(size: number): Uint8Array[] {
  const text = seededBytes('blob').text(size);
  const count = Math.ceil(size / smallFileSize);
  return Array.from({ length: count }, (_, i) =>
    text.subarray(i * smallFileSize, (i + 1) * smallFileSize),
  );
}

/** The first files of a directory, in the order of their names, until they have `size` bytes. */
function readSome(directory: string, size: number): Uint8Array[] {
  const files: Uint8Array[] = [];
  let left = size;
  const visit = (path: string): void => {
    const stat = lstatSync(path);
    if (left > 0 && stat.isFile() && stat.size > 0) {
      const file = readFileSync(path).subarray(0, left);
      files.push(file);
      left -= file.length;
    }
    if (!stat.isDirectory()) return;
    for (const name of readdirSync(path).sort()) if (left > 0) visit(join(path, name));
  };
  visit(directory);
  if (files.length === 0) throw new UsageError(`no files in "${directory}"`);
  return files;
}
