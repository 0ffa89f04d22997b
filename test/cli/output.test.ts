/** What reaches a terminal is harmless, and what reaches a program is exact. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import {
  formatBytes,
  formatCount,
  formatDuration,
  formatElapsed,
  formatLocalTime,
  secondsOfNs,
} from '../../src/cli/format.ts';
import { jsonLine, outsideText, outsideTexts, rfc3339OfNs } from '../../src/cli/json.ts';
import { ProgressLine, renderProgress } from '../../src/cli/progress-line.ts';
import { parseSnapshotPath } from '../../src/cli/snapshot-path.ts';
import { formatTable } from '../../src/cli/table.ts';
import { rawPath } from '../helpers/raw-path.ts';
import { homeWithRepository, mainPath, type VarveHome } from '../helpers/run-varve.ts';
import { seededRandom } from '../helpers/seeded-random.ts';
import { hasTerminal, spawnOnTerminal } from '../helpers/terminal.ts';

const hostile = 'red\x1b[31m\u202e\nsecond';
const escaped = 'red\\x1b[31m\\u{202e}\\x0asecond';
const control = /[\p{Cc}\p{Cf}]/u;

/** Runs in a shell, which can pass names that are no text. */
function runInShell(home: VarveHome, script: string): string {
  const env = {
    PATH: process.env['PATH'],
    HOME: home.dir,
    VARVE_REPOSITORY: home.repo,
    varve: `${process.execPath} ${mainPath}`,
  };
  return execFileSync('bash', ['-c', script], { cwd: home.dir, env, encoding: 'utf8' });
}

test('hostile names are escaped wherever they are printed', async (t) => {
  const home = await homeWithRepository(t);
  writeFileSync(home.path('source', hostile), 'x');
  const args = ['--tag', hostile, '--host', hostile, '--source', hostile];

  const saved = await home.run(['snapshot', 'source', home.path(hostile), ...args]);
  const outputs = [
    saved,
    await home.run(['snapshots']),
    await home.run(['ls', '-Rl', 'latest']),
    await home.run(['ls', '-R', 'latest']),
    await home.run(['ls', `latest:/${hostile}`]),
    await home.run(['ls', hostile]),
    await home.run(['snapshots', '-r', hostile]),
    await home.run(['restore', 'latest', '--target', home.path('source', hostile)]),
    await home.run([hostile]),
    await home.run(['snapshots', '--password-file', hostile], {}),
  ];

  assert.equal(saved.code, 3);
  assert.ok(saved.stdout.includes(`missing  ${home.dir}/${escaped}`), saved.stdout);
  assert.ok(outputs[1]?.stdout.startsWith(`${escaped}  ${escaped}\n`), outputs[1]?.stdout);
  assert.ok(outputs[2]?.stdout.includes(`source/${escaped}\n`), outputs[2]?.stdout);
  for (const { stdout, stderr } of outputs) {
    const lines = `${stdout}${stderr}`.split('\n');
    assert.deepEqual(
      lines.filter((line) => control.test(line)),
      [],
    );
  }
});

test('a name that is no text is told twice in JSON, and can be typed', async (t) => {
  const home = await homeWithRepository(t);
  const name = Buffer.from('b\xff\xfe', 'latin1');
  writeFileSync(rawPath(home.path('source'), name), 'x');

  const out = runInShell(
    home,
    `path="$PWD/source/"$'b\\xff\\xfe'
     $varve -q snapshot "source/"$'b\\xff\\xfe'
     $varve ls --json "latest:$path"
     $varve ls "latest:$path"
     $varve snapshots --json --path "source/"$'b\\xff\\xfe'
     $varve -q restore "latest:$path" --target $'t\\xff'`,
  );

  const [, node, , line, snapshot] = out.split('\n') as [string, string, string, string, string];
  const bytes = rawPath(home.path('source'), name);
  assert.equal(JSON.parse(node).path_b64, bytes.toString('base64'));
  assert.equal(line, `${home.path('source')}/b\\xff\\xfe`);
  assert.deepEqual(JSON.parse(snapshot).paths_b64, [bytes.toString('base64')]);
  assert.ok(existsSync(rawPath(home.dir, Buffer.from('t\xff', 'latin1'), name)));
});

