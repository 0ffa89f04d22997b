/** Temporary directories of tests, removed when the test ends, read-only leftovers included. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';

export function tempDir(t: Pick<TestContext, 'after'>): string {
  const dir = mkdtempSync(join(tmpdir(), 'varve-test-'));
  t.after(() => {
    execFileSync('chmod', ['-R', 'u+rwX', dir]);
    execFileSync('rm', ['-rf', dir]);
  });
  return dir;
}
