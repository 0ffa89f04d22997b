/**
 * Tests that need an ordinary user. Run by one they just run. Run by root the test file is run once
 * more, with this one test, in a child that gave up root: changing the user of a running process
 * would close its /proc to it.
 */
import { spawnSync } from 'node:child_process';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';

const nobody = '65534';
const giveUpRoot = ['--reuid', nobody, '--regid', nobody, '--clear-groups'];

/** `fileUrl` is `import.meta.url` of the test file. */
export function userTest(
  fileUrl: string,
  name: string,
  body: (t: TestContext) => void | Promise<void>,
): void {
  if (process.geteuid?.() === 0) test(name, (t) => runAsNobody(t, fileURLToPath(fileUrl), name));
  else test(name, body);
}

function runAsNobody(t: TestContext, file: string, name: string): void {
  if (spawnSync('setpriv', [...giveUpRoot, 'test', '-r', file]).status !== 0) {
    t.skip('no setpriv here, or the tests cannot be read by others');
    return;
  }
  // The runner would take the child for a part of this run and hide its result.
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  const pattern = `^${name.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')}$`;
  const options = ['--test-reporter', 'tap', '--test-name-pattern', pattern];
  const command = [process.execPath, ...options, file];
  const child = spawnSync('setpriv', [...giveUpRoot, ...command], { env, encoding: 'utf8' });
  const hasRun = new RegExp(`^ok \\d+ - ${pattern.slice(1)}`, 'm').test(child.stdout);
  if (child.status !== 0 || !hasRun) throw new Error(`as ordinary user: ${child.stdout}`);
}
