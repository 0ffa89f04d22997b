/**
 * How large something is: the data a benchmark is about, a repository. What cannot be looked at is
 * passed over; whoever saves it says so.
 */
import { closeSync, lstatSync, openSync, readdirSync, readSync, type Stats } from 'node:fs';
import type { LongCall } from '../../progress.ts';
import { bufferOf } from '../../util/bytes.ts';
import { systemClock } from '../../util/clock.ts';
import { Turns } from '../../util/turns.ts';

const PIECE_SIZE = 2 ** 20;
const slash = Buffer.from('/');

export interface MeasureFilesOptions extends LongCall {
  signal: AbortSignal;
  /** Reads every file, so that its content is in memory, as far as that goes. */
  isReading?: boolean;
}

/** Bytes of all regular files at and below a path, of several names of one file only once. */
export async function measureFiles(
  path: Uint8Array,
  { signal, onProgress, isReading = false }: MeasureFilesOptions,
): Promise<number> {
  const turns = new Turns(systemClock, signal);
  const piece = Buffer.allocUnsafe(PIECE_SIZE);
  const linked = new Set<string>();
  let [filesDone, bytesDone] = [0, 0];
  for (const { path: currentPath, stat } of entriesBelow(bufferOf(path))) {
    if (turns.isOver) await turns.next();
    const inode = `${stat.dev} ${stat.ino}`;
    if (!stat.isFile() || linked.has(inode)) continue;
    if (stat.nlink > 1) linked.add(inode);
    if (isReading) await readThrough(currentPath, piece, turns);
    filesDone += 1;
    bytesDone += stat.size;
    onProgress?.({ phase: 'read', filesDone, bytesDone, currentPath });
  }
  return bytesDone;
}

function* entriesBelow(path: Buffer): Generator<{ path: Buffer; stat: Stats }> {
  const stat = unlessFailed(() => lstatSync(path));
  if (stat === undefined) return;
  yield { path, stat };
  if (!stat.isDirectory()) return;
  for (const name of unlessFailed(() => readdirSync(path, 'buffer')) ?? []) {
    yield* entriesBelow(Buffer.concat([path, slash, name]));
  }
}

async function readThrough(path: Buffer, piece: Buffer, turns: Turns): Promise<void> {
  const descriptor = unlessFailed(() => openSync(path, 'r'));
  if (descriptor === undefined) return;
  try {
    while (unlessFailed(() => readSync(descriptor, piece))) {
      if (turns.isOver) await turns.next();
    }
  } finally {
    closeSync(descriptor);
  }
}

function unlessFailed<T>(call: () => T): T | undefined {
  try {
    return call();
  } catch {
    return undefined;
  }
}
