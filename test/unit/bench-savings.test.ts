/** The data sets of the savings bench: the same from the same seed, kept, laid and compared rightly. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { crc32, inflateRawSync } from 'node:zlib';
import { drawChart } from '../../bench/savings/chart.ts';
import { prepareDataSet, type Recipe } from '../../bench/savings/data-sets.ts';
import { makeDatabaseDays } from '../../bench/savings/database-sets.ts';
import { type Day, daySets } from '../../bench/savings/day-sets.ts';
import { defaultWords } from '../../bench/savings/dice.ts';
import { differences } from '../../bench/savings/version-tree.ts';
import { zip } from '../../bench/savings/zip.ts';
import { UsageError } from '../../bench/sizes.ts';
import { tempDir } from '../helpers/temp-dir.ts';

/**
 * Digests of the first day, right when the sets were last meant to change. Not of `office`: what
 * deflate makes depends on the version of zlib.
 */
const fingerprints: Readonly<Record<string, string>> = {
  logs: 'b5a2ab000b7676ae',
  rotated: '1a4cab0f2d297ada',
  csv: '318452ee165eb450',
  maildir: '19edfe13645c4113',
};

const { signal } = new AbortController();

function firstDay(name: string): Day {
  const { value } = daySets[name]!.make(defaultWords()).next();
  return value as Day;
}

function fingerprint(day: Day): string {
  const hash = createHash('sha256');
  for (const [path, bytes] of day) hash.update(`${path} ${bytes.length}\n`).update(bytes);
  return hash.digest('hex').slice(0, 16);
}

for (const [name, expected] of Object.entries(fingerprints)) {
  test(`the data set ${name} is the same on every machine`, () => {
    assert.equal(fingerprint(firstDay(name)), expected);
  });
}

test('the data set office is the same every time, and another the next day', () => {
  const words = ['word'];
  const days = daySets['office']!.make(words);
  const [first, second] = [days.next().value as Day, days.next().value as Day];

  assert.equal(fingerprint(daySets['office']!.make(words).next().value as Day), fingerprint(first));
  const changed = [...second].filter(([path, bytes]) => first.get(path) !== bytes);
  assert.ok(changed.length > 3 && changed.length < 20, `${changed.length}`);
  assert.ok(changed.every(([path]) => !path.startsWith('photos/')));
});

test('makeDatabaseDays() makes the same databases and dumps from the same words', (t) => {
  if (spawnSync('sqlite3', ['--version']).error !== undefined) return t.skip('no sqlite3');
  const makeOnce = (kind: 'sqlite' | 'sqldump'): Buffer[] => {
    const directory = tempDir(t);
    const makeVersion = (name: string): string => {
      mkdirSync(join(directory, name));
      return join(directory, name);
    };
    const maker = { makeVersion, scratch: directory };
    const names = [...makeDatabaseDays(maker, { kind, words: ['a', "b'c"], rowCount: 100 })];
    const file = kind === 'sqlite' ? 'app.db' : 'app.sql';
    return names.map((name) => readFileSync(join(directory, name, file)));
  };

  const files = makeOnce('sqlite');
  const dumps = makeOnce('sqldump');

  assert.equal(files.length, 10);
  assert.equal(new Set(files.map((file) => file.toString('latin1'))).size, 10);
  assert.deepEqual(makeOnce('sqlite'), files);
  assert.equal(dumps[9]!.toString().match(/^INSERT/gm)?.length, 110);
});

test('zip() writes entries that its central directory finds', () => {
  const entries = [
    { name: 'a.xml', bytes: Buffer.from('<a/>'.repeat(100)) },
    { name: 'b.png', bytes: Buffer.from([1, 2, 3]), isStored: true },
  ];

  const archive = Buffer.from(zip(entries));

  const end = archive.length - 22;
  assert.equal(archive.readUInt32LE(end), 0x06054b50);
  assert.equal(archive.readUInt16LE(end + 10), entries.length);
  let at = archive.readUInt32LE(end + 16);
  for (const { name, bytes, isStored } of entries) {
    assert.equal(archive.readUInt32LE(at), 0x02014b50);
    assert.equal(archive.readUInt32LE(at + 16), crc32(bytes));
    assert.equal(archive.readUInt32LE(at + 24), bytes.length);
    assert.equal(archive.toString('latin1', at + 46, at + 46 + name.length), name);
    const local = archive.readUInt32LE(at + 42);
    assert.equal(archive.readUInt32LE(local), 0x04034b50);
    const start = local + 30 + name.length;
    const content = archive.subarray(start, start + archive.readUInt32LE(at + 20));
    assert.deepEqual(isStored ? content : inflateRawSync(content), bytes);
    at += 46 + name.length;
  }
  assert.equal(at, end);
});

