/** The same as the quick test for a thousand damages. */
import { test } from 'node:test';
import { damageAndRepair, damageWorld } from '../helpers/random-damage.ts';

test('repairs of 1,000 random damages delete nothing (R09)', async (t) => {
  const world = await damageWorld(t);

  for (let salt = 1000; salt < 2000; salt++) await damageAndRepair(world, salt);
});
