/** `varve restore` with patterns. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { type TestContext, test } from 'node:test';
import { homeWithRepository, type VarveHome } from '../helpers/run-varve.ts';

async function savedHome(t: TestContext): Promise<VarveHome> {
  const home = await homeWithRepository(t);
  for (const name of ['docs', 'tmp']) mkdirSync(home.path('tree', name), { recursive: true });
  for (const name of ['docs/a.txt', 'docs/b.jpg', 'tmp/c.txt', 'd.txt']) {
    writeFileSync(home.path('tree', name), name);
  }
  await home.ok('snapshot', 'tree');
  return home;
}

function restored(home: VarveHome, target: string): string[] {
  return readdirSync(home.path(target), { recursive: true, encoding: 'utf8' }).sort();
}

test('restore takes includes and excludes, each more than once', async (t) => {
  const home = await savedHome(t);
  const operand = `latest:${home.path('tree')}`;
  const includes = ['--include', 'docs', '--include', '*.txt'];
  const excludes = ['--exclude', 'tmp', '--exclude', '*.jpg'];

  const { stdout } = await home.ok('restore', operand, '--target', 'out', ...includes, ...excludes);

  assert.match(stdout, /^Restored 2 files, 1 directory into /m);
  assert.deepEqual(restored(home, 'out'), ['d.txt', 'docs', 'docs/a.txt']);
});

test('restore takes patterns from variables', async (t) => {
  const home = await savedHome(t);
  const env = { VARVE_INCLUDE: '*.txt', VARVE_EXCLUDE: 'd.*' };
  const operand = `latest:${home.path('tree')}`;

  const { lines } = await home.runJson(['restore', operand, '--target', 'out'], { env });

  assert.equal(lines.at(-1)?.['files_restored'], 2);
  assert.deepEqual(restored(home, 'out'), ['docs', 'docs/a.txt', 'tmp', 'tmp/c.txt']);
});

test('restore of a path that is a file takes it, and an include that fits nothing gives nothing', async (t) => {
  const home = await savedHome(t);
  const [tree, file] = [home.path('tree'), home.path('tree', 'd.txt')];
  const patterns = ['--include', 'none', '--exclude', '*.txt'];

  await home.ok('restore', `latest:${file}`, '--target', 'one', ...patterns);
  await home.ok('restore', `latest:${tree}`, '--target', 'nothing', ...patterns);

  assert.deepEqual(restored(home, 'one'), ['d.txt']);
  assert.deepEqual(restored(home, 'nothing'), []);
});

test('restore refuses patterns that make no sense before anything else', async (t) => {
  const home = await savedHome(t);
  const usages: [args: string[], hint: RegExp][] = [
    [['--include', '[a'], /include pattern "\[a": it has a bracket that is not closed/],
    [['--exclude', './a'], /exclude pattern "\.\/a": it has "\." or "\.\."/],
    [['--include', ''], /--include is empty/],
  ];

  for (const [args, hint] of usages) {
    const { code, stderr } = await home.run(['restore', 'latest', '--target', 'out', ...args]);

    assert.equal(code, 64, args.join(' '));
    assert.match(stderr, hint);
  }
  assert.ok(!existsSync(home.path('out')));
});
