/** Every damage of a small repository that has objects of every kind, and random ones of a large one. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DAMAGE_PARTS } from '../helpers/damage-parts.ts';

for (const name of ['damage-everywhere', 'damage-large']) {
  test(`check({ isReadingData }) names whatever is damaged: ${name}`, async (t) => {
    const part = DAMAGE_PARTS[name];
    assert.ok(part !== undefined);

    const { table, losses } = await part(t, (text) => t.diagnostic(text));

    t.diagnostic(table);
    assert.deepEqual(losses, []);
  });
}
