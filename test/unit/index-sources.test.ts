/** What the local index must never ask of LMDB: each has lost or crashed somebody's data. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';

const FORBIDDEN = [
  'noSync',
  'noMetaSync',
  'useWritemap',
  'mapAsync',
  'overlappingSync: true',
  '.backup(',
  'transactionAsync',
];

test('the sources of the index use no unsafe mode and no backup of LMDB', () => {
  const folder = new URL('../../../src/index/', import.meta.url);
  for (const name of readdirSync(folder)) {
    const text = readFileSync(new URL(name, folder), 'utf8');
    for (const word of FORBIDDEN) assert.ok(!text.includes(word), `${word} in ${name}`);
  }
});

test('the sources of the index switch overlapping sync off', () => {
  const path = new URL('../../../src/index/environment.ts', import.meta.url);
  assert.match(readFileSync(path, 'utf8'), /overlappingSync: false/);
});
