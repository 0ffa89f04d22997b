/**
 * `varve dump`: files as they are, and archives as other programs see them. GNU tar, unzip and Python
 * are asked where they are there.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { utimens } from '../../src/platform/times.ts';
import { describeDirectory } from '../helpers/editable-source.ts';
import { rawPath } from '../helpers/raw-path.ts';
import { contentOf, homeWithRepository, type VarveHome } from '../helpers/run-varve.ts';
import { seededRandom } from '../helpers/seeded-random.ts';

function isThere(program: string): boolean {
  return spawnSync(program, ['--version']).status === 0;
}

const gnuTar = { skip: isThere('tar') ? false : 'no tar here' };
const unzip = { skip: spawnSync('unzip', ['-v']).status === 0 ? false : 'no unzip here' };
const python = { skip: isThere('python3') ? false : 'no python3 here' };

const time = { seconds: 1_700_000_001n, nanoseconds: 123_456_789 };

/** Everything that needs no privilege, names and targets longer than the headers of tar. */
function fillSource(home: VarveHome): string {
  const source = home.path('source');
  const at = (...names: string[]) => join(source, ...names);
  writeFileSync(at('data'), seededRandom(3).bytes(400_000));
  writeFileSync(at('empty'), '');
  writeFileSync(at('text'), 'one line\n'.repeat(1000), { mode: 0o640 });
  mkdirSync(at('d'.repeat(90), 'e'.repeat(90)), { recursive: true });
  writeFileSync(at('d'.repeat(90), 'e'.repeat(90), 'deep'), 'deep');
  writeFileSync(at('n'.repeat(200)), 'long');
  writeFileSync(at('ünïcode ☃'), 'snow');
  symlinkSync('data', at('link'));
  symlinkSync('t'.repeat(150), at('long link'));
  mkdirSync(at('empty directory'), { mode: 0o700 });
  linkSync(at('data'), at('empty directory', 'other name'));
  writeFileSync(at('sparse'), 'start');
  truncateSync(at('sparse'), 3_000_000);
  for (const name of ['text', 'sparse', 'link', 'd'.repeat(90)]) {
    utimens(Buffer.from(at(name)), { mtime: time }, true);
  }
  utimens(Buffer.from(at('empty')), { mtime: { seconds: -2n, nanoseconds: 500_000_000 } }, true);
  chmodSync(at('data'), 0o444);
  return source;
}

/** Writes standard output of a command to a file. */
async function dumpTo(home: VarveHome, file: string, args: string[]): Promise<number | null> {
  const { code } = await home.run(['dump', ...args], {
    stdio: ['ignore', openSync(home.path(file), 'w'), 'inherit'],
  });
  return code;
}

function run(program: string, ...args: string[]): string {
  const { status, stdout, stderr } = spawnSync(program, args, {
    encoding: 'utf8',
    env: { ...process.env, TZ: 'UTC', LC_ALL: 'C.UTF-8', PYTHONUTF8: '1' },
  });
  assert.equal(status, 0, stderr);
  return stdout;
}

test('dump writes a file to standard output, or to a new file', async (t) => {
  const home = await homeWithRepository(t);
  const source = fillSource(home);
  await home.ok('snapshot', 'source');

  const code = await dumpTo(home, 'out', [`latest:${source}/data`]);
  const { stdout } = await home.ok('dump', `latest:${source}/sparse`, '--target', 'sparse');
  const json = await home.runJson(['dump', `latest:${source}/text`, '--target', 'text']);
  const again = await home.run(['dump', `latest:${source}/text`, '--target', 'sparse']);

  assert.equal(code, 0);
  assert.deepEqual(readFileSync(home.path('out')), readFileSync(join(source, 'data')));
  assert.match(stdout, /^Wrote 2\.9 MiB to sparse$/m);
  assert.deepEqual(readFileSync(home.path('sparse')), readFileSync(join(source, 'sparse')));
  assert.equal(json.lines.at(-1)?.['size'], 9000);
  assert.equal(again.code, 1);
  assert.match(again.stderr, /Cannot create file "sparse": EEXIST/);
  assert.equal(readFileSync(home.path('sparse')).length, 3_000_000);
});

test('dump refuses what is no file, and what would mix with its output', async (t) => {
  const home = await homeWithRepository(t);
  const source = fillSource(home);
  await home.ok('snapshot', 'source');
  const before = readdirSync(home.dir);

  for (const [path, found] of [
    ['', 'directory'],
    ['/link', 'symbolic link'],
  ]) {
    const { code, stderr } = await home.run(['dump', `latest:${source}${path}`, '--target', 'out']);
    assert.equal(code, 1);
    assert.match(stderr, new RegExp(`Cannot dump file ".*": it is a ${found}, expected a file`));
  }
  const missing = await home.run(['dump', `latest:${source}/nothing`]);
  const json = await home.runJson(['dump', `latest:${source}/text`]);

  assert.equal(missing.code, 1);
  assert.equal(json.code, 64);
  assert.deepEqual(readdirSync(home.dir), before);
});

