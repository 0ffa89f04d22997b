/**
 * What differs, against the same said plainly: of directories cut into tiny pages, by a merge of all
 * their entries; of trees that were edited at random, by what the source says of itself. The live
 * tree differs from a snapshot in the same way as a snapshot of the live tree does.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { compareLive } from '../../src/browse/compare-live.ts';
import { compareTrees, type Difference } from '../../src/browse/compare-trees.ts';
import { openReadAccess } from '../../src/repository/read-access.ts';
import { readDifferences } from '../../src/tree/differences.ts';
import type { DirectoryRoot, Node } from '../../src/tree/node.ts';
import { Malformed } from '../../src/util/byte-reader.ts';
import { fromAscii, leadingU32, toHex } from '../../src/util/bytes.ts';
import { applyEdit, editKinds, MemoryEditableSource } from '../helpers/editable-source.ts';
import { testSeed } from '../helpers/seeded-random.ts';
import { inScope, namesOf, newClient, snapshot } from '../helpers/test-repository.ts';
import { buildDirectory, type MemoryBlobs, memoryBlobs } from '../helpers/tree-blobs.ts';

/** Pages end at every other name or so, whatever their size: a few entries make several levels. */
function eagerBlobs(): MemoryBlobs {
  const memory = memoryBlobs();
  const isPageEnd = (name: Uint8Array): boolean =>
    leadingU32(createHash('sha256').update(name).digest()) < 0.5 * 2 ** 32;
  return { ...memory, sink: { ...memory.sink, isPageEnd } };
}

/** So large that a page may end behind each of them. */
function nodeOf(number: number, version: number): Node {
  const padding = new Uint8Array(17_000).fill(version);
  return {
    name: fromAscii(`entry ${String(number).padStart(4, '0')}`),
    type: 'p',
    unknown: [[0x40, padding]],
  };
}

const versions = fc.dictionary(
  fc.integer({ min: 0, max: 60 }).map(String),
  fc.integer({ min: 0, max: 1 }),
  { maxKeys: 40, noNullPrototype: true },
);
/** A directory, and another one that differs from it here and there. */
const twoVersions = fc
  .tuple(versions, versions, fc.array(fc.nat({ max: 60 }), { maxLength: 5 }))
  .map(([first, changes, gone]) => {
    const second = { ...first };
    for (const [key, version] of Object.entries(changes).slice(0, 4)) second[key] = version;
    for (const key of gone) delete second[String(key)];
    return [first, second] as const;
  });

async function build(
  entries: Readonly<Record<string, number>>,
  memory: MemoryBlobs,
): Promise<DirectoryRoot | undefined> {
  const numbers = Object.keys(entries).map(Number);
  const nodes = numbers.sort((a, b) => a - b).map((i) => nodeOf(i, entries[String(i)] as number));
  return await buildDirectory(nodes, memory.sink);
}

/** Names, each with whether it is on both sides. */
async function readNames(
  roots: { before: DirectoryRoot | undefined; after: DirectoryRoot | undefined },
  load: MemoryBlobs['load'],
): Promise<string[]> {
  const names: string[] = [];
  for await (const pairs of readDifferences(roots, load)) {
    for (const { before, after } of pairs) {
      const sides = `${before === undefined ? '' : '-'}${after === undefined ? '' : '+'}`;
      names.push(`${Buffer.from((before ?? after)?.name as Uint8Array).toString()} ${sides}`);
    }
  }
  return names;
}

test('readDifferences() gives all that differs, in order, and reads no page that both have', async () => {
  const property = fc.asyncProperty(twoVersions, async ([first, second]) => {
    const memory = eagerBlobs();
    const [before, after] = [await build(first, memory), await build(second, memory)];
    const own = new Set(await pagesOf(before, memory));
    const shared = (await pagesOf(after, memory)).filter((id) => own.has(id));
    const loaded: string[] = [];

    const names = await readNames({ before, after }, async (id) => {
      loaded.push(toHex(id));
      return await memory.load(id);
    });

    const all = [...new Set([...Object.keys(first), ...Object.keys(second)].map(Number))];
    const differing = all
      .filter((i) => first[String(i)] !== second[String(i)])
      .sort((a, b) => a - b)
      .map((i) => {
        const sides = `${String(i) in first ? '-' : ''}${String(i) in second ? '+' : ''}`;
        return `entry ${String(i).padStart(4, '0')} ${sides}`;
      });
    assert.deepEqual([...names].sort(), names);
    assert.equal(new Set(names).size, names.length);
    assert.deepEqual(
      differing.filter((name) => !names.includes(name)),
      [],
    );
    assert.deepEqual(
      names.filter((name) => !name.endsWith('-+') && !differing.includes(name)),
      [],
    );
    // Only what stands at another height in the other directory is met twice.
    const isLeaf = (id: string): boolean => memory.blobs.get(id)?.[0] === 0;
    if (before?.height !== after?.height) return;
    assert.deepEqual(
      loaded.filter((id) => shared.includes(id) && isLeaf(id)),
      [],
    );
  });
  await fc.assert(property, { seed: testSeed, numRuns: 150 });
});

