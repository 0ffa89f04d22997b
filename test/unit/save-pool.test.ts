/**
 * What the pool says to its workers while bases are looked for. The worker of these tests answers when
 * it is told to, so that any order can be had.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import type { FileAssembly, FilePart, ScannedPart } from '../../src/backup/file-assembly.ts';
import { type SaveReply, type SaveRequest, TRIAL } from '../../src/backup/save-messages.ts';
import { SavePool } from '../../src/backup/save-pool.ts';
import type { FoundBases } from '../../src/repository/base-finder.ts';
import { idOf } from '../helpers/index-packs.ts';

const nothingFound: FoundBases = {
  plan: { frames: [], places: new Int32Array(0), ids: new Uint8Array(0) },
  candidates: [[]],
};
const time = { seconds: 0n, nanoseconds: 0 };

interface Stage {
  readonly pool: SavePool;
  /** What the worker was asked, by kind. */
  readonly asked: SaveRequest['kind'][];
  readonly reply: (message: SaveReply) => void;
  /** Lets the table of features be ready. */
  readonly openBases: () => void;
}

/** A pool with one worker and one table, both of which wait for the test. */
function newStage(): Stage {
  const asked: Stage['asked'] = [];
  let reply: Stage['reply'] = () => assert.fail('no worker yet');
  let openBases = (): void => {};
  const isOpen = new Promise<void>((resolve) => {
    openBases = resolve;
  });
  const pool = new SavePool({
    onStart: () => {},
    start: (_number, owner) => {
      reply = owner.onReply;
      return { post: ({ kind }) => void asked.push(kind), close: async () => {} };
    },
    workerCount: 1,
    store: { claim: () => true, addDurable: async () => {}, addFrames: async () => {} },
    bases: {
      open: () => isOpen,
      find: () => nothingFound,
      note: () => {},
    },
    onKept: () => {},
    afterWait: async () => {},
  });
  return { pool, asked, reply: (message) => reply(message), openBases: () => openBases() };
}

/** A file of one chunk, which is kept as soon as it was scanned. */
function newPart(): FilePart {
  const file = {
    held: { path: new Uint8Array(1) },
    entry: {
      identity: { device: 1, inode: 1n },
      metadata: { size: 5000n, mtime: time, ctime: time },
    },
    take: (scanned: ScannedPart) => {
      scanned.keep(0);
      scanned.decide();
    },
  } as unknown as FileAssembly;
  const place = { index: 0, offset: 0, length: 5000 };
  return { file, ...place, holeAfter: 0, isWhole: true, isLast: true };
}

/** Brings one batch to where the worker has asked for bases. */
async function seekOnce({ pool, reply }: Stage): Promise<void> {
  await pool.submit([newPart()]);
  reply({
    kind: 'scanned',
    slot: 0,
    ids: idOf('chunk'),
    sizes: Uint32Array.of(5000),
    chunkCounts: Uint32Array.of(1),
    isAtEnd: Uint8Array.of(1),
    isChanged: Uint8Array.of(0),
    stats: new Map(),
    failures: new Map(),
    extras: new Map(),
  });
  reply({
    kind: 'seek',
    slot: 0,
    chunks: Uint32Array.of(0),
    features: new Uint8Array(24).fill(1),
    isFlat: Uint8Array.of(0),
  });
}

test('finish() waits for batches whose bases are still looked for', async () => {
  const stage = newStage();
  const { pool, asked, reply, openBases } = stage;
  await seekOnce(stage);
  assert.deepEqual(asked, ['scan', 'store']);

  const finished = pool.finish();
  await turn();
  assert.deepEqual(asked, ['scan', 'store'], 'nothing while the table is being loaded');
  openBases();
  await turn();
  assert.deepEqual(asked, ['scan', 'store', 'encode'], 'nothing while the chunk is not stored');
  reply({ kind: 'stored', slot: 0, trials: Uint8Array.of(TRIAL.none) });
  await turn();
  assert.deepEqual(asked, ['scan', 'store', 'encode', 'finish']);

  const deltas = { blobs: 2, rawSize: 30, encodedSize: 4, unreadBases: 1, wrongDeltas: 0 };
  reply({ kind: 'finished', frames: [], compressedSize: 7, storedSize: 8, deltas });
  await finished;
  assert.deepEqual(pool.deltas, deltas);
});

test('close() is followed by no bases for a worker that has left', async () => {
  const stage = newStage();
  const { pool, asked, openBases } = stage;
  await seekOnce(stage);

  await pool.close();
  openBases();
  await turn();

  assert.deepEqual(asked, ['scan', 'store']);
});

test('a failure while bases are looked for ends finish()', async () => {
  const stage = newStage();
  const { pool } = stage;
  await seekOnce(stage);
  const failure = new Error('a worker has failed');

  const finished = pool.finish();
  pool.fail(failure);

  await assert.rejects(finished, failure);
});
