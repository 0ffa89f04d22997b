/** The figures of what was saved, as lines for people and as fields for programs. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Savings, savingsFields, savingsLines } from '../../src/cli/savings.ts';

const savings: Savings = {
  rawSize: 8000n,
  uniqueSize: 4000,
  deltaBlobs: 3,
  deltaRawSize: 2500,
  deltaStoredSize: 100,
  compressedSize: 800,
  storedSize: 1000,
};

test('savingsLines() tells every step with its factor', () => {
  const notes = { raw: '9 files', unique: '5 blobs', stored: '1 pack' };

  assert.deepEqual(savingsLines(savings, notes), [
    'raw         7.8 KiB             9 files',
    'unique      3.9 KiB   2.00 : 1  5 blobs',
    'delta       1.6 KiB   5.00 : 1  3 blobs of 2.4 KiB as deltas of 100 B',
    'compressed    800 B  10.00 : 1',
    'stored       1000 B   8.00 : 1  1 pack',
  ]);
});

test('savingsLines() leaves out what is not known and what makes no sense', () => {
  const nothing = { deltaBlobs: 0, deltaRawSize: 0, deltaStoredSize: 0, storedSize: undefined };

  assert.deepEqual(savingsLines({ rawSize: 0, uniqueSize: 0n, compressedSize: 0, ...nothing }), [
    'raw         0 B',
    'unique      0 B',
    'delta       0 B',
    'compressed  0 B',
  ]);
});

test('savingsFields() tells the same as numbers', () => {
  assert.deepEqual(savingsFields(savings), {
    raw_size: 8000n,
    unique_size: 4000,
    unique_factor: 2,
    delta_size: 1600,
    delta_factor: 5,
    delta_blob_count: 3,
    delta_raw_size: 2500,
    delta_stored_size: 100,
    compressed_size: 800,
    compressed_factor: 10,
    stored_size: 1000,
    stored_factor: 8,
  });
  assert.equal(savingsFields({ ...savings, uniqueSize: 4000n })['delta_size'], 1600n);
  assert.equal(savingsFields({ ...savings, storedSize: undefined })['stored_factor'], undefined);
});