test('an exclude pattern that is no text can be typed', async (t) => {
  const home = await homeWithRepository(t);
  for (const name of ['a\xfe', 'a\xff', 'b\xfe', 'b\xff']) {
    writeFileSync(rawPath(home.path('source'), Buffer.from(name, 'latin1')), 'x');
  }

  const out = runInShell(
    home,
    `$varve -q snapshot source --exclude=$'a\\xff' -e $'b\\xff'
     $varve ls "latest:$PWD/source"`,
  );

  const lines = out.trimEnd().split('\n');
  const names = lines.map((line) => line.replace(/.*\//, ''));
  assert.deepEqual(names, ['a\\xfe', 'b\\xfe']);
});

test('jsonLine() keeps integers exact', () => {
  const line = jsonLine('summary', { small: 2n ** 53n - 1n, large: 2n ** 53n });

  assert.equal(
    line,
    '{"v":1,"message_type":"summary","small":9007199254740991,"large":"9007199254740992"}',
  );
});

test('outsideText() adds the bytes where they are no text', () => {
  const bad = Uint8Array.of(0x61, 0xff);

  assert.deepEqual(outsideText('path', Uint8Array.of(0x61)), { path: 'a' });
  assert.deepEqual(outsideText('path', bad), { path: 'a\ufffd', path_b64: 'Yf8=' });
  assert.deepEqual(outsideTexts('paths', [Uint8Array.of(0x61), bad]), {
    paths: ['a', 'a\ufffd'],
    paths_b64: ['YQ==', 'Yf8='],
  });
});

test('times are RFC 3339 with nanoseconds, before 1970 too', () => {
  assert.equal(rfc3339OfNs(1_700_000_000_123_456_789n), '2023-11-14T22:13:20.123456789Z');
  assert.equal(rfc3339OfNs(-1n), '1969-12-31T23:59:59.999999999Z');
  assert.equal(secondsOfNs(-1_000_000_000n), -1n);
  assert.equal(formatLocalTime(10n ** 15n), '@1000000000000000');
});

test('quantities are written for people', () => {
  assert.deepEqual([0, 1023, 1024, 1_048_575, 2 ** 30 * 1.5, 2 ** 63].map(formatBytes), [
    '0 B',
    '1023 B',
    '1.0 KiB',
    '1.0 MiB',
    '1.5 GiB',
    '8.0 EiB',
  ]);
  assert.equal(formatCount(1, 'file'), '1 file');
  assert.equal(formatCount(1234n, 'entry', 'entries'), '1,234 entries');
  assert.deepEqual([0.9, 61, 3723].map(formatDuration), ['0:00', '1:01', '1:02:03']);
  assert.deepEqual([0.31, 59.9, 61].map(formatElapsed), ['0.3 s', '59.9 s', '1:01']);
});

test('formatTable() aligns and leaves no blanks at the end', () => {
  const rows = formatTable(
    [
      ['a', '10', ''],
      ['bcd', '9', 'x'],
    ],
    ['left', 'right', 'left'],
  );

  assert.deepEqual(rows, ['a    10', 'bcd   9  x']);
});

test('renderProgress() fits any width', () => {
  const progress = {
    phase: 'restore',
    filesDone: 1234,
    bytesDone: 2 ** 30,
    bytesTotal: 2 ** 31,
    currentPath: Buffer.from(`/home/alice/${'漢字'.repeat(40)}/\x1b[31m.txt`),
  };

  const wide = renderProgress(progress, { elapsedMs: 10_000, columns: 120, errorCount: 2 });

  assert.match(
    wide,
    /^0:10 {2}restore {2}50% {2}1\.0 GiB of 2\.0 GiB {2}102\.4 MiB\/s {2}1,234 files {2}eta 0:10 {2}2 errors {2}…/,
  );
  assert.ok(wide.endsWith('.txt'));
  assert.ok(!control.test(wide));
  for (let columns = 1; columns < 200; columns++) {
    const line = renderProgress(progress, { elapsedMs: 10_000, columns, errorCount: 2 });
    const width = [...line].reduce((sum, character) => sum + (character < '\u1100' ? 1 : 2), 0);
    assert.ok(width < columns, `${width} of ${columns}`);
  }
});

test('renderProgress() says what it counts, and nothing of what it does not know', () => {
  const view = { elapsedMs: 3000, columns: 120, errorCount: 0 };
  const lines = [
    { phase: 'index', filesDone: 16, filesTotal: 32, bytesDone: 0 },
    { phase: 'packs', filesDone: 1, filesTotal: 4, bytesDone: 6 * 2 ** 20 },
    { phase: 'trees', filesDone: 1, bytesDone: 0 },
    { phase: 'snapshot', filesDone: 2, bytesDone: 3000, currentPath: Buffer.from('/a') },
    { phase: 'snapshot', filesDone: 2, bytesDone: 3000, bytesTotal: 2999 },
    { phase: 'restic', filesDone: 0, bytesDone: 0 },
  ].map((progress) => renderProgress(progress, view));

  assert.deepEqual(lines, [
    '0:03  index  50%  16/32 segments  eta 0:03',
    '0:03  packs  25%  6.0 MiB  2.0 MiB/s  1/4 packs  eta 0:09',
    '0:03  trees  1 entry',
    '0:03  snapshot  2.9 KiB  1000 B/s  2 files  /a',
    '0:03  snapshot  2.9 KiB  1000 B/s  2 files',
    '0:03  restic',
  ]);
});

test('renderProgress() of a first snapshot fits 80 columns with all it knows and a path', () => {
  const path = `/home/alice/${'documents/'.repeat(20)}letter.txt`;
  const progress = { phase: 'snapshot', filesDone: 1_234_567, bytesDone: 300 * 2 ** 30 };
  const view = { elapsedMs: 3_600_000, columns: 80, errorCount: 0 };

  const line = renderProgress({ ...progress, currentPath: Buffer.from(path) }, view);

  assert.match(
    line,
    /^1:00:00 {2}snapshot {2}300\.0 GiB {2}85\.3 MiB\/s {2}1,234,567 files {2}….*letter\.txt$/,
  );
  assert.ok(line.length < 80);
});

test('ProgressLine is drawn at most 10 times a second, and cleared once', () => {
  const written: string[] = [];
  const stream = { columns: 80, write: (text: string) => written.push(text) };
  const line = new ProgressLine(stream as unknown as NodeJS.WriteStream);

  line.clear();
  for (let elapsedMs = 0; elapsedMs <= 1000; elapsedMs++) {
    line.draw(
      { phase: 'snapshot', filesDone: elapsedMs, bytesDone: 0 },
      { elapsedMs, errorCount: 0 },
    );
  }
  line.clear();
  line.clear();

  assert.equal(written.length, 12);
  assert.ok(written.every((text) => text.startsWith('\r\x1b[2K')));
  assert.equal(written.at(-1), '\r\x1b[2K');
});

test('ProgressLine is drawn at once where time begins anew', () => {
  const written: string[] = [];
  const stream = { columns: 80, write: (text: string) => written.push(text) };
  const line = new ProgressLine(stream as unknown as NodeJS.WriteStream);
  const progress = { phase: 'snapshot', filesDone: 1, bytesDone: 0 };

  line.draw(progress, { elapsedMs: 5000, errorCount: 0 });
  line.draw(progress, { elapsedMs: 0, errorCount: 0 });
  line.restart();
  line.draw(progress, { elapsedMs: 0, errorCount: 0 });

  assert.equal(written.length, 2);
});

test('parseSnapshotPath() takes a path only after the selector', () => {
  const pathOf = (text: string): (string | undefined)[] => {
    const { selector, path } = parseSnapshotPath(text);
    return [selector, path && Buffer.from(path).toString()];
  };

  assert.deepEqual(pathOf('latest'), ['latest', undefined]);
  assert.deepEqual(pathOf('latest~2:/a:b'), ['latest~2', '/a:b']);
  assert.deepEqual(pathOf('@2026-01-31T12:00'), ['@2026-01-31T12:00', undefined]);
  assert.deepEqual(pathOf('@2026-01-31T12:00:/a'), ['@2026-01-31T12:00', '/a']);
  assert.throws(() => parseSnapshotPath('latest:a'), /not absolute/);
});

test('a progress line is drawn on a terminal and cleared at the end', async (t) => {
  if (!hasTerminal()) {
    t.skip('no terminal to be had');
    return;
  }
  const home = await homeWithRepository(t);
  const random = seededRandom(2);
  for (let i = 0; i < 8; i++) writeFileSync(home.path('source', `${i}`), random.bytes(2 ** 22));
  const env = { PATH: process.env['PATH'], HOME: home.dir, VARVE_REPOSITORY: home.repo };
  const command = `${process.execPath} ${mainPath} snapshot source`;

  const child = spawnOnTerminal(command, { cwd: home.dir, env });
  const shown = (await child.stdout?.setEncoding('utf8').toArray())?.join('') ?? '';

  const lines = shown.split('\r\x1b[2K');
  assert.ok(lines.length > 2, shown);
  const drawn = /^\d+:\d\d {2}snapshot {2}.*\d files? {2}\S*source/;
  assert.ok(
    lines.some((line) => drawn.test(line)),
    shown,
  );
  assert.match(lines.at(-1) as string, /^Snapshot /);
});

test('no progress line is drawn with --no-progress, -q and --json', async (t) => {
  if (!hasTerminal()) {
    t.skip('no terminal to be had');
    return;
  }
  const home = await homeWithRepository(t);
  const random = seededRandom(3);
  for (let i = 0; i < 8; i++) writeFileSync(home.path('source', `${i}`), random.bytes(2 ** 22));
  const env = { PATH: process.env['PATH'], HOME: home.dir, VARVE_REPOSITORY: home.repo };

  for (const option of ['--no-progress', '-q', '--json']) {
    const command = `${process.execPath} ${mainPath} snapshot source --force ${option}`;
    const child = spawnOnTerminal(command, { cwd: home.dir, env });
    const shown = (await child.stdout?.setEncoding('utf8').toArray())?.join('') ?? '';

    assert.ok(!shown.includes('\x1b'), `${option}: ${shown}`);
  }
});
