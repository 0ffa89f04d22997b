/** `varve forget`, `undelete` and `snapshots --forgotten`: plans, questions, and what is refused. */
import assert from 'node:assert/strict';
import { rmSync, writeFileSync } from 'node:fs';
import { type TestContext, test } from 'node:test';
import { openRepository } from '../../src/index.ts';
import { ns } from '../helpers/made-snapshot.ts';
import { contentOf, homeWithRepository, type VarveHome } from '../helpers/run-varve.ts';
import { hasTerminal, onTerminal } from '../helpers/terminal.ts';

/** Snapshots at noon of the first days of January 2026, oldest first; one more is of another source. */
async function homeWithSnapshots(
  t: TestContext,
  count = 4,
): Promise<VarveHome & { ids: string[] }> {
  const home = await homeWithRepository(t);
  const repository = await openRepository({
    location: home.repo,
    cacheDirectory: home.path('cache', 'varve'),
    stateDirectory: home.path('state', 'varve'),
    jobs: 0,
  });
  const paths = [home.path('source')];
  const ids: string[] = [];
  try {
    for (let i = 1; i <= count; i++) {
      writeFileSync(home.path('source', 'file'), `version ${i}`);
      const timeNs = ns(`2026-01-0${i}T12:00Z`);
      const taken = await repository.snapshot({ paths, host: 'alice', tags: [`t${i}`], timeNs });
      ids.push(taken.id);
    }
    await repository.snapshot({ paths, host: 'bob', timeNs: ns('2026-01-01T12:00Z') });
  } finally {
    await repository.close();
  }
  return { ...home, ids };
}

const short = (id: string | undefined) => (id as string).slice(0, 8);

async function countOf(home: VarveHome, ...args: string[]): Promise<unknown> {
  return (await home.runJson(['snapshots', ...args])).lines.at(-1)?.['snapshots'];
}

test('varve forget shows its plan, forgets, and varve undelete brings back', async (t) => {
  const home = await homeWithSnapshots(t);
  const [first, second, third, fourth] = home.ids;
  const source = home.path('source');

  const { stdout } = await home.ok('forget', '--keep-last', '2', '--yes');
  const listed = await home.ok('snapshots', '--forgotten');
  const back = await home.ok('undelete', short(second));

  assert.equal(
    stdout,
    [
      `alice  ${source}`,
      `  forget  ${short(first)}  2026-01-01 12:00:00  t1`,
      `  forget  ${short(second)}  2026-01-02 12:00:00  t2`,
      '',
      'Forgot 2 snapshots and kept 3',
      '"varve undelete" brings them back until they are pruned',
      '',
    ].join('\n'),
  );
  const rows = listed.stdout.split('\n');
  assert.match(rows[1] as string, new RegExp(`^ {2}${short(first)} .* t1 {2}forgotten 20\\d\\d-`));
  assert.equal(rows[4], '2 forgotten snapshots');
  const [, id] = new RegExp(`^Snapshot ${short(second)} is back as ([0-9a-f]{32})\n$`).exec(
    back.stdout,
  ) as RegExpExecArray;
  const { lines } = await home.runJson(['snapshots', '--host', 'alice']);
  const live = lines.slice(0, -1).map((line) => [line['id'], line['time']]);
  assert.deepEqual(live, [
    [id, '2026-01-02T12:00:00.000000000Z'],
    [third, '2026-01-03T12:00:00.000000000Z'],
    [fourth, '2026-01-04T12:00:00.000000000Z'],
  ]);
  await home.ok('check', '--read-data');
});

test('varve forget --explain tells of each snapshot why it goes or stays, and -n does nothing', async (t) => {
  const home = await homeWithSnapshots(t);
  const [first, second, third, fourth] = home.ids;
  const before = contentOf(home.repo);
  const policy = [
    '--keep-daily',
    '2',
    '--keep-yearly',
    '1',
    '--keep-tag',
    't1',
    '--group-by',
    'host',
  ];

  const { stdout } = await home.ok('forget', ...policy, '--explain', '-n', '--host', 'alice');
  const { lines } = await home.runJson(['forget', ...policy, '-n']);

  assert.equal(
    stdout,
    [
      'alice',
      `  keep    ${short(first)}  2026-01-01 12:00:00  t1  tags`,
      `  forget  ${short(second)}  2026-01-02 12:00:00  t2  beyond daily 2026-01-02, replaced yearly 2026`,
      `  keep    ${short(third)}  2026-01-03 12:00:00  t3  daily 2026-01-03`,
      `  keep    ${short(fourth)}  2026-01-04 12:00:00  t4  daily 2026-01-04, yearly 2026, newest, writer`,
      '',
      'Would forget 1 snapshot and keep 3',
      '',
    ].join('\n'),
  );
  assert.deepEqual(
    lines.map((line) => [line.message_type, line['id'], line['keep'], line['reasons']]),
    [
      ['retention', second, false, ['beyond daily 2026-01-02', 'replaced yearly 2026']],
      ['summary', undefined, undefined, undefined],
    ],
  );
  const { v: _, message_type: __, ...summary } = lines[1] as NonNullable<(typeof lines)[1]>;
  const counts = { forgotten: 1, kept: 4, error_count: 0 };
  assert.deepEqual(summary, { code: 0, dry_run: true, done: false, ...counts });
  assert.deepEqual(contentOf(home.repo), before);
});

