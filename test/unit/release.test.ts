import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { release } from '../../src/util/release.ts';

/** Nothing is released in the first turns of a thread. */
async function waitUntilItReleases(): Promise<void> {
  for (;;) {
    const probe = new Uint8Array(2 ** 20);
    release(probe);
    if (probe.length === 0) return;
    await nextTurn();
  }
}

test('a large buffer is given back, a part of one and a small one stay', async () => {
  await waitUntilItReleases();
  const large = new Uint8Array(2 ** 20).fill(1);
  const view = large.subarray(5, 10);
  release(large);
  assert.equal(large.length, 0);
  assert.equal(view.length, 0);

  const shared = new Uint8Array(2 ** 20).fill(1);
  release(shared.subarray(2 ** 18));
  assert.equal(shared.length, 2 ** 20);

  const small = new Uint8Array(100);
  release(small);
  assert.equal(small.length, 100);
});

test('memory of what was released does not pile up', async () => {
  await waitUntilItReleases();
  const before = process.memoryUsage().arrayBuffers;
  for (let i = 0; i < 64; i++) release(new Uint8Array(2 ** 22).fill(i));
  assert.ok(process.memoryUsage().arrayBuffers - before < 2 ** 24);
});
