/**
 * The JSON lines of every command, each held against the description in `helpers/json-lines.ts` by
 * `runJson()`; here are the runs that make every event and field appear, and the events that time
 * decides about.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  linkSync,
  mkdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { basename } from 'node:path';
import { test } from 'node:test';
import { events, lineFaults, summaries } from '../helpers/json-lines.ts';
import { rawPath } from '../helpers/raw-path.ts';
import {
  contentOf,
  homeWithRepository,
  type JsonLine,
  type VarveHome,
  varveHome,
} from '../helpers/run-varve.ts';
import { seededRandom } from '../helpers/seeded-random.ts';

/** Entries of all kinds that need no privilege, one of them not UTF-8. */
function fillSource(home: VarveHome): void {
  mkdirSync(home.path('source', 'sub'));
  writeFileSync(home.path('source', 'file'), seededRandom(1).bytes(100_000));
  linkSync(home.path('source', 'file'), home.path('source', 'sub', 'other-name'));
  symlinkSync('file', home.path('source', 'link'));
  writeFileSync(rawPath(home.path('source'), Buffer.from('b\xff', 'latin1')), 'x');
}

function packsOf(home: VarveHome): string[] {
  return [...contentOf(home.repo).keys()].filter((path) => /\/(data|meta)\//.test(path));
}

/** Dotted names of all fields of a line. */
function namesOf(value: object, prefix = ''): string[] {
  return Object.entries(value).flatMap(([name, inner]) => [
    `${prefix}${name}`,
    ...(typeof inner === 'object' && inner !== null && !Array.isArray(inner)
      ? namesOf(inner, `${prefix}${name}.`)
      : []),
  ]);
}

test('all commands together show every event and field, as described', async (t) => {
  const home = await homeWithRepository(t);
  fillSource(home);
  const seen = new Set<string>();
  const run = async (...args: string[]): Promise<JsonLine[]> => {
    const { lines } = await home.runJson(args);
    for (const line of lines) {
      const { v: _, message_type: type, ...fields } = line;
      const event = type === 'summary' ? `summary of ${args[0]}` : type;
      for (const name of namesOf(fields)) seen.add(`${event}: ${name}`);
    }
    return lines;
  };

  await run('init', '--insecure-no-password', '--with-recover', '-r', 'other');
  await run('snapshot', 'source', 'missing', '--tag', 'daily');
  await run('snapshot', 'source', 'missing', '-v');
  await run('snapshots');
  await run('ls', '-R', 'latest');
  await run('diff', 'latest~1', 'latest');
  await run('find', '*');
  await run('history', 'source/file');
  await run('history', 'source/link');
  await run('dump', '--archive', 'tar', 'latest', '--target', 'a.tar');
  writeFileSync(home.path('source', 'file'), 'changed');
  await run('diff', '--metadata', 'latest', ':live');
  await run('restore', 'latest', '--target', 'out');
  await run('stats');
  await run('du');
  await run('du', 'latest');
  await run('forget', '--keep-last', '1', '--yes');
  await run('snapshots', '--forgotten');
  await run('undelete', 'latest');
  await run('tag', '--add', 'other', 'latest');
  await run('rewrite', '--exclude', 'sub', '--yes', 'latest');
  await run('rebuild-index');
  await run('check', '--read-data-subset', '1/1');
  await run('ls', 'unknown');
  const [pack] = packsOf(home) as [string];
  rmSync(pack);
  const found = await run('check');

  // Devices, what takes longer than a second (below), and what has a file of tests of its own.
  const rare = [
    'status',
    'node: device',
    'match: device',
    'version: device',
    'key: ',
    'summary of key',
    'summary of repair',
    'lost_',
    'repaired_snapshot',
    'session: ',
    'summary of sess',
    'forgotten: ',
    'pack: ',
    'plan: ',
    'waiting: ',
    'summary of prune',
    'benchmark: ',
    'summary of benchmark',
  ];
  const described = [
    ...Object.entries(events),
    ...Object.entries(summaries).map(([command, fields]) => [`summary of ${command}`, fields]),
  ] as [string, object][];
  const names = described.flatMap(([event, fields]) =>
    namesOf(fields).map((name) => `${event}: ${name.replaceAll('?', '')}`),
  );
  const missing = names.filter(
    (name) => !seen.has(name) && !rare.some((start) => name.startsWith(start)),
  );
  assert.deepEqual(missing, []);
  assert.ok(seen.has('node: path_b64'));
  assert.deepEqual(found.at(-1)?.['broken_packs'], [basename(pack)]);
});

test('-v emits a verbose_status for every entry', async (t) => {
  const home = await homeWithRepository(t);
  const actionsOf = (lines: readonly JsonLine[]): Map<unknown, unknown> =>
    new Map(
      lines
        .filter((line) => line.message_type === 'verbose_status')
        .map((line) => [basename(line['item'] as string), [line['action'], line['data_size']]]),
    );
  fillSource(home);
  writeFileSync(home.path('source', 'kept'), 'kept');
  await home.ok('snapshot', 'source');
  writeFileSync(home.path('source', 'file'), 'changed');
  writeFileSync(home.path('source', 'more'), 'new');

  const { lines } = await home.runJson(['snapshot', 'source', '-v']);
  const quiet = await home.runJson(['snapshot', 'source']);

  const actions = actionsOf(lines);
  assert.deepEqual(actions.get('kept'), ['unchanged', 4]);
  assert.deepEqual(actions.get('file'), ['modified', 7]);
  assert.deepEqual(actions.get('more'), ['new', 3]);
  assert.deepEqual(actions.get('b\ufffd'), ['unchanged', 1]);
  const { files_new, files_changed, files_unmodified } = lines.at(-1) as JsonLine;
  assert.deepEqual([files_new, files_changed, files_unmodified], [1, 2, 2]);
  assert.equal(quiet.lines.length, 1);
});

test('exit_error has a code that is stable', async (t) => {
  const home = await homeWithRepository(t);
  const runs: [code: string, args: string[]][] = [
    ['not_found', ['ls', 'latest']],
    ['no_repository', ['check', '-r', 'nowhere']],
    ['repository_exists', ['init', '--insecure-no-password']],
    ['usage', ['snapshot', '--time', 'noon', 'source']],
    ['usage', ['nonsense']],
    ['unsupported_version', ['snapshots', '-r', 's3:somewhere']],
  ];

  for (const [code, args] of runs) {
    const { lines } = await home.runJson(args);

    assert.equal(lines.length, 1);
    assert.equal(lines[0]?.['error_code'], code, args.join(' '));
  }
});

test('exit_error tells a wrong passphrase from none at all', async (t) => {
  const home = varveHome(t);
  const env = { VARVE_PASSWORD: 'open sesame' };
  assert.equal((await home.run(['init'], { env })).code, 0);

  const wrong = await home.runJson(['snapshots'], { env: { VARVE_PASSWORD: 'open' } });
  const none = await home.runJson(['snapshots']);

  for (const { code, lines } of [wrong, none]) {
    assert.equal(code, 12);
    assert.equal(lines[0]?.['error_code'], 'wrong_key');
  }
});

test('what cannot be restored is an error with a code, and the target stays as told', async (t) => {
  const home = await homeWithRepository(t);
  fillSource(home);
  await home.ok('snapshot', 'source');
  const [pack] = packsOf(home) as [string];
  const bytes = readFileSync(pack);
  bytes[50_000] = (bytes[50_000] as number) ^ 1;
  chmodSync(pack, 0o600);
  writeFileSync(pack, bytes);

  const { code, lines } = await home.runJson(['restore', 'latest', '--target', 'out']);
  const people = await home.run(['restore', 'latest', '--target', 'again']);

  assert.equal(code, 3);
  const errors = lines.filter((line) => line.message_type === 'error');
  assert.equal(errors.length, lines.at(-1)?.['error_count']);
  for (const error of errors) assert.match(error['code'] as string, /^(corrupt|not_found)$/);
  assert.match(people.stdout, /^Not restored, or not as it was: \d+ paths\n {2}[a-z_]+ {2}\//m);
});

/** Runs `Output` with a clock that a test sets, and begins anew at a step without progress. */
function statusLines(steps: readonly { ms: number; progress: object | null }[]): JsonLine[] {
  const url = new URL('../../src/cli/output.js', import.meta.url);
  const program = `
    import { Output } from ${JSON.stringify(url.href)};
    let now = 5000;
    performance.now = () => now;
    const settings = { isJson: true, isQuiet: false, verbosity: 0, hasProgress: true };
    const output = new Output(settings);
    output.startClock();
    for (const { ms, progress } of ${JSON.stringify(steps)}) {
      now = 5000 + ms;
      if (progress === null) {
        output.startClock();
        continue;
      }
      const currentPath = Uint8Array.of(0x2f, 0x61, 0xff);
      output.onProgress({ ...progress, currentPath });
    }`;
  const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', program], {
    encoding: 'utf8',
  });
  assert.equal(stderr, '');
  const lines = stdout.split('\n').slice(0, -1);
  return lines.map((line) => JSON.parse(line) as JsonLine);
}

