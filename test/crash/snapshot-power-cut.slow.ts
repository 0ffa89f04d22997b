/** `snapshot-power-cut.test.ts` over all states, with more seeds and the home kept more often. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  collectCrashes,
  findLossesAfter,
  runLargeSnapshot,
} from '../helpers/repository-crash-states.ts';
import { tempDir } from '../helpers/temp-dir.ts';

test('a power cut at any call loses nothing acknowledged, in 300 ways for each call', async (t) => {
  const directory = tempDir(t);
  const states = await collectCrashes({ directory, seedsPerStop: 150, homeInterval: 1 });

  for (const state of states) {
    assert.deepEqual(await findLossesAfter(state, directory), [], state.where);
  }

  t.diagnostic(`${states.length} different states`);
});

test('a power cut during a snapshot of two packs loses nothing acknowledged', async (t) => {
  const directory = tempDir(t);
  const script = runLargeSnapshot;
  const states = await collectCrashes({ directory, seedsPerStop: 20, homeInterval: 10, script });

  for (const state of states) {
    assert.deepEqual(await findLossesAfter(state, directory), [], state.where);
  }

  t.diagnostic(`${states.length} different states`);
});
