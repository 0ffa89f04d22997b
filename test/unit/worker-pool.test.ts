import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startInline } from '../../src/util/worker.ts';
import { type Numbered, WorkerPool } from '../../src/util/worker-pool.ts';

/** Workers that double a number when they are told to. */
function makePool(workerCountMax: number) {
  const atWork: (() => void)[][] = [];
  let closedCount = 0;
  const pool = new WorkerPool<number, number>(workerCountMax, (owner) => {
    const mine: (() => void)[] = [];
    atWork.push(mine);
    return startInline<Numbered<number>, Numbered<number>>(
      (reply) => ({
        handle: async ({ number, value }) => {
          await new Promise<void>((resolve) => mine.push(resolve));
          if (value < 0) throw new RangeError(`value ${value}`);
          reply({ number, value: 2 * value });
        },
        close: () => {
          closedCount += 1;
        },
      }),
      owner,
    );
  });
  return { pool, atWork, closedCount: () => closedCount };
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test('WorkerPool gives a worker two jobs at most and keeps the others', async () => {
  const { pool, atWork } = makePool(2);
  const answers: number[] = [];

  for (let i = 0; i < 7; i++) pool.submit(i, (answer) => answers.push(answer));
  await turn();

  assert.deepEqual(
    atWork.map((jobs) => jobs.length),
    [2, 2],
  );
  assert.equal(pool.isPosted, false);
  while (!pool.isIdle) {
    for (const jobs of atWork) jobs.shift()?.();
    await turn();
  }
  await pool.until(() => pool.isIdle);
  assert.deepEqual(answers.sort(), [0, 10, 12, 2, 4, 6, 8]);
  await pool.close();
});

test('WorkerPool starts no more workers than there is work for', async () => {
  const { pool, atWork, closedCount } = makePool(4);

  pool.submit(1, () => {});
  await turn();
  atWork[0]?.shift()?.();
  await pool.until(() => pool.isIdle);
  pool.submit(2, () => {});
  await turn();
  atWork[0]?.shift()?.();
  await pool.close();

  assert.equal(atWork.length, 1);
  assert.equal(closedCount(), 1);
});

test('WorkerPool throws what a worker threw from then on, and takes no more jobs', async () => {
  const { pool, atWork } = makePool(1);
  for (const value of [-1, 1, 2, 3]) pool.submit(value, () => assert.fail('an answer'));
  await turn();

  const waiting = pool.until(() => pool.isIdle);
  atWork[0]?.[0]?.();

  await assert.rejects(waiting, { name: 'RangeError', message: 'value -1' });
  await assert.rejects(
    pool.until(() => true),
    RangeError,
  );
  assert.equal(atWork[0]?.length, 2, 'no job was posted after the failure');
  await pool.close();
});

test('WorkerPool throws what the receiver of an answer threw', async () => {
  const { pool, atWork } = makePool(1);
  pool.submit(1, () => {
    throw new TypeError('not wanted');
  });
  await turn();

  const waiting = pool.until(() => pool.isIdle);
  atWork[0]?.[0]?.();

  await assert.rejects(waiting, { name: 'TypeError', message: 'not wanted' });
  await pool.close();
});