test('status comes once a second, with the names restic has for snapshot and restore', () => {
  const saving = { phase: 'snapshot', filesDone: 3, bytesDone: 1000 };
  const restoring = { phase: 'restore', filesDone: 5, bytesDone: 1000, bytesTotal: 4000 };

  const lines = statusLines([
    { ms: 10, progress: saving },
    { ms: 1100, progress: saving },
    { ms: 1900, progress: saving },
    { ms: 2200, progress: restoring },
    { ms: 2300, progress: restoring },
  ]);

  for (const line of lines) assert.deepEqual(lineFaults(undefined, line), []);
  assert.deepEqual(lines, [
    {
      v: 1,
      message_type: 'status',
      phase: 'snapshot',
      seconds_elapsed: 1,
      files_done: 3,
      bytes_done: 1000,
      error_count: 0,
      current_files: ['/a\ufffd'],
      current_files_b64: ['L2H/'],
    },
    {
      v: 1,
      message_type: 'status',
      phase: 'restore',
      seconds_elapsed: 2,
      seconds_remaining: 7,
      percent_done: 0.25,
      files_restored: 5,
      bytes_restored: 1000,
      total_bytes: 4000,
      error_count: 0,
      current_files: ['/a\ufffd'],
      current_files_b64: ['L2H/'],
    },
  ]);
});

