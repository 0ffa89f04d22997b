/**
 * The benches as processes, on corpora so small that only their working is looked at: what they
 * print, what they keep of each run, and that nothing stays behind. Without peers.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { tempDir } from '../helpers/temp-dir.ts';

const benchPath = fileURLToPath(new URL('../../bench/main.js', import.meta.url));

interface Ended {
  code: number | null;
  stdout: string;
  stderr: string;
}

interface Sample {
  round: number;
  wallSeconds: number;
  userSeconds: number;
  rssAnonPeak: number;
  exitCode: number;
  storedSize?: number;
}

interface Report {
  machine: { cores: number };
  versions: Record<string, string>;
  cases: {
    name: string;
    source: { name: string; size: number; fileCount: number };
    results: { program: string; samples: Sample[]; failure?: string }[];
  }[];
}

/** Runs a bench; `onNotice` sees what it says on standard error and may send it a signal. */
function runBench(
  args: readonly string[],
  onNotice?: (text: string, kill: (signal: NodeJS.Signals) => void) => void,
): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const stdio = ['ignore', 'pipe', 'pipe'] as const;
    const child = spawn(process.execPath, [benchPath, ...args], { stdio: [...stdio] });
    const ended: Ended = { code: null, stdout: '', stderr: '' };
    child.stdout?.setEncoding('utf8').on('data', (text: string) => (ended.stdout += text));
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      ended.stderr += text;
      onNotice?.(ended.stderr, (signal) => child.kill(signal));
    });
    child.on('error', reject);
    child.on('close', (code) => resolve({ ...ended, code }));
  });
}

/** Runs a bench once and reads its report; its directory must be empty afterwards. */
async function reportOf(
  t: TestContext,
  bench: string,
  args: readonly string[],
): Promise<{ report: Report; stdout: string }> {
  const dir = tempDir(t);
  const work = join(dir, 'work');
  mkdirSync(work);
  const jsonPath = join(dir, 'report.json');
  const options = ['--runs', '1', '--dir', work, '--json', jsonPath];
  const { code, stdout, stderr } = await runBench([bench, ...options, ...args]);
  assert.equal(code, 0, stderr);
  assert.deepEqual(readdirSync(work), []);
  return { report: JSON.parse(readFileSync(jsonPath, 'utf8')) as Report, stdout };
}

/** The only sample of each case, which must be one of varve that went well. */
function samplesOf(report: Report): Map<string, Sample> {
  return new Map(
    report.cases.map(({ name, results }) => {
      assert.deepEqual(Object.keys(report.versions), ['varve']);
      const [result] = results;
      assert.equal(result?.program, 'varve');
      assert.equal(result.failure, undefined);
      const [sample] = result.samples;
      assert.equal(result.samples.length, 1);
      assert.ok(sample !== undefined && sample.exitCode === 0);
      assert.ok(sample.wallSeconds > 0 && sample.userSeconds > 0 && sample.rssAnonPeak > 2 ** 20);
      return [name, sample];
    }),
  );
}

test('bench snapshot measures a first, an unchanged and a changed one', async (t) => {
  const { report, stdout } = await reportOf(t, 'snapshot', ['--size', '600k']);

  const samples = samplesOf(report);
  const stored = [...samples.values()].map(({ storedSize }) => storedSize ?? 0);
  assert.deepEqual([...samples.keys()], ['first', 'unchanged', 'changed']);
  const [first = 0, unchanged = 0, changed = 0] = stored;
  assert.ok(first > 200_000, `first ${first}`);
  assert.ok(unchanged < changed && changed < first / 2, stored.join(' '));
  assert.match(stdout, /^\| varve +\| +\d+\.\d\d \| /m);
});

test('bench snapshot saves directories given, and changes copies of them only', async (t) => {
  const given = join(tempDir(t), 'given');
  mkdirSync(given);
  writeFileSync(join(given, 'file'), 'content');

  const { report } = await reportOf(t, 'snapshot', ['--only', 'changed', given]);

  assert.deepEqual([...samplesOf(report).keys()], ['changed']);
  const { name, size } = report.cases[0]?.source ?? {};
  assert.deepEqual([name, size], [given, 'content'.length]);
  assert.deepEqual(readdirSync(given), ['file']);
  assert.equal(readFileSync(join(given, 'file'), 'utf8'), 'content');
});

test('bench restore measures the restoring of all that was saved', async (t) => {
  const { report } = await reportOf(t, 'restore', ['--corpus', 'wide', '--count', '30']);

  assert.deepEqual([...samplesOf(report).keys()], ['whole']);
  assert.equal(report.cases[0]?.source.fileCount, 30);
});

test('bench check measures a plain one and one that reads all data', async (t) => {
  const { report } = await reportOf(t, 'check', ['--corpus', 'sparse', '--size', '1M']);

  assert.deepEqual([...samplesOf(report).keys()], ['plain', 'read-data']);
  assert.equal(report.cases[0]?.source.size, 2 ** 20);
});

test('bench blob and bench scan print a row for each kind of data', async (t) => {
  const given = tempDir(t);
  writeFileSync(join(given, 'file'), 'content');

  const blob = await runBench(['blob', '--size', '200k', '--runs', '1', given]);
  const scan = await runBench(['scan', '--size', '1', '--block', '1', '--runs', '1']);

  assert.equal(blob.code, 0, blob.stderr);
  assert.match(blob.stdout, /^\| random +\| +\d+ \|/m);
  assert.ok(blob.stdout.includes(`| ${given}`));
  assert.equal(scan.code, 0, scan.stderr);
  assert.match(scan.stdout, /^random +\d+/m);
});

test('bench removes what it made when it is interrupted', async (t) => {
  for (const notice of ['making the corpus', 'filling a repository']) {
    const work = tempDir(t);
    const args = ['restore', '--corpus', 'many', '--count', '300', '--dir', work];

    const { code, stderr } = await runBench(args, (text, kill) => {
      if (text.includes(notice)) kill('SIGINT');
    });

    assert.equal(code, 130, stderr);
    assert.deepEqual(readdirSync(work), []);
  }
});

test('bench refuses what it does not understand', async () => {
  for (const args of [
    ['unknown'],
    ['snapshot', '--size', 'large'],
    ['snapshot', '--runs', '0'],
    ['snapshot', '--corpus', 'unknown'],
    ['snapshot', '--only', 'unknown'],
    ['snapshot', '--unknown'],
    ['restore', '/no/such/directory'],
    ['blob', '--size', '0'],
  ]) {
    const { code, stdout, stderr } = await runBench(args);

    assert.equal(code, 64, args.join(' '));
    assert.equal(stdout, '');
    assert.notEqual(stderr, '');
  }
});
