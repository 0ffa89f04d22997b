/** Exit codes tell scripts the truth, and messages what to do next. */
import assert from 'node:assert/strict';
import {
  chmodSync,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { lackOfStrace } from '../helpers/fault-strace.ts';
import { contentOf, homeWithRepository, type VarveHome, varveHome } from '../helpers/run-varve.ts';
import { seededRandom } from '../helpers/seeded-random.ts';

function writeSource(home: VarveHome, name: string, content: string | Uint8Array): string {
  const path = home.path('source', name);
  writeFileSync(path, content);
  return path;
}

function packsOf(home: VarveHome): string[] {
  return [...contentOf(home.repo).keys()].filter((path) => /\/(data|meta)\//.test(path));
}

test('10: no repository there, and the message says where and how to name one', async (t) => {
  const home = varveHome(t);

  const { code, stdout, stderr } = await home.run(['snapshots', '-r', 'nowhere']);
  const json = await home.runJson(['check']);

  assert.equal(code, 10);
  assert.equal(stdout, '');
  assert.ok(stderr.includes(home.path('nowhere')));
  assert.match(stderr, /--repo.*VARVE_REPOSITORY/);
  assert.equal(json.code, 10);
  assert.equal(json.lines.length, 1);
});

test('10: a directory that holds something else is no repository', async (t) => {
  const home = varveHome(t);

  const { code } = await home.run(['snapshots', '-r', 'source']);

  assert.equal(code, 10);
});

test('1: init refuses a repository and a directory with other files, and changes neither', async (t) => {
  const home = await homeWithRepository(t);
  writeSource(home, 'letter', 'dear');
  const before = contentOf(home.dir);

  const again = await home.run(['init', '--insecure-no-password']);
  const other = await home.run(['init', '--insecure-no-password', '-r', 'source']);

  assert.equal(again.code, 1);
  assert.match(again.stderr, /Cannot create repository/);
  assert.equal(other.code, 1);
  assert.match(other.stderr, /Cannot create repository.*letter/);
  assert.deepEqual(contentOf(home.dir), before);
});

test('1: a repository of a later format is refused by both versions', async (t) => {
  const home = await homeWithRepository(t);
  const path = join(home.repo, 'config');
  const config = readFileSync(path);
  config[8] = 9;
  config[9] = 9;
  config.writeUInt32LE(crc32c(config.subarray(0, 124)), 124);
  chmodSync(path, 0o600);
  writeFileSync(path, config);

  const { code, stderr } = await home.run(['snapshots']);

  assert.equal(code, 1);
  assert.match(stderr, /format 9\b.*format 1\b/);
  assert.ok(!stderr.includes('    at '), 'no stack trace');
});

test('3: one missing source is named, the rest is saved', async (t) => {
  const home = await homeWithRepository(t);
  const there = writeSource(home, 'there', 'x');

  const people = await home.run(['snapshot', there, home.path('missing')]);
  const { code, lines } = await home.runJson(['snapshot', there, home.path('missing')]);
  const listed = await home.ok('snapshots');

  assert.equal(people.code, 3);
  assert.match(people.stdout, /^Not saved, or not as it is: 1 path\n {2}missing {2}\/.*missing$/m);
  assert.match(people.stderr, /^missing: Cannot .*missing/);
  assert.equal(code, 3);
  assert.deepEqual(
    lines.map((line) => line.message_type),
    ['error', 'summary'],
  );
  assert.equal(lines[0]?.['code'], 'missing');
  assert.equal(lines[0]?.['item'], home.path('missing'));
  assert.equal(lines[1]?.['error_count'], 1);
  assert.match(listed.stdout, /partial/);
});

test('3: a name that the target cannot link is told, with its reason', async (t) => {
  const lack = await lackOfStrace();
  if (lack !== undefined) return t.skip(lack);
  const home = await homeWithRepository(t);
  linkSync(writeSource(home, 'first', 'x'), home.path('source', 'second'));
  await home.ok('snapshot', 'source');
  const restore = ['restore', `latest:${home.path('source')}`, '--target', 'out'];
  const noLinks = ['strace', '-f', '-qq', '-o', '/dev/null', '-e', 'inject=linkat:error=EMLINK'];

  const { code, stdout, stderr } = await home.run(restore, { prefix: noLinks });

  assert.equal(code, 3);
  assert.match(
    stdout,
    /^Not restored, or not as it was: 1 path\n {2}hard_link {2}\/.*\/out\/second$/m,
  );
  assert.match(stderr, /^hard_link: Cannot link .*second": EMLINK; it is a file of its own now$/m);
  assert.equal(readFileSync(home.path('out', 'second'), 'utf8'), 'x');
});

test('1: no source exists, and nothing is written', async (t) => {
  const home = await homeWithRepository(t);
  const before = contentOf(home.repo);

  const { code, stderr } = await home.run(['snapshot', 'missing', '/missing/too']);

  assert.equal(code, 1);
  assert.match(stderr, /Cannot find any source/);
  assert.deepEqual(contentOf(home.repo), before);
});

test('1: restore into a directory that is not empty touches nothing', async (t) => {
  const home = await homeWithRepository(t);
  writeSource(home, 'a', 'x');
  await home.ok('snapshot', 'source');
  mkdirSync(home.path('out'));
  writeFileSync(home.path('out', 'mine'), 'y');

  const { code, stderr } = await home.run(['restore', 'latest', '--target', 'out']);

  assert.equal(code, 1);
  assert.match(stderr, /not empty/);
  assert.match(stderr, /--target/);
  assert.deepEqual(readdirSync(home.path('out')), ['mine']);
});

test('1: an unknown snapshot or path is named', async (t) => {
  const home = await homeWithRepository(t);

  const none = await home.run(['ls', 'latest']);
  writeSource(home, 'a', 'x');
  await home.ok('snapshot', 'source');
  const path = await home.run(['restore', 'latest:/nowhere', '--target', 'out']);

  assert.equal(none.code, 1);
  assert.match(none.stderr, /"latest"/);
  assert.equal(path.code, 1);
  assert.match(path.stderr, /Cannot find path "\/nowhere"/);
  assert.ok(!existsSync(home.path('out')));
});

test('4: a flipped byte in a pack is found and named, and other snapshots restore', async (t) => {
  const home = await homeWithRepository(t);
  const random = seededRandom(4);
  const good = writeSource(home, 'good', random.bytes(100_000));
  const bad = writeSource(home, 'bad', random.bytes(100_000));
  await home.ok('snapshot', good, '--source', 'good');
  const packsOfGood = packsOf(home);
  await home.ok('snapshot', bad, '--source', 'bad');
  const [pack] = packsOf(home).filter((path) => !packsOfGood.includes(path)) as [string];
  const bytes = readFileSync(pack);
  bytes[50_000] = (bytes[50_000] as number) ^ 1;
  chmodSync(pack, 0o600);
  writeFileSync(pack, bytes);

  const people = await home.run(['check', '--read-data']);
  const { code, lines } = await home.runJson(['check', '--read-data']);
  const restored = await home.run(['restore', 'latest', '--source', 'good', '--target', 'good']);
  const damaged = await home.run(['restore', 'latest', '--source', 'bad', '--target', 'bad']);

  const name = pack.slice(-64);
  assert.equal(people.code, 4);
  assert.ok(people.stdout.includes(name), people.stdout);
  assert.ok(people.stdout.includes(`hurts ${bad}`), people.stdout);
  assert.match(people.stdout, /^Damage: \d+ findings?$/m);
  assert.ok(!people.stdout.includes('No damage'));
  assert.equal(code, 4);
  const findings = lines.filter((line) => line.message_type === 'finding');
  assert.ok(findings.some((finding) => String(finding['object']).includes(name)));
  assert.equal(lines.at(-1)?.['num_errors'], findings.length);
  assert.equal(restored.code, 0, restored.stderr);
  assert.equal(damaged.code, 3);
  assert.match(damaged.stderr, /corrupt: /);
});

test('64: usage', async (t) => {
  const home = await homeWithRepository(t);
  const usages: [args: string[], hint: RegExp][] = [
    [['snapshoot'], /unknown command 'snapshoot' \(Did you mean snapshot\?\)/],
    [['snapshots', '--latst', '3'], /unknown option '--latst' \(Did you mean --latest\?\)/],
    [['snapshots', '--latest', '0'], /whole number/],
    [['snapshot'], /missing required argument 'path'/],
    [['snapshot', ''], /empty/],
    [['snapshots', '--host', ''], /--host is empty/],
    [['ls', 'latest', 'more'], /too many arguments/],
    [['ls', 'latest:relative'], /"latest:\/relative"/],
    [['restore', 'latest'], /--target/],
    [['-q', '-v', 'snapshots'], /cannot be used with/],
    [['snapshots', '--repo'], /argument missing/],
    [['snapshots', '--password-file', 'a', '--password-command', 'b'], /cannot be used with/],
  ];

  const runs = await Promise.all(usages.map(([args]) => home.run(args)));

  for (const [i, { code, stdout, stderr }] of runs.entries()) {
    const [args, hint] = usages[i] as [string[], RegExp];
    assert.equal(code, 64, `${args.join(' ')}: ${stderr}`);
    assert.match(stderr, hint);
    assert.match(stderr, /"varve help"/);
    assert.equal(stdout, '');
  }
});

test('64: no repository named, and no command', async (t) => {
  const home = varveHome(t);

  const unnamed = await home.run(['snapshots'], { env: { VARVE_REPOSITORY: '' } });
  const nothing = await home.run([]);
  const json = await home.runJson(['nonsense']);

  assert.equal(unnamed.code, 64);
  assert.match(unnamed.stderr, /VARVE_REPOSITORY/);
  assert.equal(nothing.code, 64);
  assert.match(nothing.stderr, /^Usage: varve/);
  assert.equal(json.code, 64);
});

test('0: help and version', async (t) => {
  const home = varveHome(t);
  const { version } = JSON.parse(
    readFileSync(new URL('../../../package.json', import.meta.url), 'utf8'),
  );

  const help = await home.ok('--help');
  const restore = await home.ok('help', 'restore');
  const number = await home.ok('--version');

  assert.match(help.stdout, /snapshot\|backup/);
  assert.match(restore.stdout, /--target <directory>/);
  assert.equal(number.stdout, `varve ${version}\n`);
});

test('a stack trace is printed with -vv only', async (t) => {
  const home = varveHome(t);

  const plain = await home.run(['-v', 'snapshots']);
  const traced = await home.run(['snapshots', '-vv']);

  assert.ok(!plain.stderr.includes('    at '));
  assert.ok(traced.stderr.includes('    at '));
  assert.equal(traced.code, 10);
});

/** Castagnoli, bit by bit. */
function crc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let i = 0; i < 8; i++) crc = (crc >>> 1) ^ (crc & 1 ? 0x82f63b78 : 0);
  }
  return (crc ^ 0xffffffff) >>> 0;
}