test('status counts from where the clock begins anew', () => {
  const saving = { phase: 'snapshot', filesDone: 3, bytesDone: 1000 };

  const lines = statusLines([
    { ms: 5000, progress: saving },
    { ms: 5100, progress: null },
    { ms: 5900, progress: saving },
    { ms: 6200, progress: saving },
  ]);

  assert.deepEqual(
    lines.map((line) => line['seconds_elapsed']),
    [5, 1],
  );
});

test('lineFaults() sees planted faults', () => {
  const line = { v: 1, message_type: 'summary', code: 0, entries: 3 };
  const error = { v: 1, message_type: 'error', error: { message: '' }, during: '', code: 'io' };

  assert.deepEqual(lineFaults('ls', line), []);
  assert.deepEqual(lineFaults('ls', { ...line, v: 2 }), ['summary: version 2']);
  assert.deepEqual(lineFaults('ls', { ...line, entries: -1 }).length, 1);
  assert.deepEqual(lineFaults('ls', { ...line, entries: 0.5 }).length, 1);
  assert.deepEqual(lineFaults('ls', { ...line, more: 1 }), ['summary: unknown more']);
  assert.deepEqual(lineFaults('check', line).length, 9);
  assert.deepEqual(lineFaults('ls', { ...line, message_type: 'end' }).length, 1);
  assert.deepEqual(lineFaults('ls', error), ['error: no item']);
  assert.deepEqual(lineFaults('ls', { ...error, item: 'a\ufffd' }), ['error: no item_b64']);
  assert.deepEqual(lineFaults('ls', { ...error, item: 'a\ufffd', item_b64: 'Yf8=' }), []);
  assert.deepEqual(lineFaults('ls', { ...error, item: 'a', item_b64: 'Yf8=' }).length, 1);
  assert.deepEqual(lineFaults('ls', { ...error, item: 'a', error: 1 }).length, 1);
  assert.deepEqual(lineFaults('ls', { ...error, item: 'a', code: 'EIO' }).length, 1);
});
