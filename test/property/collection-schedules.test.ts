/**
 * Several clients save, forget, bring back and collect at the same time; any of them dies or sleeps at any of its
 * requests. Whatever the schedule: what was acknowledged and not forgotten restores, `check` finds
 * nothing, and within the grace what was forgotten can be brought back (G35).
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runHistory } from '../helpers/collection-history.ts';
import { tempDir } from '../helpers/temp-dir.ts';

const count = Number(process.env['HISTORIES'] ?? 30);
const first = Number(process.env['HISTORY'] ?? 0);

test('no schedule of clients loses what was acknowledged', async (t) => {
  const directory = tempDir(t);
  let [collections, snapshots, forgotten, broughtBack] = [0, 0, 0, 0];
  for (let number = first; number < first + count; number++) {
    const result = await runHistory(directory, number);
    assert.deepEqual(
      result.losses,
      [],
      `HISTORY=${number} HISTORIES=1 repeats it\n${result.trace.join('\n')}`,
    );
    collections += result.collections;
    snapshots += result.snapshots;
    forgotten += result.forgotten;
    broughtBack += result.broughtBack;
  }
  t.diagnostic(
    `${count} histories: ${snapshots} snapshots, ${forgotten} forgotten, ${broughtBack} brought back, ` +
      `${collections} collections`,
  );
  assert.ok(
    first > 0 || count < 20 || (collections > 0 && broughtBack > 0),
    'the histories do something',
  );
});
