/** Every command from end to end: what it prints for people, and for programs. */
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { recover, recoverPath } from '../helpers/run-recover.ts';
import {
  contentOf,
  homeWithRepository,
  type JsonLine,
  type VarveHome,
  varveHome,
} from '../helpers/run-varve.ts';
import { seededRandom } from '../helpers/seeded-random.ts';

const FULL_ID = /\b[0-9a-f]{32}\b/;

function fillSource(home: VarveHome): string {
  const source = home.path('source');
  mkdirSync(home.path('source', 'sub'));
  writeFileSync(home.path('source', 'notes.txt'), 'one line\n', { mode: 0o640 });
  writeFileSync(home.path('source', 'sub', 'data.bin'), Buffer.alloc(300_000, 'varve'));
  symlinkSync('notes.txt', home.path('source', 'link'));
  return source;
}

test('init creates a repository and says which', async (t) => {
  const home = varveHome(t);

  const { stdout, stderr } = await home.ok('init', '--insecure-no-password');

  assert.match(stdout, /^Created repository [0-9a-f]{64}$/m);
  assert.ok(stdout.includes(home.repo));
  assert.match(stdout, /keys\/[0-9a-f]{32}/);
  assert.match(stdout, /without a passphrase/);
  assert.equal(stderr, '');
});

test('init --json tells id, place and key slot', async (t) => {
  const home = varveHome(t);

  const { code, lines } = await home.runJson(['init', '--insecure-no-password']);

  assert.equal(code, 0);
  assert.deepEqual(
    lines.map((line) => line.message_type),
    ['initialized', 'summary'],
  );
  assert.match(lines[0]?.['id'] as string, /^[0-9a-f]{64}$/);
  assert.equal(lines[0]?.['repository'], home.repo);
});

test('init --with-recover stores the program beside the data, where it works', async (t) => {
  const home = varveHome(t);
  const { stdout } = await home.ok('init', '--insecure-no-password', '--with-recover');
  await home.ok('snapshot', fillSource(home));
  const program = join(home.repo, 'recover.mjs');

  const listed = recover([home.repo, 'list'], { program });
  await home.ok('check', '--read-data');
  const again = await home.run(['init', '--insecure-no-password', '--with-recover']);

  assert.ok(stdout.includes(`Stored ${program}, which restores without varve.`));
  assert.equal(listed.code, 0);
  assert.match(listed.stdout, / 7 entries {2}/);
  assert.equal(again.code, 1);
  assert.deepEqual(readFileSync(program), readFileSync(recoverPath));
});

test('init --json --with-recover tells where the program is', async (t) => {
  const home = varveHome(t);

  const { lines } = await home.runJson(['init', '--insecure-no-password', '--with-recover']);

  assert.equal(lines[0]?.['recover'], join(home.repo, 'recover.mjs'));
});

