/** `varve find` and `varve history`: what they print over a few snapshots of two hosts. */
import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { type TestContext, test } from 'node:test';
import { rawPath } from '../helpers/raw-path.ts';
import { contentOf, homeWithRepository, type VarveHome } from '../helpers/run-varve.ts';

/** Three snapshots of one host, one of another, in which a file changes, goes and comes back. */
async function newHome(t: TestContext): Promise<VarveHome> {
  const home = await homeWithRepository(t);
  const notes = home.path('source', 'work', 'notes.txt');
  mkdirSync(home.path('source', 'work'));
  writeFileSync(home.path('source', 'work', 'Photo.JPG'), Buffer.alloc(5000));
  writeFileSync(rawPath(home.path('source'), Buffer.from('b\xff', 'latin1')), 'raw');
  writeFileSync(notes, 'first');
  utimesSync(notes, 1_700_000_000, 1_700_000_000);
  const take = (host: string, day: number) =>
    home.ok('snapshot', 'source', '--host', host, '--time', `2026-01-0${day}T12:00:00Z`);
  await take('laptop', 1);
  chmodSync(notes, 0o600);
  await take('laptop', 2);
  writeFileSync(notes, 'second');
  await take('laptop', 3);
  await take('server', 3);
  rmSync(notes);
  await take('laptop', 4);
  writeFileSync(notes, 'first');
  chmodSync(notes, 0o600);
  await take('laptop', 5);
  return home;
}

/** Without ids and the directory of the test. */
function plain(home: VarveHome, text: string): string[] {
  return text
    .trimEnd()
    .split('\n')
    .map((line) => line.replaceAll(/\b[0-9a-f]{8}\b/g, 'ID').replaceAll(home.dir, ''));
}

test('find tells each path once, with the runs of snapshots it is in', async (t) => {
  const home = await newHome(t);

  const { stdout } = await home.ok('find', 'notes.txt', 'photo.*', '-i');
  const laptop = await home.ok('find', '--host', 'laptop', '*.txt');
  const single = await home.ok('find', '-s', 'latest', '-s', '@2026-01-02T12:00:00Z', 'notes*');
  const none = await home.ok('find', 'PHOTO*');

  assert.deepEqual(plain(home, stdout), [
    '/source/work/Photo.JPG',
    '    ID 2026-01-01 12:00:00 to ID 2026-01-05 12:00:00, 5 snapshots  laptop  /source',
    '    ID 2026-01-03 12:00:00  server  /source',
    '/source/work/notes.txt',
    '    ID 2026-01-01 12:00:00 to ID 2026-01-03 12:00:00, 3 snapshots  laptop  /source',
    '    ID 2026-01-05 12:00:00  laptop  /source',
    '    ID 2026-01-03 12:00:00  server  /source',
    '2 paths in 6 snapshots',
  ]);
  assert.deepEqual(plain(home, laptop.stdout), [
    '/source/work/notes.txt',
    '    ID 2026-01-01 12:00:00 to ID 2026-01-03 12:00:00, 3 snapshots',
    '    ID 2026-01-05 12:00:00',
    '1 path in 5 snapshots',
  ]);
  assert.deepEqual(plain(home, single.stdout), [
    '/source/work/notes.txt',
    '    ID 2026-01-02 12:00:00 to ID 2026-01-05 12:00:00, 2 snapshots',
    '1 path in 2 snapshots',
  ]);
  assert.equal(none.stdout, '0 paths in 6 snapshots\n');
});

