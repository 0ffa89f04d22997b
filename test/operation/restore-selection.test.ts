/** Restoring what patterns choose: what is made, what is left away, and what that costs nobody. */
import assert from 'node:assert/strict';
import {
  chmodSync,
  linkSync,
  mkdirSync,
  readdirSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { nodeTargetFs } from '../../src/restore/target-fs.ts';
import { PathSelection, type PathSelectionOptions } from '../../src/walk/path-selection.ts';
import { tempDir } from '../helpers/temp-dir.ts';
import {
  type Client,
  newDirectoryStorage,
  openClient,
  restore,
  snapshot,
  type Taken,
} from '../helpers/test-repository.ts';

interface Saved {
  readonly top: string;
  readonly target: string;
  readonly taken: Taken;
  readonly client: Client;
}

const files = [
  'docs/deep/er/letter.txt',
  'docs/deep/picture.jpg',
  'docs/tmp/notes.txt',
  'music/song.mp3',
  'music/list.txt',
  'readme.txt',
];

async function save(t: TestContext, jobs: number, add = (_top: string) => {}): Promise<Saved> {
  const [top, target] = [join(tempDir(t), 'top'), join(tempDir(t), 'target')];
  for (const file of files) {
    mkdirSync(dirname(join(top, file)), { recursive: true });
    writeFileSync(join(top, file), file);
  }
  mkdirSync(join(top, 'empty.txt'));
  add(top);
  const storage = await newDirectoryStorage(t);
  const taken = await snapshot(await openClient(t, storage), [top]);
  return { top, target, taken, client: await openClient(t, storage, { jobs }) };
}

function selectionOf(options: PathSelectionOptions): { selection: PathSelection } {
  return { selection: new PathSelection(options) };
}

/** Names below a directory, of any depth. */
function allNames(path: string): string[] {
  return readdirSync(path, { recursive: true, encoding: 'utf8' }).sort();
}

for (const jobs of [0, 2]) {
  const what = `with ${jobs} jobs`;

  test(`a restore makes what is included and the directories that lead there, ${what}`, async (t) => {
    const { top, target, taken, client } = await save(t, jobs, (path) => {
      symlinkSync('song.mp3', join(path, 'music', 'link.txt'));
      utimesSync(join(path, 'docs'), 1e9, 1e9);
      chmodSync(join(path, 'docs'), 0o751);
    });
    const chosen = selectionOf({ includes: ['*.txt', `${top}/docs/deep/er`], excludes: ['tmp'] });

    const restored = await restore(client, { ...taken, path: top, ...chosen }, target);

    const made = [
      'docs',
      'docs/deep',
      'docs/deep/er',
      'docs/deep/er/letter.txt',
      'empty.txt',
      'music',
      'music/link.txt',
      'music/list.txt',
      'readme.txt',
    ];
    assert.deepEqual(allNames(target), made);
    assert.deepEqual(restored.problems, []);
    const { files: fileCount, directories, others } = restored;
    assert.deepEqual(
      { fileCount, directories, others },
      { fileCount: 3, directories: 5, others: 1 },
    );
    const { mode, mtimeMs } = statSync(join(target, 'docs'));
    assert.deepEqual([mode & 0o777, mtimeMs], [0o751, 1e12]);
  });

  test(`a whole snapshot keeps its absolute paths, ${what}`, async (t) => {
    const { top, target, taken, client } = await save(t, jobs);
    const chosen = selectionOf({ includes: [`${top}/music/**`] });

    const restored = await restore(client, { ...taken, ...chosen }, target);

    assert.deepEqual(allNames(join(target, top)), ['music', 'music/list.txt', 'music/song.mp3']);
    const above = top.split('/').length - 1;
    assert.deepEqual([restored.directories, restored.problems], [above + 1, []]);
  });

  test(`the first name that is chosen of a hard-linked file is made as a file, ${what}`, async (t) => {
    const { top, target, taken, client } = await save(t, jobs, (path) => {
      for (const name of ['music/a', 'readme.1']) {
        linkSync(join(path, 'docs/deep/picture.jpg'), join(path, name));
      }
    });
    const chosen = selectionOf({ excludes: ['docs'] });

    const restored = await restore(client, { ...taken, path: top, ...chosen }, target);

    assert.deepEqual(restored.problems, []);
    const [a, other] = ['music/a', 'readme.1'].map((name) => statSync(join(target, name)));
    assert.equal(a?.ino, other?.ino);
    assert.equal(a?.nlink, 2);
  });
}

test('a directory in which nothing is restored is never made', async (t) => {
  const { top, target, taken, client } = await save(t, 0);
  const made: string[] = [];
  const fs = {
    ...nodeTargetFs,
    makeDirectory: (path: Uint8Array) => {
      made.push(Buffer.from(path).toString().split('/').at(-1) ?? '');
      nodeTargetFs.makeDirectory(path);
    },
  };

  await restore(
    client,
    { ...taken, path: top, fs, ...selectionOf({ includes: ['*.mp3'] }) },
    target,
  );

  assert.deepEqual(made, ['music']);
  assert.deepEqual(allNames(target), ['music', 'music/song.mp3']);
});

test('a start in or below an included directory is restored as a whole', async (t) => {
  const { top, target, taken, client } = await save(t, 0);
  const chosen = selectionOf({ includes: ['docs'], excludes: ['docs', '*.jpg'] });

  await restore(client, { ...taken, path: `${top}/docs/deep`, ...chosen }, target);

  assert.deepEqual(allNames(target), ['er', 'er/letter.txt']);
});

test('a passed directory that cannot be made costs one error, and what is in it', async (t) => {
  const { top, target, taken, client } = await save(t, 0);
  let tries = 0;
  const fs = {
    ...nodeTargetFs,
    makeDirectory: (path: Uint8Array) => {
      if (Buffer.from(path).toString().endsWith('docs')) {
        tries += 1;
        throw Object.assign(new Error('EROFS'), { code: 'EROFS' });
      }
      nodeTargetFs.makeDirectory(path);
    },
  };

  const chosen = selectionOf({ includes: ['*.txt', '*.jpg'] });
  const restored = await restore(client, { ...taken, path: top, fs, ...chosen }, target);

  assert.equal(tries, 1);
  assert.deepEqual(
    restored.problems.map(({ path }) => Buffer.from(path).toString()),
    [join(target, 'docs')],
  );
  assert.deepEqual(allNames(target), ['empty.txt', 'music', 'music/list.txt', 'readme.txt']);
});

test('passed directories do not stay behind when all that was wanted in them fails', async (t) => {
  const { top, target, taken, client } = await save(t, 0);
  const fs = {
    ...nodeTargetFs,
    createFile: (): number => {
      throw Object.assign(new Error('ENOSPC'), { code: 'ENOSPC' });
    },
  };
  const chosen = selectionOf({ includes: ['letter.txt', 'music'] });

  const restored = await restore(client, { ...taken, path: top, fs, ...chosen }, target);

  assert.equal(restored.problems.length, 3);
  // It was chosen, not passed.
  assert.deepEqual(allNames(target), ['music']);
  assert.equal(restored.directories, 1);
});
