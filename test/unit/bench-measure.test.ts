/** How benches run programs: what is measured of one, in which order several run, what is printed. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { measure } from '../../bench/measure.ts';
import { type Case, describeCase } from '../../bench/report.ts';
import { type Contender, type Result, runRounds } from '../../bench/rounds.ts';
import { parseCount, parseSize, UsageError } from '../../bench/sizes.ts';
import { ChildFailed, type Command } from '../../src/cli/benchmark/child.ts';
import { tempDir } from '../helpers/temp-dir.ts';

const { signal } = new AbortController();

function command(...argv: string[]): Command {
  return { argv, environment: { PATH: process.env['PATH'] ?? '' } };
}

/** Has so many MiB of memory in use for a while. */
function memoryUser(mebibytes: number): string {
  const script = `const bytes = Buffer.alloc(${mebibytes} * 2 ** 20, 1); setTimeout(() => bytes, 300)`;
  return `'${process.execPath}' -e '${script}'`;
}

test('measure() adds up the memory of a process and its descendants', async () => {
  const script = `${memoryUser(100)} & ${memoryUser(100)} & wait`;

  const { rssAnonPeak } = await measure(command('sh', '-c', script), { signal });

  assert.ok(rssAnonPeak > 200 * 2 ** 20, `${rssAnonPeak} bytes`);
});

test('measure() counts the CPU time of descendants, and of this child only', async () => {
  const count = 'i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done';

  const busy = await measure(command('sh', '-c', `{ ${count}; } | { ${count}; cat; }`), { signal });
  const idle = await measure(command('true'), { signal });

  const cpuSeconds = busy.userSeconds + busy.systemSeconds;
  assert.ok(cpuSeconds > 10 * (idle.userSeconds + idle.systemSeconds), `${cpuSeconds} s`);
});

test('measure() accepts the exit codes it is told to, and throws for others', async () => {
  const child = command('sh', '-c', 'echo said >&2; exit 3');

  const accepted = await measure(child, { signal, codesAccepted: [3] });

  assert.equal(accepted.exitCode, 3);
  await assert.rejects(measure(child, { signal, codesAccepted: [1] }), /ended with 3\nsaid/);
  await assert.rejects(measure(command('sh', '-c', 'kill $$'), { signal }), /died: SIGTERM/);
  await assert.rejects(measure(command('/no/such/program'), { signal }), ChildFailed);
});

test('measure() kills a program with all it has started when the signal aborts', async () => {
  const controller = new AbortController();
  setTimeout(() => controller.abort(), 100);

  // Whoever holds standard error open keeps measure() waiting.
  const measuring = measure(command('sh', '-c', 'sleep 1000 & sleep 1000'), controller);

  await assert.rejects(measuring, { name: 'AbortError' });
});

test('runRounds() lets each begin a round, and leaves out what has failed', async (t) => {
  const work = { directory: tempDir(t), signal };
  const events: string[] = [];
  const contender = (name: string, failsIn?: number): Contender => ({
    name,
    codesPartial: [],
    prepare: (round) => {
      events.push(`${name}${round}`);
      return command(round === failsIn ? 'false' : 'true');
    },
    finish: () => 0,
  });
  const contenders = [contender('a'), contender('b', 2), contender('c')];
  const options = { label: 'test', runs: 3, isCold: false };

  const results = await runRounds(work, contenders, {
    ...options,
    beforeRound: (round) => events.push(`round${round}`),
  });

  assert.deepEqual(
    events
      .join(' ')
      .split(/ ?round\d ?/)
      .slice(1),
    ['a0 b0 c0', 'b1 c1 a1', 'c2 a2 b2', 'a3 c3'],
  );
  const rounds = results.map(({ samples }) => samples.map(({ round }) => round));
  assert.deepEqual(rounds, [[1, 2, 3], [1], [1, 2, 3]]);
  assert.match(results[1]?.failure ?? '', /"false" ended with 1/);
});

function result(program: string, wallSeconds: number[], failure?: string): Result {
  const samples = wallSeconds.map((seconds, i) => ({
    round: i + 1,
    wallSeconds: seconds,
    userSeconds: seconds,
    systemSeconds: 0,
    rssAnonPeak: 2 ** 20,
    exitCode: program === 'slow' ? 3 : 0,
  }));
  return { program, samples, ...(failure !== undefined && { failure }) };
}

test('describeCase() compares rounds, and with the fastest peer that is no yardstick', () => {
  const finished: Case = {
    bench: 'snapshot',
    name: 'first',
    source: { name: 'corpus', size: 12_345_678, fileCount: 2 },
    results: [
      result('varve', [2, 4, 9]),
      result('slow', [4, 8, 6]),
      result('fast', [1, 4, 3]),
      result('plain', [1, 1, 1]),
      result('broken', [], 'it did not start'),
    ],
  };

  const text = describeCase(finished, ['plain']);

  assert.match(text, /^12\.3 MB in 2 files\.$/m);
  const cells = (program: string): string[] =>
    new RegExp(`^\\| ${program} .*$`, 'm').exec(text)?.[0].split(/ *\| */) ?? [];
  assert.equal(cells('varve')[2], '4.00 (2.00–9.00)');
  assert.deepEqual([cells('varve')[6], cells('slow')[6]], ['', '0.50 (0.50–1.50)']);
  assert.match(text, /^varve to the fastest peer, fast: wall 2\.00 \(1\.00–3\.00\), user/m);
  assert.match(text, /^slow ended with 3\.$/m);
  assert.match(text, /^broken failed: it did not start$/m);
});

test('parseSize() and parseCount() read what people write', () => {
  assert.deepEqual(['7', '64k', '1.5G'].map(parseSize), [7, 2 ** 16, 1.5 * 2 ** 30]);
  assert.deepEqual(['5', '1e6'].map(parseCount), [5, 1_000_000]);
  for (const text of ['', '0', '-1', '1x', '1 G', 'NaN']) {
    assert.throws(() => parseSize(text), UsageError, text);
    assert.throws(() => parseCount(text), UsageError, text);
  }
  assert.throws(() => parseCount('1.5'), UsageError);
});