test('find --long tells versions apart', async (t) => {
  const home = await newHome(t);

  const { stdout } = await home.ok('find', '--host', 'laptop', '-l', 'notes.txt');

  const lines = plain(home, stdout);
  assert.equal(lines.length, 9);
  assert.match(lines[0] ?? '', /^-rw-r--r-- .* 5 2023-11-14T22:13:20\+00:00 \/source\/work\/notes/);
  assert.match(lines[2] ?? '', /^-rw------- .* 5 2023-11-14T22:13:20\+00:00 \//);
  assert.equal(lines[3], '    ID 2026-01-02 12:00:00');
  assert.match(lines[4] ?? '', / 6 20\d\d-/);
});

test('find takes types, times and sizes', async (t) => {
  const home = await newHome(t);
  const found = async (...args: string[]): Promise<string[]> => {
    const { lines } = await home.runJson(['find', '--host', 'laptop', ...args]);
    const names = lines.flatMap(({ message_type, name }) => (message_type === 'match' ? name : []));
    return [...new Set(names as string[])];
  };

  assert.deepEqual(await found('/**/work', '--type', 'd'), ['work']);
  assert.deepEqual(await found('--type', 'l', '*'), []);
  assert.deepEqual(await found('--min-size', '4K', '*'), ['Photo.JPG']);
  assert.deepEqual(await found('--max-size', '3', '*'), ['b\ufffd']);
  assert.deepEqual(await found('--newest', '2023-12-01', '*.*'), ['notes.txt']);
  assert.deepEqual(await found('--oldest', '2024-01-01', '*.JPG'), ['Photo.JPG']);
});

test('find and history refuse what makes no sense', async (t) => {
  const home = await homeWithRepository(t);

  for (const args of [
    ['find', '[a'],
    ['find'],
    ['find', '--type', 'x', 'a'],
    ['find', '--oldest', 'noon', 'a'],
    ['history', '/'],
  ]) {
    assert.equal((await home.run(args)).code, 64, args.join(' '));
  }
});

test('history tells when a file appeared, changed and vanished; equal content, equal version', async (t) => {
  const home = await newHome(t);

  const { stdout } = await home.ok('history', 'source/work/notes.txt', '--host', 'laptop');
  const detailed = await home.ok('history', '--metadata', 'source/work/notes.txt');
  const none = await home.ok('history', '/nowhere');

  const starts = (text: string): string[] =>
    plain(home, text).map((line) => line.replace(/ {2}-rw.*/, ''));
  assert.deepEqual(starts(stdout), [
    'laptop  /source',
    '  +  ID  2026-01-01 12:00:00  2 snapshots  version 1',
    '  M  ID  2026-01-03 12:00:00   1 snapshot  version 2',
    '  -  ID  2026-01-04 12:00:00   1 snapshot  not there',
    '  +  ID  2026-01-05 12:00:00   1 snapshot  version 1',
    '',
    '2 versions in 5 snapshots',
  ]);
  assert.deepEqual(starts(detailed.stdout).slice(1, 4), [
    '  +  ID  2026-01-01 12:00:00  1 snapshot  version 1',
    '  U  ID  2026-01-02 12:00:00  1 snapshot  version 1',
    '  M  ID  2026-01-03 12:00:00  1 snapshot  version 2',
  ]);
  assert.ok(detailed.stdout.includes('\nserver  /'));
  assert.equal(none.stdout, '/nowhere is not there in 6 snapshots\n');
});

test('find and history name a snapshot whose record cannot be read', async (t) => {
  const home = await newHome(t);
  const [record] = [...contentOf(home.repo).keys()].filter((path) => /\/snapshots\//.test(path));
  chmodSync(record as string, 0o600);
  writeFileSync(record as string, 'damage');

  const found = await home.runJson(['find', 'Photo.JPG']);
  const told = await home.runJson(['history', 'source/work/Photo.JPG']);

  for (const { code, lines } of [found, told]) {
    assert.equal(code, 3);
    assert.equal(lines.at(-1)?.['error_count'], 1);
    assert.equal(lines.at(-1)?.['snapshots'], 5);
  }
});

test('history --json tells each version, with its snapshots', async (t) => {
  const home = await newHome(t);

  const { lines } = await home.runJson(['history', 'source/work/notes.txt', '--host', 'laptop']);

  const told = lines.slice(0, -1).map(({ change, version, count, size, mode }) => {
    return { change, version, count, size, mode };
  });
  assert.deepEqual(told, [
    { change: 'appeared', version: 1, count: 2, size: 5, mode: 0o644 },
    { change: 'content', version: 2, count: 1, size: 6, mode: 0o600 },
    { change: 'vanished', version: undefined, count: 1, size: undefined, mode: undefined },
    { change: 'appeared', version: 1, count: 1, size: 5, mode: 0o600 },
  ]);
  assert.equal(lines.at(-1)?.['versions'], 2);
});
