/**
 * Tests that need an ordinary user. Run by one they just run; run by root the same test file is run
 * again in a child that gave up root, and only the tests made with `userTest`.
 */
import { spawnSync } from 'node:child_process';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';

const ordinaryId = '65534';
const isRoot = process.geteuid?.() === 0;

export function userTest(fileUrl: string, name: string, body: (t: TestContext) => void): void {
  if (!isRoot) {
    test(name, body);
    return;
  }
  test(name, (t) => {
    const args = ['--reuid', ordinaryId, '--regid', ordinaryId, '--clear-groups'];
    const pattern = `^${name.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')}$`;
    const command = [process.execPath, '--test-name-pattern', pattern, fileURLToPath(fileUrl)];
    const { NODE_TEST_CONTEXT, ...env } = process.env;
    const child = spawnSync('setpriv', [...args, ...command], { env, encoding: 'utf8' });
    if (child.error !== undefined) t.skip('no setpriv here');
    else if (child.status !== 0) throw new Error(`as ordinary user: ${child.stdout}`);
  });
}
