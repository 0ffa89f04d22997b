/** A small tmpfs that is full, or nearly, as tests want it. Only root can mount one. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { type VarveHome, varveHome } from './run-varve.ts';
import { seededRandom } from './seeded-random.ts';

export const mebibyte: number = 2 ** 20;
export const pageSize = 4096;

/** Mounts an empty file system of `size` bytes; says why where that is not possible. */
function mountSmall(path: string, size: number): string | undefined {
  if (process.geteuid?.() !== 0) return 'only root can mount a file system';
  mkdirSync(path);
  const options = ['-t', 'tmpfs', '-o', `size=${size}`, 'tmpfs', path];
  const { status, stderr } = spawnSync('mount', options, { encoding: 'utf8' });
  return status === 0 ? undefined : `cannot mount a tmpfs here: ${stderr}`;
}

export function freeSize(path: string): number {
  const { bavail, bsize } = statfsSync(path);
  return bavail * bsize;
}

/** Fills the file system of the directory but for `room` bytes; gives the file that does. */
export function fill(directory: string, room: number): string {
  const path = join(directory, 'filler');
  writeFileSync(path, new Uint8Array(freeSize(directory) - room));
  assert.equal(freeSize(directory), room);
  return path;
}

export interface SmallHome {
  home: VarveHome;
  /** Path of the tmpfs. */
  small: string;
}

/** A home whose tmpfs stands at `small`; the test is skipped where there can be none. */
export function smallHome(t: TestContext): SmallHome | undefined {
  let mounted: string | undefined;
  t.after(() => {
    if (mounted !== undefined) spawnSync('umount', [mounted]); // Before its directory goes.
  });
  const home = varveHome(t);
  const small = home.path('small');
  const lack = mountSmall(small, 24 * mebibyte);
  if (lack === undefined) {
    mounted = small;
    return { home, small };
  }
  t.skip(lack);
  return undefined;
}

export function writeNoise(
  home: VarveHome,
  file: { name: string; size: number; salt: number },
): void {
  writeFileSync(home.path('source', file.name), seededRandom(file.salt).bytes(file.size));
}
