/**
 * Random histories of a repository, compared with a model: what was acknowledged stays and restores.
 * Many more, and those on a real disk with threads, are in `repository-model.slow.ts`.
 */
import { test } from 'node:test';
import { memoryWorld } from '../helpers/model-world.ts';
import { assertModel, lossyCommands, memoryCommands } from '../helpers/repository-model.ts';
import { testSeed as seed } from '../helpers/seeded-random.ts';

const newWorld = memoryWorld;

test('a repository keeps every snapshot that it acknowledged', { timeout: 300_000 }, async () => {
  await assertModel(memoryCommands, { newWorld, seed, runCount: 24, lengthMax: 20 });
});

test('a snapshot after the loss of a pack is whole', { timeout: 300_000 }, async () => {
  await assertModel(lossyCommands, { newWorld, seed, runCount: 30, lengthMax: 12 });
});
