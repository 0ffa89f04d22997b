/** Values of options, those that exclude each other, and what the library gets of them. */
import assert from 'node:assert/strict';
import { existsSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import {
  parseCount,
  parseDuration,
  parseJobs,
  parseSize,
  parseSizeOrZero,
  parseTime,
} from '../../src/cli/parse-values.ts';
import { contentOf, homeWithRepository } from '../helpers/run-varve.ts';

test('parseSize() takes bytes and units of 1024', () => {
  const sizes: [text: string, size: number][] = [
    ['1', 1],
    ['512M', 2 ** 29],
    ['512m', 2 ** 29],
    ['2GiB', 2 ** 31],
    ['1.5k', 1536],
    ['1T', 2 ** 40],
    ['7B', 7],
  ];

  for (const [text, size] of sizes) assert.equal(parseSize(text), size, text);
  for (const text of [
    '',
    '0',
    '0.1',
    '-1',
    'M',
    '1 M',
    '1MB',
    '1P',
    '1e9',
    '0x10',
    ' 1',
    '1M\n2',
  ]) {
    assert.throws(() => parseSize(text), /Expected a size/, text);
  }
});

test('parseJobs() and parseCount() take whole numbers, one of them none', () => {
  assert.deepEqual(['0', '8', '999'].map(parseJobs), [0, 8, 999]);
  assert.deepEqual(['1', '123456789'].map(parseCount), [1, 123_456_789]);
  for (const text of ['', '-1', '1.5', '1000', 'all']) assert.throws(() => parseJobs(text), text);
  for (const text of ['', '0', '01', '-1', '1e3']) assert.throws(() => parseCount(text), text);
});

test('parseSizeOrZero() takes sizes, and none', () => {
  assert.deepEqual(['0', '1', '2G'].map(parseSizeOrZero), [0, 1, 2 ** 31]);
  for (const text of ['', '00', '0M', '-1']) assert.throws(() => parseSizeOrZero(text), text);
});

test('parseDuration() takes days, hours, minutes and seconds, in this order', () => {
  const durations: [text: string, seconds: number][] = [
    ['0', 0],
    ['0h', 0],
    ['90s', 90],
    ['30m', 1800],
    ['2h', 7200],
    ['1d12h', 129_600],
    ['1d2h3m4s', 93_784],
    ['999999d', 86_399_913_600],
  ];

  for (const [text, seconds] of durations) assert.equal(parseDuration(text), seconds * 1000, text);
  for (const text of [
    '',
    '5',
    'h',
    '1.5h',
    '-1h',
    '1m1h',
    '1 h',
    '1w',
    '1H',
    '1h\n2',
    '1000000s',
  ]) {
    assert.throws(() => parseDuration(text), /Expected a duration/, text);
  }
});

test('parseTime() takes RFC 3339 with nanoseconds, and local time', () => {
  const ns = (text: string): bigint => BigInt(new Date(text).getTime()) * 1_000_000n;
  const times: [text: string, ns: bigint][] = [
    ['2026-01-31T12:00:00Z', ns('2026-01-31T12:00:00Z')],
    ['2026-01-31T12:00:00+01:30', ns('2026-01-31T10:30:00Z')],
    ['2026-01-31t12:00:00z', ns('2026-01-31T12:00:00Z')],
    ['2026-01-31 12:00Z', ns('2026-01-31T12:00:00Z')],
    ['2026-01-31T12:00:00.5Z', ns('2026-01-31T12:00:00Z') + 500_000_000n],
    ['2026-01-31T12:00:00.123456789Z', ns('2026-01-31T12:00:00Z') + 123_456_789n],
    ['1969-12-31T23:59:59.25Z', -750_000_000n],
    ['2024-02-29T00:00Z', ns('2024-02-29T00:00:00Z')],
    ['2026-01-31T12:00', ns('2026-01-31T12:00:00')],
    ['2026-01-31', ns('2026-01-31T00:00:00')],
  ];

  for (const [text, expected] of times) assert.equal(parseTime(text), expected, text);
});

test('parseTime() refuses days and hours that do not exist', () => {
  const wrong = [
    '2026-02-29',
    '2026-02-30T00:00Z',
    '2026-13-01',
    '2026-00-10',
    '2026-01-31T24:00Z',
  ];
  const odd = ['2026-01-31T12:60', '2026-01-31T12:00:60Z', '2026-01-31T12:00+25:00', '2026-01-31Z'];
  const loose = ['', 'now', '2026', '2026-1-31', '12:00', '1700000000', '2026-01-31T12:00:00.Z'];

  for (const text of [...wrong, ...odd, ...loose]) {
    assert.throws(() => parseTime(text), /Expected a time/, text);
  }
});

test('64: options of a snapshot that make no sense, as flags and as variables', async (t) => {
  const home = await homeWithRepository(t);
  writeFileSync(home.path('source', 'a'), 'x');
  const before = contentOf(home.repo);
  const wrong: [option: string, variable: string, value: string][] = [
    ['--time', 'VARVE_TIME', 'noon'],
    ['--jobs', 'VARVE_JOBS', 'many'],
    ['--memory', 'VARVE_MEMORY', '512MB'],
    ['--parent', 'VARVE_PARENT', ''],
  ];

  for (const [option, variable, value] of wrong) {
    const flagged = await home.run(['snapshot', 'source', option, value]);
    const set = await home.run(['snapshot', 'source'], { env: { [variable]: value } });

    assert.equal(flagged.code, 64, flagged.stderr);
    assert.ok(flagged.stderr.includes(option), flagged.stderr);
    assert.equal(set.code, 64, set.stderr);
    assert.ok(set.stderr.includes(variable), set.stderr);
  }
  assert.deepEqual(contentOf(home.repo), before);
});

test('of options that exclude each other a flag goes before a variable', async (t) => {
  const home = await homeWithRepository(t);
  writeFileSync(home.path('source', 'a'), 'x');
  const save = ['snapshot', 'source', '--dry-run'];
  const parent = { VARVE_PARENT: 'latest' };

  const flags = await home.run([...save, '--force', '--parent', 'latest']);
  const variables = await home.run(save, { env: { ...parent, VARVE_FORCE: '1' } });
  const mixed = await home.run([...save, '--force'], { env: parent });
  const loud = await home.run(['snapshots', '-v'], { env: { VARVE_QUIET: '1' } });
  const both = await home.run(['snapshots'], { env: { VARVE_QUIET: '1', VARVE_VERBOSE: '1' } });
  const off = await home.run(save, { env: { VARVE_PARENT: '', VARVE_FORCE: '0' } });

  assert.equal(flags.code, 64);
  assert.match(flags.stderr, /--parent cannot be used with --force/);
  assert.equal(variables.code, 64);
  assert.equal(mixed.code, 0, mixed.stderr);
  assert.equal(loud.code, 0);
  assert.match(loud.stderr, /^repository /);
  assert.equal(both.code, 64);
  assert.match(both.stderr, /--quiet cannot be used with --verbose/);
  assert.equal(off.code, 64);
});

test('common options work with every command, before and after it', async (t) => {
  const home = await homeWithRepository(t);
  writeFileSync(home.path('source', 'a'), 'x');
  const common = [
    '--jobs',
    '1',
    '--memory',
    '512M',
    '--cache-dir',
    'cache-of-mine',
    '--no-progress',
  ];

  await home.ok(...common, 'create', 'source');
  for (const args of [['list'], ['ls', 'latest'], ['check'], ['rebuild-index']]) {
    await home.ok(...args, ...common);
  }
  await home.ok('extract', 'latest', '--target', 'out', ...common);

  assert.ok(existsSync(home.path('cache-of-mine')));
  assert.ok(existsSync(home.path('out')));
});