test('varve forget takes snapshots by name, whatever policy the environment has', async (t) => {
  const home = await homeWithSnapshots(t);
  const env = { VARVE_KEEP_LAST: '1', VARVE_YES: '1' };

  const named = await home.run(['forget', '--host', 'alice', 'latest', short(home.ids[0])], {
    env,
  });
  assert.equal(named.code, 0, named.stderr);
  assert.match(named.stdout, /^Forgot 2 snapshots and kept 2$/m);
  assert.equal(await countOf(home), 3);
  const idle = await home.run(['forget', '--keep-daily', '9'], { env: { VARVE_YES: '1' } });

  assert.equal(idle.stdout, 'Nothing to forget; 3 kept\n');
  const policy = await home.run(['forget'], { env });
  assert.match(policy.stdout, /^Forgot 1 snapshot and kept 2$/m);
});

test('G22: 64: varve forget without sense, without consent, or with nothing left', async (t) => {
  const home = await homeWithSnapshots(t);
  const before = contentOf(home.repo);
  const refused: [args: string[], message: RegExp][] = [
    [['--yes'], /nothing says what to forget: name snapshots, or use --keep options/],
    [['--keep-last', '2'], /without a terminal "varve forget" needs --yes, or --dry-run/],
    [['--keep-last', '0', '--yes'], /Expected a whole number from 1 on/],
    [['--keep-daily', '-1', '--yes'], /Expected a whole number|argument missing/],
    [['--keep-within', '2weeks', '--yes'], /expected a span such as 1y6m14d12h/],
    [
      ['--keep-last', '2', '--group-by', 'hots', '--yes'],
      /Expected host, source and tags, or none/,
    ],
    [['--keep-last', '2', '--yes', 'latest'], /snapshots are named, so no --keep option/],
    [['--keep-tag', 'typo', '--yes'], /nothing would be left of alice .*: --allow-empty/],
    [['--keep-tag', '', '--yes'], /--keep-tag is empty/],
    [['', '--yes'], /a snapshot to forget is empty/],
    [[...home.ids, '--yes'], /nothing would be left of alice .*: --allow-empty/],
  ];

  for (const [args, message] of refused) {
    const { code, stdout, stderr } = await home.run(['forget', ...args]);

    assert.deepEqual([code, stdout], [64, ''], args.join(' '));
    assert.match(stderr, message);
  }
  const variable = await home.run(['forget', '--yes'], { env: { VARVE_KEEP_DAILY: 'seven' } });
  assert.equal(variable.code, 64);
  assert.deepEqual(contentOf(home.repo), before);
  await home.ok('forget', ...home.ids, '--yes', '--allow-empty');
  assert.equal(await countOf(home), 1);
});

test('1: varve forget and undelete of what is not there', async (t) => {
  const home = await homeWithSnapshots(t, 2);

  const unknown = await home.run(['forget', 'ffff', '--yes']);
  const live = await home.run(['undelete', short(home.ids[0])]);

  assert.deepEqual([unknown.code, live.code], [1, 1]);
  assert.match(unknown.stderr, /Cannot find snapshot "ffff": none of 3 match/);
  assert.match(
    live.stderr,
    /Cannot find forgotten snapshot .*: there are no forgotten snapshots\n/,
  );
  assert.match(live.stderr, /"varve snapshots --forgotten" lists those there are/);
  assert.equal(await countOf(home), 3);
});

test('3: varve forget names a snapshot that it cannot read, and goes on', async (t) => {
  const home = await homeWithSnapshots(t);
  const path = `${home.repo}/snapshots/${home.ids[0]}`;
  rmSync(path);
  writeFileSync(path, 'nothing');

  const { code, lines } = await home.runJson(['forget', '--keep-last', '1', '--yes']);

  assert.equal(code, 3);
  assert.deepEqual(lines[0]?.['item'], `snapshots/${home.ids[0]}`);
  const last = lines.at(-1);
  assert.deepEqual([last?.['forgotten'], last?.['kept'], last?.['error_count']], [2, 2, 1]);
});

test('varve forget --quiet --yes says nothing', async (t) => {
  const home = await homeWithSnapshots(t, 2);

  const { stdout, stderr } = await home.ok('forget', '--keep-last', '1', '--yes', '--quiet');

  assert.deepEqual([stdout, stderr], ['', '']);
  assert.equal(await countOf(home, '--forgotten'), 1);
});

test('varve forget asks on a terminal, after its plan, and forgets only after a yes', async (t) => {
  if (!hasTerminal()) {
    t.skip('no terminal to be had');
    return;
  }
  const home = await homeWithSnapshots(t, 3);
  const answers: [answer: string, end: RegExp][] = [
    ['\r', /Nothing was forgotten\s+exit code 1/],
    ['no\r', /Nothing was forgotten\s+exit code 1/],
    ['\x03', /exit code 130/],
  ];

  for (const [answer, end] of answers) {
    assert.match(await onTerminal(home, 'forget --keep-last 1', [answer]), end);
    assert.equal(await countOf(home), 4);
  }
  const shown = await onTerminal(home, 'forget --keep-last 1 --quiet', ['yes\r']);

  assert.match(
    shown,
    /forget {2}[0-9a-f]{8} [\s\S]*Forget 2 snapshots\? \[y\/N\][\s\S]*exit code 0/,
  );
  assert.equal(await countOf(home), 2);
});