test('snapshot, snapshots, ls and restore work together', async (t) => {
  const home = await homeWithRepository(t);
  const source = fillSource(home);

  const saved = await home.ok('snapshot', source, '--tag', 'daily', '--tag', 'x', '--host', 'h1');
  const listed = await home.ok('snapshots');
  const entries = await home.ok('ls', `latest:${source}`);
  const everything = await home.ok('ls', '-R', `latest:${source}`);
  const long = await home.ok('ls', '-l', `latest:${source}`);
  const restored = await home.ok('restore', `latest:${source}`, '--target', 'out');

  const id = FULL_ID.exec(saved.stdout)?.[0] as string;
  assert.match(saved.stdout, new RegExp(`^Snapshot ${id.slice(0, 8)} \\(${id}\\)`));
  assert.match(saved.stdout, /saved +2 files, \d+ directories, 1 other entry/);
  assert.match(saved.stdout, /read +293\.0 KiB/);
  assert.match(saved.stdout, /ratio \d+\.\d\d : 1/);
  assert.ok(listed.stdout.startsWith(`h1  ${source}\n`), listed.stdout);
  assert.match(
    listed.stdout,
    new RegExp(`^  ${id.slice(0, 8)}  .*2 files  293.0 KiB  daily, x$`, 'm'),
  );
  assert.match(listed.stdout, /^1 snapshot$/m);
  assert.deepEqual(entries.stdout.trim().split('\n'), [
    `${source}/link`,
    `${source}/notes.txt`,
    `${source}/sub`,
  ]);
  assert.ok(everything.stdout.includes(`${source}/sub/data.bin\n`));
  assert.match(
    long.stdout,
    /^-rw-r----- \S+ +\S+ +9 20\d\d-\d\d-\d\dT[\d:]+\+00:00 \/\S+notes\.txt$/m,
  );
  assert.match(long.stdout, /^lrwxrwxrwx .* \/\S+\/link -> notes\.txt$/m);
  assert.match(restored.stdout, /^Restored 2 files, 1 directory, 1 other entry into \//);
  assert.equal(readFileSync(home.path('out', 'notes.txt'), 'utf8'), 'one line\n');
  assert.equal(readFileSync(home.path('out', 'sub', 'data.bin')).length, 300_000);
  for (const { stderr } of [saved, listed, entries, long, restored]) assert.equal(stderr, '');
});

test('snapshot --json tells counts and the id that snapshots --json lists', async (t) => {
  const home = await homeWithRepository(t);
  const source = fillSource(home);

  const saved = await home.runJson(['snapshot', source, '--source', 'docs', '--tag', 'daily']);
  const listed = await home.runJson(['snapshots']);

  const summary = saved.lines.at(-1);
  assert.equal(saved.code, 0);
  assert.equal(summary?.['total_files_processed'], 2);
  assert.equal(summary?.['total_bytes_processed'], 300_009);
  assert.ok((summary?.['data_added'] as number) > 0);
  assert.ok((summary?.['data_added_packed'] as number) > 0);
  assert.ok((summary?.['total_duration'] as number) > 0);
  const [snapshot, end] = listed.lines;
  assert.equal(snapshot?.message_type, 'snapshot');
  assert.equal(snapshot?.['id'], summary?.['snapshot_id']);
  assert.equal(snapshot?.['source'], 'docs');
  assert.deepEqual(snapshot?.['paths'], [source]);
  assert.deepEqual(snapshot?.['tags'], ['daily']);
  assert.match(snapshot?.['time'] as string, /^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z$/);
  assert.equal(end?.['snapshots'], 1);
});

test('ls --json and restore --json tell every entry and the counts', async (t) => {
  const home = await homeWithRepository(t);
  const source = fillSource(home);
  await home.ok('snapshot', source);

  const listed = await home.runJson(['ls', '-R', `latest:${source}`]);
  const restored = await home.runJson(['restore', `latest:${source}`, '--target', 'out']);

  const nodes = listed.lines.filter((line) => line.message_type === 'node');
  assert.deepEqual(
    nodes.map((node) => [node['path'], node['type'], node['size']]),
    [
      [`${source}/link`, 'symlink', undefined],
      [`${source}/notes.txt`, 'file', 9],
      [`${source}/sub`, 'dir', undefined],
      [`${source}/sub/data.bin`, 'file', 300_000],
    ],
  );
  assert.equal(nodes[0]?.['linktarget'], 'notes.txt');
  assert.equal(nodes[1]?.['permissions'], '-rw-r-----');
  assert.equal(listed.lines.at(-1)?.['entries'], 4);
  assert.equal(restored.lines.at(-1)?.['files_restored'], 2);
  assert.equal(restored.lines.at(-1)?.['bytes_restored'], 300_009);
});

test('restore of a whole snapshot keeps absolute paths below the target', async (t) => {
  const home = await homeWithRepository(t);
  const source = fillSource(home);
  await home.ok('backup', source);

  await home.ok('extract', 'latest', '--target', home.path('out'));

  assert.equal(readFileSync(`${home.path('out')}${source}/notes.txt`, 'utf8'), 'one line\n');
});

test('check says that all is well, and with --read-data how much was read', async (t) => {
  const home = await homeWithRepository(t);
  await home.ok('snapshot', fillSource(home));

  const quick = await home.ok('check');
  const full = await home.ok('check', '--read-data');
  const { lines } = await home.runJson(['check', '--read-data']);

  assert.match(
    quick.stdout,
    /^Checked 1 snapshot, 1 pack, \d+ entries in [\d.]+ s\nNo pack has been read .*\nNo damage found\n$/,
  );
  assert.match(full.stdout, /KiB read/);
  assert.equal(lines.length, 1);
  assert.equal(lines[0]?.['num_errors'], 0);
  assert.ok((lines[0]?.['bytes_read'] as number) > 0);
});

test('stats tells sizes with their factors, of the repository and of a snapshot', async (t) => {
  const home = await homeWithRepository(t);
  const source = home.path('source');
  for (const name of ['a', 'b']) writeFileSync(home.path('source', name), 'x'.repeat(1000));
  await home.ok('snapshot', source, '--tag', 'old');
  await home.ok('snapshot', source);

  const people = await home.ok('stats');
  const all = (await home.runJson(['stats'])).lines[0];
  const one = (await home.runJson(['stats', 'latest'])).lines[0];
  const old = (await home.runJson(['stats', '--tag', 'old'])).lines[0];

  assert.match(people.stdout, /^2 snapshots$/m);
  assert.match(people.stdout, /^ {2}raw +3\.9 KiB +4 files, \d+ directories$/m);
  assert.match(people.stdout, /^ {2}unique +1000 B +4\.00 : 1 +1 blob$/m);
  assert.match(people.stdout, /^ {2}stored +[\d.]+ KiB +[\d.]+ : 1 +\d packs?$/m);
  assert.deepEqual(
    [all?.['snapshots_count'], all?.['raw_size'], all?.['unique_size'], all?.['unique_factor']],
    [2, 4000, 1000, 4],
  );
  // Directories above the source are entries too, and other tests change their times.
  assert.ok([1, 2].includes(all?.['pack_count'] as number));
  for (const part of [one, old]) {
    assert.deepEqual([part?.['snapshots_count'], part?.['raw_size']], [1, 2000]);
    assert.equal(part?.['stored_size'], undefined);
  }
  assert.equal((await home.run(['stats', 'unknown'])).code, 1);
});

test('du tells what is stored for a snapshot or directory alone', async (t) => {
  const home = await homeWithRepository(t);
  const source = home.path('source');
  const random = seededRandom();
  mkdirSync(home.path('source', 'below'));
  writeFileSync(home.path('source', 'both'), random.bytes(20_000));
  writeFileSync(home.path('source', 'below', 'first'), random.bytes(3000));
  await home.ok('snapshot', source);
  writeFileSync(home.path('source', 'below', 'first'), random.bytes(5000));
  await home.ok('snapshot', source);

  const list = await home.ok('du');
  const tree = await home.ok('du', '-d', '0', `latest:${source}`);
  const { lines } = await home.runJson(['du', `latest~1:${source}`]);
  const { lines: all } = await home.runJson(['du', '--host', 'nowhere']);

  assert.match(list.stdout, /^ *raw +exclusive +snapshot +time +host +source$/m);
  assert.match(list.stdout, /^ *22\.5 KiB +\d\.\d KiB +[0-9a-f]{8} .*source$/m);
  assert.match(list.stdout, /^2 snapshots$/m);
  assert.match(
    tree.stdout,
    /^Snapshot [0-9a-f]{8} holds 24\.4 KiB; \d\.\d KiB are stored for it alone\n.*path\n/,
  );
  assert.equal(tree.stdout.split('\n').length, 4);
  assert.ok(tree.stdout.endsWith(`KiB  ${source}\n`));
  const [first, ...rest] = lines;
  assert.deepEqual(
    rest.map(({ message_type, path, raw_size }) => [message_type, path, raw_size]),
    [
      ['directory_size', source, 23_000],
      ['directory_size', join(source, 'below'), 3000],
      ['summary', undefined, undefined],
    ],
  );
  // Random bytes stay as they are; beside them there are pages.
  for (const line of [first, ...rest.slice(0, 2)]) {
    const size = line?.['exclusive_size'] as number;
    assert.ok(size > 3000 && size < 5000, `${size}`);
  }
  assert.deepEqual([all.length, all[0]?.['snapshots']], [1, 0]);
  assert.equal((await home.run(['du', 'latest:/nowhere'])).code, 1);
  for (const wrong of [
    ['-d', '1'],
    ['-d', '-1', 'latest'],
    ['-d', 'x', 'latest'],
  ]) {
    assert.equal((await home.run(['du', ...wrong])).code, 64);
  }
});

test('rebuild-index counts what it found and writes nothing to the repository', async (t) => {
  const home = await homeWithRepository(t);
  await home.ok('snapshot', fillSource(home));

  const people = await home.ok('rebuild-index');
  const { lines } = await home.runJson(['rebuild-index']);

  assert.match(people.stdout, /^The local index holds \d+ blobs in 1 pack, from 1 segment$/m);
  assert.equal(lines[0]?.['packs'], 1);
  await home.ok('ls', 'latest');
});

test('a second snapshot tells what has changed, with -v of every path', async (t) => {
  const home = await homeWithRepository(t);
  const source = fillSource(home);
  const first = await home.ok('snapshot', source);
  const parent = FULL_ID.exec(first.stdout)?.[0] as string;
  writeFileSync(home.path('source', 'notes.txt'), 'two lines\n\n');
  writeFileSync(home.path('source', 'more'), 'x');

  const second = await home.ok('snapshot', '-v', source);
  const forced = await home.ok('snapshot', '--force', source);
  const older = await home.ok('snapshot', '--parent', parent.slice(0, 8), source);

  const lines = second.stdout.split('\n');
  assert.ok(lines.includes(`changed    ${source}/notes.txt`), second.stdout);
  assert.ok(lines.includes(`new        ${source}/more`));
  assert.ok(lines.includes(`unchanged  ${source}/sub/data.bin`));
  const short = parent.slice(0, 8);
  assert.ok(lines.includes(`  files       1 new, 1 changed, 1 unchanged since ${short}`));
  assert.match(second.stdout, /^ {2}read {8}12 B of 293\.0 KiB$/m);
  assert.doesNotMatch(forced.stdout, /since/);
  assert.match(forced.stdout, /^ {2}read {8}293\.0 KiB$/m);
  assert.match(older.stdout, new RegExp(`1 new, 1 changed, 1 unchanged since ${short}$`, 'm'));
});

test('a dry run tells what it would do and stores nothing', async (t) => {
  const home = await homeWithRepository(t);
  const source = fillSource(home);
  const before = contentOf(home.repo);

  const people = await home.ok('snapshot', '-n', source);
  const { lines } = await home.runJson(['snapshot', '--dry-run', source]);

  assert.match(people.stdout, /^Dry run: nothing was stored/);
  assert.match(people.stdout, /^ {2}saved {7}2 files/m);
  assert.equal(lines[0]?.['dry_run'], true);
  assert.equal(lines[0]?.['snapshot_id'], undefined);
  assert.equal(lines[0]?.['files_new'], 2);
  assert.deepEqual(contentOf(home.repo), before);
});

test('--time is when a snapshot began and ended', async (t) => {
  const home = await homeWithRepository(t);
  const source = fillSource(home);
  await home.ok('snapshot', source, '--time', '2026-01-31T12:00:00.5+01:00');
  await home.ok('snapshot', source, '--time', '2026-02-28 12:00');

  const { lines } = await home.runJson(['snapshots']);
  const chosen = await home.runJson(['ls', '@2026-02-01']);

  assert.deepEqual(
    lines.slice(0, 2).map((line) => line['time']),
    ['2026-01-31T11:00:00.500000000Z', '2026-02-28T12:00:00.000000000Z'],
  );
  const { id, time, summary } = lines[0] as JsonLine;
  const { backup_start, backup_end } = summary as Record<string, string>;
  assert.deepEqual([backup_start, backup_end], [time, time]);
  assert.equal(lines[1]?.['parent'], id);
  assert.equal(chosen.lines[0]?.['id'], id);
});

test('snapshots groups by host and source, and narrows', async (t) => {
  const home = await homeWithRepository(t);
  const source = fillSource(home);
  await home.ok('snapshot', source, '--host', 'b', '--tag', 'old');
  await home.ok('snapshot', source, '--host', 'a', '--source', 'docs');
  await home.ok('snapshot', source, '--host', 'b');
  const idsOf = async (...args: string[]): Promise<number> =>
    (await home.runJson(['snapshots', ...args])).lines.length - 1;

  const all = await home.ok('list');
  const counts = await Promise.all([
    idsOf('--host', 'b'),
    idsOf('--host', 'b', '--tag', 'old'),
    idsOf('--source', 'docs'),
    idsOf('--path', 'source'),
    idsOf('--path', '/nowhere'),
    idsOf('--latest', '1'),
  ]);

  const heads = all.stdout.split('\n').filter((line) => /^[ab] /.test(line));
  assert.deepEqual(heads, ['a  docs', `b  ${source}`]);
  assert.deepEqual(counts, [2, 1, 1, 3, 0, 2]);
});

test('selectors are narrowed by --host, and a prefix of an id is enough', async (t) => {
  const home = await homeWithRepository(t);
  const source = fillSource(home);
  const first = await home.runJson(['snapshot', source, '--host', 'a']);
  await home.ok('snapshot', source, '--host', 'b');
  const id = first.lines.at(-1)?.['snapshot_id'] as string;
  const idOf = async (...args: string[]): Promise<unknown> =>
    (await home.runJson(['ls', ...args])).lines[0]?.['id'];

  assert.notEqual(await idOf('latest'), id);
  assert.equal(await idOf('latest', '--host', 'a'), id);
  assert.equal(await idOf('latest~1'), id);
  assert.equal(await idOf(id.slice(0, 12)), id);
  assert.notEqual(await idOf('@2999-01-01T00:00:/'), id);
});

test('--quiet prints results only, -v what is used', async (t) => {
  const home = await homeWithRepository(t);
  const source = fillSource(home);

  const quiet = await home.ok('-q', 'snapshot', source);
  const listed = await home.ok('ls', '-q', `latest:${source}`);
  const verbose = await home.ok('ls', '-v', 'latest');

  assert.equal(quiet.stdout, '');
  assert.ok(listed.stdout.includes('notes.txt'));
  assert.match(verbose.stderr, /^repository [0-9a-f]{8} at \//m);
  assert.match(verbose.stderr, /^snapshot [0-9a-f]{8}$/m);
});
