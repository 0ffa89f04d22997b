/** `varve diff`: two snapshots, paths in them, and the live files. */
import assert from 'node:assert/strict';
import {
  chmodSync,
  mkdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { test } from 'node:test';
import { userTest } from '../helpers/as-user.ts';
import { rawPath } from '../helpers/raw-path.ts';
import { homeWithRepository, type VarveHome } from '../helpers/run-varve.ts';

function fillSource(home: VarveHome): void {
  mkdirSync(home.path('source', 'old', 'deep'), { recursive: true });
  mkdirSync(home.path('source', 'same'));
  writeFileSync(home.path('source', 'old', 'deep', 'file'), 'gone');
  writeFileSync(home.path('source', 'changed'), 'before');
  writeFileSync(home.path('source', 'mode'), 'mode');
  writeFileSync(home.path('source', 'kind'), 'file');
  writeFileSync(home.path('source', 'same', 'file'), 'the same');
  symlinkSync('changed', home.path('source', 'link'));
}

function changeSource(home: VarveHome): void {
  rmSync(home.path('source', 'old'), { recursive: true });
  writeFileSync(home.path('source', 'changed'), 'afterwards');
  chmodSync(home.path('source', 'mode'), 0o600);
  unlinkSync(home.path('source', 'kind'));
  mkdirSync(home.path('source', 'kind'));
  writeFileSync(home.path('source', 'kind', 'inside'), 'in');
  unlinkSync(home.path('source', 'link'));
  symlinkSync('mode', home.path('source', 'link'));
  writeFileSync(rawPath(home.path('source'), Buffer.from('n\xff', 'latin1')), 'new');
}

/** What the changes come to, without the directories above that have other times. */
const changes = ['M changed', 'T kind/', '+ kind/inside', 'M link', '+ n\\xff'];
const gone = ['- old/', '- old/deep/', '- old/deep/file'];

function linesOf(home: VarveHome, stdout: string): string[] {
  const source = `${home.path('source')}/`;
  return stdout
    .split('\n')
    .filter((line) => /^[-+MTU] /.test(line) && line.includes(source) && !line.endsWith(source))
    .map((line) => line.replace(/ +/, ' ').replace(source, ''));
}

test('diff tells what changed between two snapshots, and backwards', async (t) => {
  const home = await homeWithRepository(t);
  fillSource(home);
  await home.ok('snapshot', 'source');
  changeSource(home);
  await home.ok('snapshot', 'source');

  const { stdout } = await home.ok('diff', 'latest~1', 'latest');
  const metadata = await home.ok('diff', '--metadata', 'latest~1', 'latest');
  const back = await home.ok('diff', 'latest', 'latest~1');
  const same = await home.ok('diff', 'latest', 'latest');

  assert.match(stdout, /^From [0-9a-f]{8} \(20\S+ \S+\) to [0-9a-f]{8} \(/);
  assert.deepEqual(linesOf(home, stdout), [...changes, ...gone]);
  assert.match(stdout, /^new {6}2 files \(5 B\), 1 directory, 0 other entries$/m);
  assert.match(stdout, /^gone {5}2 files \(8 B\), 2 directories, 0 other entries$/m);
  assert.match(stdout, /^changed {2}1 file \(6 B before, 10 B now\), 1 other entry$/m);
  assert.match(stdout, /^type {5}1 entry$/m);
  assert.ok(!linesOf(home, stdout).includes('U mode'));
  assert.ok(linesOf(home, metadata.stdout).includes('U mode'));
  assert.match(metadata.stdout, /^metadata [1-9]\d* entries$/m);
  assert.deepEqual(linesOf(home, back.stdout).slice(0, 4), [
    'M changed',
    'T kind',
    '- kind/inside',
    'M link',
  ]);
  assert.deepEqual(linesOf(home, same.stdout), []);
});

test('diff compares paths, those of one snapshot with the same of the other', async (t) => {
  const home = await homeWithRepository(t);
  fillSource(home);
  await home.ok('snapshot', 'source');
  changeSource(home);
  renameSync(home.path('source', 'same'), home.path('source', 'renamed'));
  await home.ok('snapshot', 'source');
  const at = (snapshot: string, name: string) => `${snapshot}:${home.path('source', name)}`;

  const one = await home.ok('diff', at('latest~1', 'changed'), 'latest');
  const two = await home.ok('diff', at('latest~1', 'same'), at('latest', 'renamed'));
  const none = await home.run(['diff', at('latest~1', 'old'), 'latest']);

  assert.deepEqual(linesOf(home, one.stdout), ['M changed']);
  assert.deepEqual(linesOf(home, two.stdout), []);
  assert.equal(none.code, 1);
  assert.match(none.stderr, /Cannot find path ".*\/source\/old"/);
});

test('diff with :live tells of the files what diff tells of the snapshot taken next', async (t) => {
  const home = await homeWithRepository(t);
  fillSource(home);
  await home.ok('snapshot', 'source');
  const before = await home.ok('diff', 'latest', ':live');
  changeSource(home);

  const live = await home.ok('diff', '--metadata', 'latest', ':live');
  const part = await home.ok('diff', `latest:${home.path('source', 'old')}`, ':live');
  await home.ok('snapshot', 'source');
  const next = await home.ok('diff', '--metadata', 'latest~1', 'latest');

  assert.deepEqual(linesOf(home, before.stdout), []);
  assert.deepEqual(linesOf(home, live.stdout), linesOf(home, next.stdout));
  assert.deepEqual(linesOf(home, part.stdout), gone);
});

test('diff with :live reads what has other times, and tells when it is the same', async (t) => {
  const home = await homeWithRepository(t);
  fillSource(home);
  writeFileSync(home.path('source', 'large'), Buffer.alloc(3_000_000, 'varve '));
  await home.ok('snapshot', 'source');
  writeFileSync(home.path('source', 'large'), Buffer.alloc(3_000_000, 'varve '));
  writeFileSync(home.path('source', 'changed'), 'BEFORE');

  const { stdout } = await home.ok('diff', 'latest', ':live');

  assert.deepEqual(linesOf(home, stdout), ['M changed']);
});

test('diff with :live leaves out what excludes say, and notes that they are others', async (t) => {
  const home = await homeWithRepository(t);
  fillSource(home);
  await home.ok('snapshot', '--exclude', 'old', 'source');

  const same = await home.ok('diff', 'latest', ':live', '--exclude', 'old');
  const other = await home.ok('diff', 'latest', ':live');
  const wrong = await home.run(['diff', 'latest', 'latest', '--exclude', 'old']);

  assert.deepEqual(linesOf(home, same.stdout), []);
  assert.equal(same.stderr, '');
  assert.deepEqual(linesOf(home, other.stdout), ['+ old/', '+ old/deep/', '+ old/deep/file']);
  assert.match(other.stderr, /^note: The snapshot was taken with other excludes$/m);
  assert.equal(wrong.code, 64);
});

userTest(
  import.meta.url,
  'diff with :live tells what it cannot read, which is not gone',
  async (t) => {
    const home = await homeWithRepository(t);
    fillSource(home);
    await home.ok('snapshot', 'source');
    chmodSync(home.path('source', 'old'), 0);

    const { code, lines } = await home.runJson(['diff', 'latest', ':live']);
    chmodSync(home.path('source', 'old'), 0o700);

    assert.equal(code, 3);
    assert.equal(lines.filter((line) => line.message_type === 'error').length, 1);
    assert.equal(lines.filter((line) => line['modifier'] === '-').length, 0);
  },
);

test('diff --json tells each change and the sums', async (t) => {
  const home = await homeWithRepository(t);
  fillSource(home);
  await home.ok('snapshot', 'source');
  changeSource(home);
  await home.ok('snapshot', 'source');

  const { lines } = await home.runJson(['diff', '--metadata', 'latest~1', 'latest']);
  const live = await home.runJson(['diff', 'latest', ':live']);

  const changed = lines.filter((line) => line.message_type === 'change');
  const summary = lines.at(-1) ?? {};
  const named = (name: string) => changed.find(({ path }) => path === home.path('source', name));
  assert.equal(named('mode')?.['modifier'], 'U');
  assert.deepEqual(named('mode')?.['metadata'], ['mode']);
  assert.equal(named('changed')?.['size_before'], 6);
  assert.equal(named('kind')?.['type'], 'dir');
  const raw = changed.find((line) => 'path_b64' in line);
  const rawName = rawPath(home.path('source'), Buffer.from('n\xff', 'latin1'));
  assert.equal(raw?.['path_b64'], rawName.toString('base64'));
  const { v, message_type, source_snapshot, target_snapshot, changed_metadata, ...sums } =
    summary as Record<string, unknown>;
  assert.deepEqual(sums, {
    code: 0,
    added: { files: 2, dirs: 1, others: 0, bytes: 5 },
    removed: { files: 2, dirs: 2, others: 0, bytes: 8 },
    changed_files: 1,
    changed_others: 1,
    changed_bytes_before: 6,
    changed_bytes: 10,
    changed_types: 1,
    error_count: 0,
  });
  assert.notEqual(source_snapshot, target_snapshot);
  assert.equal(live.lines.at(-1)?.['target_snapshot'], undefined);
});
