import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { linkSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { compareTrees } from '../helpers/compare-trees.ts';
import { rawPath } from '../helpers/raw-path.ts';
import { tempDir } from '../helpers/temp-dir.ts';

const isRoot = process.geteuid?.() === 0;

/** A tree, and an exact copy of it. */
function twoTrees(t: Parameters<typeof tempDir>[0]): { a: string; b: string } {
  const top = tempDir(t);
  const [a, b] = [join(top, 'a'), join(top, 'b')];
  mkdirSync(join(a, 'dir/empty'), { recursive: true });
  writeFileSync(join(a, 'file'), 'content');
  writeFileSync(join(a, 'other'), 'content');
  writeFileSync(rawPath(a, Uint8Array.of(0xff, 0x0a)), '');
  linkSync(join(a, 'file'), join(a, 'dir/hard'));
  symlinkSync('nowhere', join(a, 'symlink'));
  execFileSync('mkfifo', [join(a, 'fifo')]);
  execFileSync('touch', ['-d', '1960-01-01 00:00:00.000000001 UTC', join(a, 'other')]);
  execFileSync('touch', ['-d', '2001-02-03 04:05:06.123456789 UTC', a, join(a, 'dir')]);
  execFileSync('cp', ['-a', a, b]);
  return { a, b };
}

test('compareTrees() finds nothing between a tree and its copy', (t) => {
  const { a, b } = twoTrees(t);

  const differences = compareTrees(a, b);

  assert.deepEqual(differences, []);
});

/** Shell commands run in the copy; what they touched by the way is put back. */
const mutations: Record<string, [command: string, seen: RegExp]> = {
  'content of equal size': ['printf CONTENT >file; touch -r A/file file', /^file: content /m],
  size: ['printf more >>file; touch -r A/file file', /^file: size /m],
  mode: ['chmod 600 other; chmod 601 other', /^other: mode /m],
  'special bits': ['chmod u+s other', /^other: mode /m],
  'mtime by a nanosecond': [
    "touch -d '1960-01-01 00:00:00.000000002 UTC' other",
    /^other: mtime /m,
  ],
  'mtime before 1970': ['touch -d @0 other', /^other: mtime /m],
  'mtime of a directory': ['touch dir', /^dir: mtime /m],
  'mtime of a symlink': ['touch -h symlink', /^symlink: mtime /m],
  'mtime of the top': ['touch .', /^: mtime /m],
  'symlink target': [
    'ln -sfn elsewhere symlink; touch -h -r A/symlink symlink',
    /^symlink: target /m,
  ],
  type: ['rm fifo; : >fifo; touch -r A/fifo fifo', /^fifo: type /m],
  'hard link split': ['cp -a file f; mv f file; touch -r A/dir dir', /^file: linkedTo /m],
  'hard link joined': ['ln -f file other; touch -r A/file file', /^other: linkedTo /m],
  'missing entry': ['rm other', /^other: missing$/m],
  'missing empty directory': ['rmdir dir/empty; touch -r A/dir dir', /^dir\/empty: missing$/m],
  'extra entry': [': >dir/extra; touch -r A/dir dir', /^dir\/extra: extra$/m],
  'name in other bytes': ['mv ?? x', /^x: extra$/m],
};
if (isRoot) {
  mutations['owner'] = ['chown 1 other', /^other: owner /m];
  mutations['group of a symlink'] = ['chown -h 0:5 symlink', /^symlink: owner /m];
}

for (const [name, [command, seen]] of Object.entries(mutations)) {
  test(`compareTrees() sees: ${name}`, (t) => {
    const { a, b } = twoTrees(t);

    execFileSync('sh', ['-c', `A=${a}; ${command.replaceAll('A/', '$A/')}`], { cwd: b });
    const differences = compareTrees(a, b);

    assert.match(differences.join('\n'), seen);
  });
}

test('compareTrees() leaves out what it is told to', (t) => {
  const { a, b } = twoTrees(t);
  execFileSync('rm', [join(b, 'fifo')]);
  execFileSync('touch', ['-r', a, b]);

  const differences = compareTrees(a, b, { without: 'p' });

  assert.deepEqual(differences, []);
});