test('dump leaves no file when something cannot be read', async (t) => {
  const home = await homeWithRepository(t);
  const source = fillSource(home);
  await home.ok('snapshot', 'source');
  const [pack] = [...contentOf(home.repo).keys()].filter((path) => /\/(data|meta)\//.test(path));
  const bytes = readFileSync(pack as string);
  bytes[200_000] = (bytes[200_000] as number) ^ 1; // Most of it is content of one file.
  chmodSync(pack as string, 0o600);
  writeFileSync(pack as string, bytes);
  const before = readdirSync(home.dir);

  const { code } = await home.run(['dump', `latest:${source}/data`, '--target', 'out']);
  const archive = await home.run(['dump', '-a', 'zip', `latest:${source}`, '--target', 'out']);

  assert.equal(code, 1);
  assert.equal(archive.code, 1);
  assert.deepEqual(readdirSync(home.dir), before);
});

test('a tar archive gives the tree back, times to the nanosecond', gnuTar, async (t) => {
  const home = await homeWithRepository(t);
  const source = fillSource(home);
  await home.ok('snapshot', 'source');

  const code = await dumpTo(home, 'a.tar', ['--archive', 'tar', `latest:${source}`]);
  mkdirSync(home.path('out'));
  run('tar', '-xpf', home.path('a.tar'), '-C', home.path('out'));

  assert.equal(code, 0);
  assert.deepEqual(describeDirectory(home.path('out')), describeDirectory(source));
});

test('an archive of a whole snapshot has whole paths, of a file its name', gnuTar, async (t) => {
  const home = await homeWithRepository(t);
  const source = fillSource(home);
  writeFileSync(rawPath(source, Buffer.from('raw\xff', 'latin1')), 'raw');
  await home.ok('snapshot', 'source');

  await dumpTo(home, 'whole.tar', ['-a', 'tar', 'latest']);
  await dumpTo(home, 'file.tar', ['-a', 'tar', `latest:${source}/text`]);
  await dumpTo(home, 'sub.tar', ['-a', 'tar', `latest:${source}`]);
  const list = (name: string) =>
    run('tar', '--quoting-style=escape', '-tf', home.path(name)).trimEnd().split('\n');

  assert.ok(list('whole.tar').includes(`${source.slice(1)}/text`));
  assert.equal(list('whole.tar')[0], `${source.split('/')[1]}/`);
  assert.deepEqual(list('file.tar'), ['text']);
  assert.equal(list('sub.tar')[0], './');
  assert.ok(list('sub.tar').includes('raw\\377'));
});

test('a zip archive is what unzip takes for the tree', unzip, async (t) => {
  const home = await homeWithRepository(t);
  const source = fillSource(home);
  utimesSync(join(source, 'empty'), 1_700_000_000, 1_700_000_000);
  await home.ok('snapshot', 'source');

  const { stdout } = await home.ok('dump', '-a', 'zip', `latest:${source}`, '--target', 'a.zip');
  run('unzip', '-q', home.path('a.zip'), '-d', home.path('out'));

  assert.match(stdout, /^Wrote .* to a\.zip$/m);
  // Hard links are files of their own, and times have whole seconds; that of the top is not restored.
  const plain = (text: string): string => text.replace(/(\d{10})\d{9}/, '$1').replace(/ = .*/, '');
  const seen = (root: string) =>
    [...describeDirectory(root)]
      .filter(([path]) => path !== '')
      .map(([path, text]) => [path, text.startsWith('l') ? text.replace(/\d+/, '') : plain(text)]);
  assert.deepEqual(seen(home.path('out')), seen(source));
});

test('a zip archive tests well in Python, with its names, modes and sizes', python, async (t) => {
  const home = await homeWithRepository(t);
  const source = fillSource(home);
  await home.ok('snapshot', 'source');
  const script = `
import json, sys, zipfile
archive = zipfile.ZipFile(sys.argv[1])
assert archive.testzip() is None
print(json.dumps([[i.filename, oct(i.external_attr >> 16), i.file_size] for i in archive.infolist()]))`;

  const code = await dumpTo(home, 'a.zip', ['-a', 'zip', `latest:${source}`]);
  const listed = JSON.parse(run('python3', '-c', script, home.path('a.zip'))) as unknown[][];

  assert.equal(code, 0);
  const of = (name: string) => listed.find(([each]) => each === name);
  assert.deepEqual(of('text'), ['text', '0o100640', 9000]);
  assert.deepEqual(of('link'), ['link', '0o120777', 4]);
  assert.deepEqual(of('empty directory/'), ['empty directory/', '0o40700', 0]);
  assert.deepEqual(of('ünïcode ☃'), ['ünïcode ☃', '0o100644', 4]);
  assert.deepEqual(of('empty'), ['empty', '0o100644', 0]);
});

test('what cannot stand in an archive is named, and the exit code is 3', async (t) => {
  const home = await homeWithRepository(t);
  fillSource(home);
  if (spawnSync('mkfifo', [home.path('source', 'fifo')]).status !== 0) return t.skip('no mkfifo');
  await home.ok('snapshot', 'source');
  const at = `latest:${home.path('source')}`;

  const zip = await home.runJson(['dump', '-a', 'zip', at, '--target', 'a.zip']);
  const tar = await home.runJson(['dump', '-a', 'tar', at, '--target', 'a.tar']);

  assert.equal(zip.code, 3);
  const [error, summary] = zip.lines.filter((line) => line.message_type !== 'status');
  assert.deepEqual([error?.['code'], error?.['item']], ['special_file', 'fifo']);
  assert.equal(summary?.['error_count'], 1);
  assert.equal(tar.code, 0);
  assert.ok(existsSync(home.path('a.zip')));
});

test('dump ends quietly when its reader leaves', async (t) => {
  const home = await homeWithRepository(t);
  const source = home.path('source');
  writeFileSync(join(source, 'large'), Buffer.alloc(20_000_000, 'varve'));
  await home.ok('snapshot', 'source');

  const { code, stderr } = await home.run(['dump', `latest:${source}/large`], {
    onSpawn: (child) => child.stdout?.once('data', () => child.stdout?.destroy()),
  });

  assert.equal(stderr, '');
  assert.equal(code, 141);
});
