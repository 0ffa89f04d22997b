import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { countDecodings } from '../../bench/savings/decodings.ts';
import { edited, newVersionedRepository, textOf } from '../helpers/similar-versions.ts';
import { tempDir } from '../helpers/temp-dir.ts';
import { newClient, openClient, snapshot } from '../helpers/test-repository.ts';

test('countDecodings() counts every chunk of the last version with those it rests on', async (t) => {
  const client = await newClient(t);
  const source = join(tempDir(t), 'source');
  mkdirSync(source);
  const same = textOf(1, 9000);
  let changing = textOf(2, 9000);
  for (let version = 0; version < 3; version++) {
    writeFileSync(join(source, 'changing'), changing);
    writeFileSync(join(source, 'copy'), changing);
    writeFileSync(join(source, 'same'), same);
    await snapshot(client, [source]);
    changing = edited(changing, version);
  }

  const decodings = await countDecodings(client.repository);

  assert.deepEqual(decodings, { chunks: 3, mean: (3 + 3 + 1) / 3, largest: 3 });
});

test('countDecodings() counts chunks of long files', async (t) => {
  const { storage } = await newVersionedRepository(t);
  const { repository } = await openClient(t, storage);

  const { chunks, mean, largest } = await countDecodings(repository);

  // All are whole but that of `changing`, which is a delta on a delta.
  assert.ok(chunks > 40);
  assert.equal(Math.round(mean * chunks), chunks + 2);
  assert.equal(largest, 3);
});

test('countDecodings() fails where there is no snapshot', async (t) => {
  const { repository } = await newClient(t);
  await assert.rejects(countDecodings(repository), /no snapshot/);
});
