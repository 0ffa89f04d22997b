/** More damage to a cache than the quick suite has time for; see `local-index.test.ts`. */
import assert from 'node:assert/strict';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  assertUsable,
  damagedCopy,
  flipBit,
  makeCache,
  PAGE_SIZE,
} from '../helpers/index-damage.ts';
import { tempDir } from '../helpers/temp-dir.ts';

test('local-index-flipped: 300 single bits, each in a new copy', async (t) => {
  const root = tempDir(t);
  const fixture = await makeCache(join(root, 'good'));

  let keptCount = 0;
  for (let seed = 100; seed < 400; seed++) {
    const copy = damagedCopy(fixture, join(root, 'damaged'), (bytes) => flipBit(bytes, seed));
    if ((await assertUsable(copy)) > 0) keptCount++;
  }

  t.diagnostic(`${keptCount} of 300 caches were kept`);
});

test('local-index-truncated: every number of pages', async (t) => {
  const root = tempDir(t);
  const fixture = await makeCache(join(root, 'good'));
  const { size } = statSync(join(fixture.path, 'data.mdb'));

  for (let length = 0; length < size; length += PAGE_SIZE) {
    const copy = damagedCopy(fixture, join(root, 'damaged'), (bytes) => bytes.subarray(0, length));
    assert.equal(await assertUsable(copy), 0, `length ${length}`);
  }
});
