/**
 * A sample of what `killpoints.slow.ts` does in whole: real processes of the command, killed before
 * a call that changes something, judged by the oracle of `helpers/fault-oracle.ts`. And planted bugs
 * that are seen after few points.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import {
  type Campaign,
  runCampaign,
  seamKills,
  systemKills,
  unharmed,
} from '../helpers/fault-campaigns.ts';
import { QUICK_CANARIES } from '../helpers/fault-canaries.ts';
import { FAULT_OPERATIONS } from '../helpers/fault-operations.ts';
import { PreparedOperation } from '../helpers/fault-runs.ts';
import { lackOfStrace } from '../helpers/fault-strace.ts';
import { PLANTED_BUGS, plant } from '../helpers/planted-bugs.ts';
import { memoryDir } from '../helpers/test-repository.ts';

/** Of all operations: to prepare them takes longer than to kill them. */
const BY_STRACE = ['incremental snapshot', 'prune', 'repair packs from a copy'];
const BY_THEMSELVES = [
  'restore',
  'forget --prune',
  'undelete of what is about to be deleted',
  'prune that goes on with a sweep',
];
/** Share of their points. */
const SAMPLE = 0.018;

async function assertNothingLost(
  campaign: Campaign,
  { names, directory }: { names: readonly string[]; directory: string },
): Promise<number> {
  const operations = FAULT_OPERATIONS.filter(({ name }) => names.includes(name));
  assert.equal(operations.length, names.length);
  const tallies = await runCampaign(campaign, { directory, operations, sampleCount: SAMPLE });
  for (const { losses } of tallies) assert.deepEqual(losses, []);
  return tallies.reduce((sum, { hitCount }) => sum + hitCount, 0);
}

test('a process killed before one of its system calls loses nothing', async (t) => {
  const lack = await lackOfStrace();
  if (lack !== undefined) return t.skip(lack);

  const killCount = await assertNothingLost(systemKills, {
    names: BY_STRACE,
    directory: memoryDir(t),
  });

  assert.ok(killCount > 2);
  t.diagnostic(`${killCount} kills`);
});

test('a process that kills itself before a call loses nothing', async (t) => {
  const killCount = await assertNothingLost(seamKills, {
    names: BY_THEMSELVES,
    directory: memoryDir(t),
  });

  assert.ok(killCount > 2);
  t.diagnostic(`${killCount} kills`);
});

test('a bit that changes in memory is found before its pack is stored', async (t) => {
  const directory = memoryDir(t);
  const operations = FAULT_OPERATIONS.filter(({ name }) => name === 'first snapshot');
  const bug = 'memory changes a bit';

  const [tally] = await runCampaign(unharmed, { directory, operations, bug });
  const prepared = await PreparedOperation.make(operations[0] as never, `${directory}/again`);
  const { ended } = await prepared.run({ preload: { VARVE_TEST_BUG: bug } });

  assert.deepEqual(tally?.losses, []);
  assert.equal(ended.code, 1);
  assert.match(ended.stdout, /suspect this machine/);
});

test('every planted bug fits the program, each of its edits once', () => {
  const program = fileURLToPath(new URL('../../src/', import.meta.url));
  for (const [bug, edits] of Object.entries(PLANTED_BUGS)) {
    for (const file of new Set(edits.map((edit) => edit.file))) {
      const source = readFileSync(join(program, file), 'utf8');

      assert.notEqual(plant(bug, `/dist/src/${file}`, source), source, bug);
    }
  }
});

for (const canary of QUICK_CANARIES) {
  test(`a planted bug is seen: ${canary.bug}`, async (t) => {
    const caught = await canary.look(memoryDir(t));

    assert.ok(caught !== undefined, 'the harness is blind');
    t.diagnostic(`${caught.count} points: ${caught.finding}`);
  });
}
