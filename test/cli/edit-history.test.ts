/** `varve tag` and `varve rewrite`: what they print, ask for and leave. */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { type TestContext, test } from 'node:test';
import { contentOf, homeWithRepository, type VarveHome } from '../helpers/run-varve.ts';

async function newHome(t: TestContext): Promise<VarveHome> {
  const home = await homeWithRepository(t);
  mkdirSync(home.path('source', 'secret'));
  writeFileSync(home.path('source', 'notes'), 'one line');
  await home.ok('snapshot', 'source', '--host', 'one');
  writeFileSync(home.path('source', 'secret', 'key'), 'do not tell');
  await home.ok('snapshot', 'source', '--host', 'two', '--tag', 'daily');
  return home;
}

/** Host and tags of all snapshots. */
async function tagsIn(home: VarveHome): Promise<[unknown, unknown][]> {
  const { lines } = await home.runJson(['snapshots']);
  return lines.slice(0, -1).map(({ hostname, tags }) => [hostname, tags]);
}

test('tag changes the tags of what is named, or of all that are left', async (t) => {
  const home = await newHome(t);

  const { stdout } = await home.ok('tag', '--add', 'keep', 'latest');
  const all = await home.ok('tag', '--set', 'a', '--set', 'b', '--host', 'one');
  const after = await tagsIn(home);
  const same = await home.ok('tag', '--remove', 'other');

  assert.match(
    stdout,
    /^[0-9a-f]{8} is now [0-9a-f]{8} {2}daily, keep\nChanged the tags of 1 snap/,
  );
  assert.match(all.stdout, / {2}a, b\nChanged the tags of 1 snapshot\n$/);
  assert.deepEqual(after, [
    ['one', ['a', 'b']],
    ['two', ['daily', 'keep']],
  ]);
  assert.equal(same.stdout, 'Changed the tags of 0 snapshots\n');
});

test('tag --json tells old and new ids; without a change it is a mistake', async (t) => {
  const home = await newHome(t);

  const { lines } = await home.runJson(['tag', '--remove', 'daily']);
  const wrong = await home.run(['tag', 'latest']);
  const listed = await home.runJson(['snapshots', '--host', 'two']);

  const [changed, summary] = lines;
  assert.deepEqual(changed?.['tags'], []);
  assert.equal(changed?.['new_snapshot_id'], listed.lines[0]?.['id']);
  assert.equal(changed?.['old_snapshot_id'], listed.lines[0]?.['parent']);
  assert.deepEqual([summary?.['changed_snapshots'], summary?.['unchanged_snapshots']], [1, 1]);
  assert.equal(wrong.code, 64);
});

test('rewrite shows what it would drop, needs consent, and keeps the old unless told', async (t) => {
  const home = await newHome(t);
  const before = contentOf(home.repo);

  const plan = await home.ok('rewrite', '--exclude', 'secret', '--dry-run');
  const unasked = await home.run(['rewrite', '--exclude', 'secret']);
  const variable = await home.run(['rewrite', '--yes'], { env: { VARVE_EXCLUDE: 'notes' } });
  const untouched = contentOf(home.repo);
  const done = await home.ok('rewrite', '--exclude', 'secret', '--yes', '--forget');
  const found = await home.ok('find', 'key');
  const again = await home.ok('rewrite', '-e', 'key', '--yes');

  assert.match(
    plan.stdout,
    /^[0-9a-f]{8} .* drops 0 files \(0 B\), 1 directory, 0 other entries\n[0-9a-f]{8} .* drops 1 file \(11 B\), 1 directory, 0 other entries\nWould rewrite 2 snapshots; 0 have nothing of it\n$/,
  );
  assert.equal(unasked.code, 64);
  assert.equal(variable.code, 64);
  assert.deepEqual(untouched, before);
  assert.match(done.stdout, / is now [0-9a-f]{8}$/m);
  assert.match(done.stdout, /^Rewrote 2 snapshots, and the old ones are forgotten; 0 have/m);
  assert.equal(found.stdout, '0 paths in 2 snapshots\n');
  assert.equal(again.stdout, 'Nothing to rewrite; 2 have nothing of it\n');
  await home.ok('check');
});

test('rewrite --json tells each snapshot, and what cannot be', async (t) => {
  const home = await newHome(t);

  const { code, lines } = await home.runJson(['rewrite', '-e', 'key', '--host', 'two', '--yes']);
  const none = await home.runJson(['rewrite', '-e', '*', '--yes', 'latest']);

  assert.equal(code, 0);
  const [one, summary] = lines;
  assert.deepEqual([one?.['dropped_files'], one?.['dropped_bytes']], [1, 11]);
  assert.match(one?.['rewritten_id'] as string, /^[0-9a-f]{32}$/);
  assert.deepEqual([summary?.['applied'], summary?.['forgotten']], [true, false]);
  assert.equal(none.code, 3);
  assert.equal(none.lines[0]?.['code'], 'not_rewritten');
});
