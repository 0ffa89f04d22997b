/** Child processes of benchmarks: what they are given, what is told of them, and that they end. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { type Command, demandCode, runChild } from '../../src/cli/benchmark/child.ts';

const { signal } = new AbortController();

function command(script: string): Command {
  return { argv: ['/bin/sh', '-c', script], environment: { MINE: 'mine' } };
}

test('runChild() hands on lines, the end of standard error and the code, and no environment', async () => {
  const lines: string[] = [];
  const script = 'echo "$MINE"; echo "home $HOME"; echo late >&2; exit 3';

  const ended = await runChild(command(script), { signal, onLine: (line) => lines.push(line) });

  assert.deepEqual(lines, ['mine', 'home ']);
  assert.equal(ended.stderr, 'late\n');
  assert.equal(ended.exitCode, 3);
  demandCode(command(script), ended, [3]);
  assert.throws(() => demandCode(command(script), ended, [1]), /ended with 3\nlate/);
});

/** Whether a process runs; one that is dead and not waited for does not. */
function isRunning(pid: string): boolean {
  try {
    return !/^\d+ \(.*\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, 'latin1'));
  } catch {
    return false;
  }
}

test('a child ends with the process that runs it', async () => {
  const url = new URL('../../src/cli/benchmark/child.js', import.meta.url);
  const program = `
    import { runChild } from ${JSON.stringify(url.href)};
    const { signal } = new AbortController();
    const onLine = (line) => {
      process.stdout.write(line);
      process.exit(7);
    };
    const argv = ['/bin/sh', '-c', 'echo $$; exec sleep 1000'];
    await runChild({ argv, environment: process.env }, { signal, onLine });`;
  const options = { encoding: 'utf8' } as const;
  const { status, stdout } = spawnSync(
    process.execPath,
    ['--input-type=module', '-e', program],
    options,
  );
  const pid = stdout;

  assert.equal(status, 7);
  assert.match(pid, /^\d+$/);
  for (let i = 0; i < 100 && isRunning(pid); i++) await delay(20);
  const isLeft = isRunning(pid);
  if (isLeft) process.kill(Number(pid));
  assert.ok(!isLeft, `${pid} still runs`);
});
