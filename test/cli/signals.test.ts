/** Being stopped: exit codes, and a repository that is as sound as before. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { closeSync, existsSync, mkdirSync, openSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { homeWithRepository, type VarveHome } from '../helpers/run-varve.ts';

const FILE_SIZE = 2 ** 25;
const FILE_COUNT = 6;
/** Of a pack that is full, in the share of each of several workers; a stopped session leaves one. */
const PACK_SIZE = 2 ** 25;

/** More than a snapshot can save before the signal comes. Content that cannot be compressed. */
function writeLargeSource(home: VarveHome): void {
  for (let i = 0; i < FILE_COUNT; i++) {
    writeFileSync(home.path('source', `large-${i}`), randomBytes(FILE_SIZE));
  }
}

function hasPack(home: VarveHome): boolean {
  const data = join(home.repo, 'data');
  if (!existsSync(data)) return false;
  const names = readdirSync(data, { recursive: true, encoding: 'utf8' });
  return names.some((name) => /\/[0-9a-f]{64}$/.test(name));
}

function hasSession(home: VarveHome): boolean {
  const sessions = join(home.repo, 'sessions');
  return existsSync(sessions) && readdirSync(sessions).length > 0;
}

/** Sends the signal as soon as the condition holds, or never when the process ends before. */
async function killWhen(
  child: ChildProcess,
  signal: NodeJS.Signals,
  condition: () => boolean,
): Promise<void> {
  while (child.exitCode === null && !condition()) await delay(5);
  child.kill(signal);
}

test('SIGINT ends a snapshot with 130; the next one takes over what was stored', async (t) => {
  const home = await homeWithRepository(t);
  writeLargeSource(home);

  const stopped = await home.run(['snapshot', 'source'], {
    onSpawn: (child) => killWhen(child, 'SIGINT', () => hasPack(home)),
  });
  const checked = await home.run(['check', '--read-data']);
  const listed = await home.runJson(['snapshots']);
  const next = await home.runJson(['snapshot', 'source']);

  assert.equal(stopped.code, 130, stopped.stderr);
  assert.match(stopped.stderr, /SIGINT: finishing what is under way/);
  assert.ok(!hasSession(home), 'the session has cleaned up');
  assert.equal(checked.code, 0, checked.stdout);
  assert.equal(listed.lines.at(-1)?.['snapshots'], 0);
  assert.equal(next.code, 0);
  const added = next.lines.at(-1)?.['data_added'] as number;
  assert.ok(added <= FILE_COUNT * FILE_SIZE - PACK_SIZE / 2, `added ${added} bytes`);
});

test('SIGTERM and SIGHUP end a snapshot with 143 and 129, in JSON too', async (t) => {
  const home = await homeWithRepository(t);
  writeLargeSource(home);

  for (const [signal, expected] of [
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ] as const) {
    const { code, lines } = await home.runJson(['snapshot', 'source'], {
      onSpawn: (child) => killWhen(child, signal, () => hasSession(home)),
    });

    assert.equal(code, expected);
    assert.equal(lines.at(-1)?.message_type, 'exit_error');
    assert.equal(lines.at(-1)?.['message'], `Stopped by ${signal}`);
    assert.equal(lines.at(-1)?.['error_code'], 'interrupted');
  }
  await home.ok('check');
});

test('cancelOnSignals() cancels at the first signal and ends the process at the second', async () => {
  const url = new URL('../../src/cli/interrupt.js', import.meta.url);
  const program = `
    import { cancelOnSignals } from ${JSON.stringify(url.href)};
    const controller = new AbortController();
    cancelOnSignals(controller, () => console.log(controller.signal.reason.exitCode));
    setInterval(() => {}, 1000);
    console.log('ready');`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', program]);
  let told = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    told += text;
    child.kill(told === 'ready\n' ? 'SIGINT' : 'SIGTERM');
  });

  const code = await new Promise((resolve) => child.on('close', resolve));

  assert.equal(told, 'ready\n130\n');
  assert.equal(code, 143);
});

test('a reader that goes away ends ls quietly', async (t) => {
  const home = await homeWithRepository(t);
  for (let i = 0; i < 30; i++) {
    const directory = home.path('source', `directory-${i}`);
    mkdirSync(directory);
    for (let j = 0; j < 100; j++) writeFileSync(join(directory, `file-${j}`), '');
  }
  await home.ok('snapshot', 'source');

  const { code, stderr } = await home.run(['ls', '-R', '--json', 'latest'], {
    onSpawn: (child) => child.stdout?.once('data', () => child.stdout?.destroy()),
  });

  assert.equal(code, 141);
  assert.equal(stderr, '');
});

test('1: a result that cannot be written is a failure without a stack trace', async (t) => {
  if (!existsSync('/dev/full')) {
    t.skip('no /dev/full here');
    return;
  }
  const home = await homeWithRepository(t);
  const full = openSync('/dev/full', 'w');
  t.after(() => closeSync(full));

  const { code, stderr } = await home.run(['snapshots'], { stdio: ['ignore', full, 'pipe'] });

  assert.equal(code, 1);
  assert.equal(stderr, 'varve: Cannot write standard output: ENOSPC\n');
});