/** Three versions of a file that stays and one that changes. */
function countingRecipe(): { recipe: Recipe; made: string[] } {
  const made: string[] = [];
  const recipe: Recipe = {
    name: 'counting',
    about: 'three versions',
    *make({ makeVersion }) {
      for (const name of ['1', '2', '3']) {
        const directory = makeVersion(name);
        writeFileSync(join(directory, 'same'), 'same');
        writeFileSync(join(directory, 'other'), `version ${name}`);
        made.push(name);
        yield name;
      }
    },
  };
  return { recipe, made };
}

test('prepareDataSet() makes a set once and links what is the same in two versions', async (t) => {
  const parent = tempDir(t);
  const { recipe, made } = countingRecipe();

  const set = await prepareDataSet(parent, 'counting', { recipe, signal });
  const again = await prepareDataSet(parent, 'counting', { recipe: undefined, signal });

  assert.deepEqual(made, ['1', '2', '3']);
  assert.deepEqual(again.versions, set.versions);
  assert.deepEqual(set.versions[0], { name: '1', size: 13, fileCount: 2 });
  const [first, second] = set.versions.map((version) => set.directoryOf(version));
  const inodeOf = (directory: string, name: string): number => lstatSync(join(directory, name)).ino;
  assert.equal(inodeOf(first!, 'same'), inodeOf(second!, 'same'));
  assert.notEqual(inodeOf(first!, 'other'), inodeOf(second!, 'other'));
  assert.equal(readFileSync(join(second!, 'other'), 'utf8'), 'version 2');
  assert.deepEqual(readdirSync(parent), ['counting']);
});

test('prepareDataSet() makes no more versions than wanted, and more when they are', async (t) => {
  const parent = tempDir(t);
  const { recipe, made } = countingRecipe();
  const countOf = async (versionCountMax: number): Promise<number> => {
    const set = await prepareDataSet(parent, 'counting', { recipe, versionCountMax, signal });
    return set.versions.length;
  };

  assert.equal(await countOf(2), 2);
  assert.deepEqual(made, ['1', '2']);
  assert.equal(await countOf(1), 1);
  assert.equal(made.length, 2);
  assert.equal(await countOf(9), 3);
  assert.equal(made.length, 5);
});

test('prepareDataSet() leaves what is no set of its own, and nothing of one that failed', async (t) => {
  const parent = tempDir(t);
  const { recipe } = countingRecipe();
  const failing: Recipe = { ...recipe, make: () => assert.fail('fails') };
  mkdirSync(join(parent, 'mine'));

  await assert.rejects(prepareDataSet(parent, 'mine', { recipe, signal }), UsageError);
  await assert.rejects(prepareDataSet(parent, 'none', { recipe: undefined, signal }), UsageError);
  await assert.rejects(prepareDataSet(parent, 'failing', { recipe: failing, signal }), /fails/);

  assert.deepEqual(readdirSync(parent), ['mine']);
});

/** Makes a tree of paths: a directory where there is no content, a link where it begins with `->`. */
function makeTree(t: TestContext, entries: Readonly<Record<string, string | undefined>>): string {
  const root = tempDir(t);
  for (const [path, content] of Object.entries(entries)) {
    if (content === undefined) mkdirSync(join(root, path));
    else if (content.startsWith('->')) symlinkSync(content.slice(2), join(root, path));
    else writeFileSync(join(root, path), content);
  }
  return root;
}

test('differences() names every kind of difference', (t) => {
  const entries = { dir: undefined, 'dir/file': 'content', link: '->here', mode: '', only: '' };
  const [a, b] = [makeTree(t, entries), makeTree(t, entries)];
  assert.deepEqual(differences(a, b), []);

  writeFileSync(join(b, 'dir/file'), 'CONTENT');
  chmodSync(join(b, 'mode'), 0o600);
  chmodSync(join(b, 'dir'), 0o700);
  rmSync(join(b, 'only'));
  rmSync(join(b, 'link'));
  symlinkSync('there', join(b, 'link'));
  writeFileSync(join(b, 'more'), '');

  assert.deepEqual(differences(a, b).sort(), ['dir', 'dir/file', 'link', 'mode', 'more', 'only']);
});

test('drawChart() draws a bar for each program, as long as its repository is large', () => {
  const sizes = [
    { program: 'varve', size: 5e6 },
    { program: 'borg', size: 20e6 },
  ];

  const svg = drawChart([{ name: 'a<b', unit: 20e6, sizes }]);

  const widths = [...svg.matchAll(/<rect x="\d+" y="\d+" width="([\d.]+)" height="11"/g)];
  const [own = 0, peer = 0] = widths.map(([, width]) => Number(width));
  assert.equal(widths.length, 2);
  assert.equal(own / peer, 0.25);
  assert.ok(svg.includes('>a&lt;b<') && svg.includes('>5<') && svg.includes('>20<'));
});
