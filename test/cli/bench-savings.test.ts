/** The savings bench as a process: two tags of a tiny git repository, saved and restored by varve. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { tempDir } from '../helpers/temp-dir.ts';

const benchPath = fileURLToPath(new URL('../../bench/main.js', import.meta.url));

interface Report {
  versions: Record<string, string>;
  sets: {
    name: string;
    versions: { name: string; size: number; fileCount: number }[];
    results: {
      program: string;
      failure?: string;
      histories: {
        snapshots: { wallSeconds: number }[];
        storedSize: number;
        dataSize?: number;
        last: { version: string; readSize: number };
        middle: { version: string; readSize: number };
      }[];
    }[];
  }[];
}

function runSavings(args: readonly string[]): { code: number | null; out: string; err: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [benchPath, 'savings', ...args], {
    encoding: 'utf8',
  });
  return { code: status, out: stdout, err: stderr };
}

/** A repository with the tags `v1.9` and `v1.10`, of which the second has one more file. */
function makeGitRepository(t: TestContext): string {
  const directory = tempDir(t);
  const git = (...args: string[]): void => {
    const identity = ['-c', 'user.name=bench', '-c', 'user.email=bench@example.org'];
    execFileSync('git', ['-C', directory, ...identity, ...args], { stdio: 'ignore' });
  };
  git('init');
  writeFileSync(join(directory, 'file'), 'content\n'.repeat(1000));
  for (const tag of ['v1.9', 'v1.10']) {
    writeFileSync(join(directory, `only ${tag}`), tag);
    git('add', '.');
    git('commit', '-m', tag);
    git('tag', tag);
  }
  return directory;
}

test('bench savings saves each version in turn, restores two, and reports', (t) => {
  const dir = tempDir(t);
  const [work, sets, out] = ['work', 'sets', 'out'].map((name) => join(dir, name)) as [
    string,
    string,
    string,
  ];
  mkdirSync(work);
  const where = ['--dir', work, '--sets', sets, '--out', out];
  const source = ['--git', `tiny=${makeGitRepository(t)}:v*`];

  const run = runSavings([...where, ...source, '--only', 'tiny', '--tools', 'varve']);

  assert.equal(run.code, 0, run.err);
  assert.deepEqual(readdirSync(work), []);
  assert.deepEqual(readdirSync(sets), ['tiny']);
  const report = JSON.parse(readFileSync(join(out, 'savings.json'), 'utf8')) as Report;
  const [set] = report.sets;
  assert.deepEqual(
    set?.versions.map(({ name, fileCount }) => [name, fileCount]),
    [
      ['v1.9', 2],
      ['v1.10', 3],
    ],
  );
  assert.deepEqual(Object.keys(report.versions), ['varve']);
  const [result] = set?.results ?? [];
  assert.equal(result?.failure, undefined);
  const { snapshots, storedSize, dataSize = 0, last, middle } = result!.histories[0]!;
  assert.equal(snapshots.length, 2);
  assert.ok(dataSize > 0 && dataSize < storedSize, `${dataSize} of ${storedSize}`);
  assert.deepEqual([last.version, middle.version], ['v1.10', 'v1.9']);
  assert.ok(last.readSize > dataSize);
  assert.match(readFileSync(join(out, 'savings.md'), 'utf8'), /^\| tiny +\| +2 \| /m);
  assert.match(readFileSync(join(out, 'savings.svg'), 'utf8'), /^<svg .*<\/svg>\n$/s);
});

test('bench savings refuses what it does not understand', (t) => {
  const dir = tempDir(t);
  for (const args of [
    ['--tools', 'unknown'],
    ['--only', 'unknown', '--tools', 'varve', '--dir', dir],
    ['--versions', '0'],
    ['--words', '/no/such/file'],
    ['--git', 'redis'],
    ['--git', 'redis=/no/such/directory'],
    ['--unknown'],
  ]) {
    const { code, out, err } = runSavings(args);

    assert.equal(code, 64, args.join(' '));
    assert.equal(out, '');
    assert.notEqual(err, '');
  }
  assert.deepEqual(readdirSync(dir), []);
});
