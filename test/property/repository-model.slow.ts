/**
 * The histories of `repository-model.test.ts`, many more of them and longer; and on a real disk, with
 * threads, through the public API.
 */
import { test } from 'node:test';
import { diskWorld, memoryWorld } from '../helpers/model-world.ts';
import {
  assertModel,
  diskCommands,
  lossyCommands,
  memoryCommands,
} from '../helpers/repository-model.ts';
import { testSeed as seed } from '../helpers/seeded-random.ts';

const jobs = 2;

test('a repository in memory keeps every snapshot that it acknowledged', async () => {
  await assertModel(memoryCommands, {
    newWorld: memoryWorld,
    seed: seed + 1,
    runCount: 300,
    lengthMax: 60,
  });
});

test('a snapshot after the loss of a pack in memory is whole', async () => {
  await assertModel(lossyCommands, {
    newWorld: memoryWorld,
    seed: seed + 1,
    runCount: 200,
    lengthMax: 20,
  });
});

test('a repository on a disk keeps every snapshot that it acknowledged', async () => {
  await assertModel(diskCommands, {
    newWorld: (scope) => diskWorld(scope, jobs),
    seed: seed + 2,
    runCount: 25,
    lengthMax: 30,
  });
});

test('a snapshot after the loss of a pack on a disk is whole', async () => {
  await assertModel(lossyCommands, {
    newWorld: (scope) => diskWorld(scope, jobs),
    seed: seed + 2,
    runCount: 12,
    lengthMax: 10,
  });
});
