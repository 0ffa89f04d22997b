/**
 * Disks that are full, real ones: a small tmpfs that holds the repository, the cache, the target of a
 * restore or all that a benchmark makes. Only root can mount one.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { compareTrees } from '../helpers/compare-trees.ts';
import { seededRandom } from '../helpers/seeded-random.ts';
import { fill, mebibyte, pageSize, smallHome, writeNoise } from '../helpers/small-disk.ts';

const kibibyte = 2 ** 10;

test('a snapshot that finds no room says where, and hurts nothing', async (t) => {
  const place = smallHome(t);
  if (place === undefined) return;
  const { home, small } = place;
  const location = join(small, 'repository');
  const run = (...args: string[]) => home.run(args, { env: { VARVE_REPOSITORY: location } });
  const source = home.path('source');
  await run('init', '--insecure-no-password');
  writeNoise(home, { name: 'first', size: 6 * mebibyte, salt: 1 });
  assert.equal((await run('snapshot', source)).code, 0);
  spawnSync('cp', ['-a', source, home.path('first')]);
  writeNoise(home, { name: 'second', size: 30 * mebibyte, salt: 2 });

  const full = await run('snapshot', source);

  assert.equal(full.code, 1);
  assert.match(full.stderr, /^varve: Cannot store ".*": no space left on device at "/);
  assert.ok(full.stderr.includes(`at "${location}": free `), full.stderr);
  assert.match(full.stderr, /free \d+\.\d MiB, needed \d+\.\d MiB\n {2}make room and run/);
  assert.deepEqual(readdirSync(join(location, 'tmp')), []);
  const checked = await run('check', '--read-data');
  assert.equal(checked.code, 0, checked.stdout + checked.stderr);
  await assertRestores('latest', 'first');

  const filler = fill(small, 0);
  const atOnce = await run('snapshot', source);
  assert.equal(atOnce.code, 1);
  assert.match(atOnce.stderr, /no space left on device at .*: free 0\.0 MiB, needed 0\.1 MiB/);
  assert.equal((await run('check')).code, 0);
  await assertRestores('latest', 'first');

  rmSync(filler);
  truncateSync(home.path('source', 'second'), mebibyte);
  const after = await run('snapshot', source);
  assert.equal(after.code, 0, after.stderr);
  await assertRestores('latest', 'source');
  await assertRestores('latest~1', 'first');
  assert.equal((await run('check', '--read-data')).code, 0);

  async function assertRestores(selector: string, like: string): Promise<void> {
    const target = home.path('target');
    const { code, stderr } = await run('restore', `${selector}:${source}`, '--target', target);
    assert.equal(code, 0, stderr);
    assert.deepEqual(compareTrees(home.path(like), target), []);
    rmSync(target, { recursive: true });
  }
});

test('a cache on a full disk costs a notice, whether it is new or was there', async (t) => {
  const place = smallHome(t);
  if (place === undefined) return;
  const { home, small } = place;
  const env = { XDG_CACHE_HOME: join(small, 'cache') };
  const run = (...args: string[]) => home.run(args, { env });
  await home.ok('init', '--insecure-no-password');
  writeNoise(home, { name: 'file', size: mebibyte, salt: 1 });

  for (const room of [0, pageSize, 2 * pageSize, 8 * pageSize, 128 * kibibyte]) {
    const filler = fill(small, room);
    const { code, stderr } = await run('snapshot', home.path('source'));
    assert.equal(code, 0, `${room} bytes free: ${stderr}`);
    const notice =
      /^note: Cannot use the cache ".*": no space left on device; going on without it$/m;
    assert.match(stderr, notice, `${room} bytes free`);
    rmSync(filler);
  }

  await run('snapshot', home.path('source'));
  fill(small, 0);
  for (let i = 0; i < 1000; i++) writeNoise(home, { name: `file${i}`, size: 100, salt: i });
  const known = await run('snapshot', home.path('source'));
  assert.equal(known.code, 0, known.stderr);
  assert.match(known.stderr, /^note: Cannot write the cache: /m);
  assert.equal((await run('check', '--read-data')).code, 0);
});

test('without room for any cache the command ends with an error', async (t) => {
  const place = smallHome(t);
  if (place === undefined) return;
  const { home, small } = place;
  await home.ok('init', '--insecure-no-password');
  fill(small, 0);

  const env = { XDG_CACHE_HOME: join(small, 'cache'), TMPDIR: small };
  const { code, stderr } = await home.run(['snapshot', home.path('source')], { env });

  assert.equal(code, 1);
  assert.match(stderr, /^varve: Cannot create temporary cache ".*": no space left on device$/m);
});

test('a restore that finds no room names each file, and leaves nothing unfinished', async (t) => {
  const place = smallHome(t);
  if (place === undefined) return;
  const { home, small } = place;
  await home.ok('init', '--insecure-no-password');
  writeNoise(home, { name: 'large', size: 8 * mebibyte, salt: 1 });
  writeNoise(home, { name: 'small', size: 100 * kibibyte, salt: 2 });
  await home.ok('snapshot', home.path('source'));
  const filler = fill(small, 4 * mebibyte);

  const target = join(small, 'target');
  const restore = ['restore', `latest:${home.path('source')}`, '--target', target];
  const { code, stdout, stderr } = await home.run(restore);

  assert.equal(code, 3);
  // Both are written at the same time, so that the large one may take the room of the small one.
  const failed = ['large', 'small'].filter((name) => !readdirSync(target).includes(name));
  assert.ok(failed.includes('large'));
  const lines = failed.map(
    (name) => `no_space: Cannot write target "${join(target, name)}": no space left on device`,
  );
  assert.deepEqual(stderr.trimEnd().split('\n').sort(), lines.sort());
  assert.match(
    stdout,
    new RegExp(`^Not restored, or not as it was: ${failed.length} paths?$`, 'm'),
  );

  rmSync(filler);
  rmSync(target, { recursive: true });
  assert.equal((await home.run(restore)).code, 0);
  assert.ok(existsSync(join(target, 'large')));
  assert.deepEqual(compareTrees(home.path('source'), target), []);
});

test('a benchmark without room says how much there is, and removes all it made', async (t) => {
  const place = smallHome(t);
  if (place === undefined) return;
  const { home, small } = place;
  const benchmark = ['benchmark', '--scratch', small];
  const runs: [size: number, names: string[], message: RegExp][] = [
    [30, ['source'], /^varve: Cannot benchmark: free .* at ".*", needed more than 30\.0 MiB$/m],
    [
      14,
      ['source'],
      /^varve: Cannot write target ".*": no space left on device, free .* at ".*"$/m,
    ],
    [
      11,
      ['source', 'other'],
      /^varve: Cannot store ".*": no space left .* at ".*": free .*, needed/m,
    ],
  ];
  for (const name of ['other', 'many']) mkdirSync(home.path(name));
  writeFileSync(home.path('other', 'file'), seededRandom(1).bytes(11 * mebibyte));
  for (let i = 0; i < 7000; i++) writeFileSync(home.path('many', `${i}`), '1');

  for (const [size, names, message] of runs) {
    writeNoise(home, { name: 'file', size: size * mebibyte, salt: size });
    const paths = names.map((name) => home.path(name));
    const { code, stdout, stderr } = await home.run([...benchmark, ...paths]);

    assert.equal(code, 1);
    assert.equal(stdout, '');
    assert.match(stderr, message);
    assert.match(stderr, /^ {2}make room there, or name another directory with --scratch$/m);
    assert.deepEqual(readdirSync(small), []);
  }
});