/** Ids of all pages of a directory. */
async function pagesOf(root: DirectoryRoot | undefined, memory: MemoryBlobs): Promise<string[]> {
  const ids: string[] = [];
  for await (const _ of readDifferences({ before: root, after: undefined }, async (id) => {
    ids.push(toHex(id));
    return await memory.load(id);
  }));
  return ids;
}

test('readDifferences() reads nothing of two equal directories', async () => {
  const memory = eagerBlobs();
  const root = await build({ '1': 0, '2': 1, '3': 0 }, memory);

  const names = await readNames({ before: root, after: root }, () => assert.fail('a page is read'));

  assert.deepEqual(names, []);
});

test('readDifferences() refuses a page that is not what its parent says', async () => {
  const memory = eagerBlobs();
  const root = (await build({ '1': 0, '2': 1, '3': 0 }, memory)) as DirectoryRoot;
  const claimed = { ...root, entries: root.entries + 1n };

  await assert.rejects(readNames({ before: claimed, after: root }, memory.load), Malformed);
});

const path = fc
  .array(fc.constantFrom('a', 'b', 'c', 'd'), { minLength: 1, maxLength: 3 })
  .map((names) => names.join('/'));
const edit = fc.record({
  kind: fc.constantFrom(...editKinds),
  path,
  other: path,
  seed: fc.nat({ max: 7 }),
  size: fc.constantFrom(0, 1, 5000, 200_000),
});

/** What differs by the descriptions of the source: "kind path". */
function expectedDifferences(
  before: ReadonlyMap<string, string>,
  after: ReadonlyMap<string, string>,
): string[] {
  return [...new Set([...before.keys(), ...after.keys()])].flatMap((each) => {
    const kind = kindOf(parse(before.get(each)), parse(after.get(each)));
    return kind === undefined || each === '' ? [] : [`${kind} /source/${each}`];
  });
}

interface Described {
  type: string;
  content: string;
  metadata: string;
}

/** See `describe()` of the source: type, mode but for symlinks, time, and what is in it. */
function parse(text: string | undefined): Described | undefined {
  if (text === undefined) return undefined;
  const [type = '', ...rest] = text.split(' ');
  if (type === 'd') return { type, content: '', metadata: rest.join(' ') };
  if (type === 'l') return { type, content: rest.slice(2).join(' '), metadata: rest[0] ?? '' };
  return { type, content: `${rest[2]} ${rest[3]}`, metadata: `${rest[0]} ${rest[1]}` };
}

function kindOf(before: Described | undefined, after: Described | undefined): string | undefined {
  if (before === undefined) return 'added';
  if (after === undefined) return 'removed';
  if (before.type !== after.type) return 'type';
  if (before.content !== after.content) return 'content';
  return before.metadata === after.metadata ? undefined : 'metadata';
}

async function collect(differences: AsyncIterable<Difference>): Promise<string[]> {
  const lines: string[] = [];
  for await (const { kind, path: where } of differences) {
    lines.push(`${kind} ${Buffer.from(where).toString('latin1')}`);
  }
  return lines;
}

test('compareTrees() and compareLive() tell what edits have changed, in the same order', async () => {
  const edits = fc.array(edit, { minLength: 1, maxLength: 12 });
  const property = fc.asyncProperty(edits, edits, async (some, more) => {
    await inScope(async (scope) => {
      const client = await newClient(scope);
      const source = new MemoryEditableSource();
      const take = async () => (await snapshot(client, ['/source'], { fs: source.fs() })).snapshot;
      for (const each of some) applyEdit(source, each);
      const [described, first] = [source.describe(), await take()];
      for (const each of more) applyEdit(source, each);
      const live = { snapshot: first, names: [], fs: source.fs() };
      const access = await openReadAccess(client.repository);

      const fromLive = await collect(compareLive(client.repository, access, live));
      const second = await take();
      const reading = await openReadAccess(client.repository);
      const place = (chosen: typeof first) => ({ snapshot: chosen, names: namesOf('/source') });
      const differences = await collect(
        compareTrees(reading, { before: place(first), after: place(second) }),
      );
      const back = await collect(
        compareTrees(reading, { before: place(second), after: place(first) }),
      );

      const below = differences.filter((line) => !line.endsWith(' /source'));
      const expected = expectedDifferences(described, source.describe());
      assert.deepEqual([...below].sort(), expected.sort());
      assert.deepEqual(
        fromLive.filter((line) => !line.endsWith(' /source')),
        below,
      );
      assert.deepEqual(back.map(reversed), differences);
    });
  });
  await fc.assert(property, { seed: testSeed, numRuns: 60 });
});

function reversed(line: string): string {
  if (line.startsWith('added ')) return line.replace('added', 'removed');
  return line.replace(/^removed /, 'added ');
}
