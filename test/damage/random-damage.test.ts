/** Repairs of random damages: nothing disappears, and what is not hurt restores (R01, R07, R09). */
import { test } from 'node:test';
import { damageAndRepair, damageWorld } from '../helpers/random-damage.ts';

test('repairs of 40 random damages delete nothing (R09)', { timeout: 300_000 }, async (t) => {
  const world = await damageWorld(t);

  for (let salt = 0; salt < 40; salt++) await damageAndRepair(world, salt);
});
