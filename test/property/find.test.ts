/**
 * Finding and following paths over many snapshots, against the same said plainly: each snapshot
 * listed by itself. Trees are edited at random between the snapshots of two hosts.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { type FindCriteria, findEntries } from '../../src/browse/find-entries.ts';
import { listEntries } from '../../src/browse/list-entries.ts';
import { type PathSpan, tracePath } from '../../src/browse/path-history.ts';
import { rangesOf, type SnapshotRange, setOf, unite } from '../../src/browse/snapshot-set.ts';
import { openReadAccess, type ReadAccess } from '../../src/repository/read-access.ts';
import type { Snapshot } from '../../src/snapshot/selection.ts';
import type { DirectoryRoot, Node } from '../../src/tree/node.ts';
import { readSharedPages } from '../../src/tree/shared-pages.ts';
import { fromAscii, leadingU32, toHex } from '../../src/util/bytes.ts';
import { applyEdit, editKinds, MemoryEditableSource } from '../helpers/editable-source.ts';
import { madeSnapshot } from '../helpers/made-snapshot.ts';
import { b } from '../helpers/raw-path.ts';
import { testSeed } from '../helpers/seeded-random.ts';
import { inScope, namesOf, newClient, snapshot } from '../helpers/test-repository.ts';
import { buildDirectory, memoryBlobs } from '../helpers/tree-blobs.ts';

const path = fc
  .array(fc.constantFrom('a', 'b', 'C', 'd'), { minLength: 1, maxLength: 3 })
  .map((names) => names.join('/'));
const edit = fc.record({
  kind: fc.constantFrom(...editKinds),
  path,
  other: path,
  seed: fc.nat({ max: 3 }),
  size: fc.constantFrom(0, 1, 5000),
});
/** What one snapshot after another changes, and whose snapshot it is. */
const story = fc.array(
  fc.record({ edits: fc.array(edit, { maxLength: 4 }), host: fc.constantFrom('one', 'two') }),
  { minLength: 1, maxLength: 6 },
);

interface World {
  readonly access: ReadAccess;
  readonly snapshots: readonly Snapshot[];
  /** Of each snapshot, path to entry. */
  readonly listings: readonly ReadonlyMap<string, Node>[];
}

async function inWorld(
  steps: readonly { edits: Parameters<typeof applyEdit>[1][]; host: string }[],
  action: (world: World) => Promise<void>,
): Promise<void> {
  await inScope(async (scope) => {
    const client = await newClient(scope);
    const source = new MemoryEditableSource();
    const snapshots: Snapshot[] = [];
    for (const { edits, host } of steps) {
      for (const each of edits) applyEdit(source, each);
      snapshots.push(
        (await snapshot(client, ['/source'], { fs: source.fs(), host: b(host) })).snapshot,
      );
    }
    const access = await openReadAccess(client.repository);
    const listings: Map<string, Node>[] = [];
    for (const chosen of snapshots) {
      const listing = new Map<string, Node>();
      for await (const listed of listEntries(access, {
        snapshot: chosen,
        names: [],
        isRecursive: true,
      })) {
        listing.set(Buffer.from(listed.path).toString(), listed.entry as Node);
      }
      listings.push(listing);
    }
    await action({ access, snapshots, listings });
  });
}

/** Ids of all snapshots in ranges; each range names the ends of a run of its host. */
function idsIn(ranges: readonly SnapshotRange[], snapshots: readonly Snapshot[]): string[] {
  return ranges.flatMap(({ first, last, count }) => {
    const host = toHex(first.manifest.host);
    const own = snapshots.filter(({ manifest }) => toHex(manifest.host) === host);
    const run = own.slice(own.indexOf(first), own.indexOf(last) + 1);
    assert.equal(run.length, count);
    return run.map(({ id }) => id);
  });
}

function lookOf({ type, mode, mtime, content, target }: Node): string {
  const id = content === undefined || content.kind === 'empty' ? '' : toHex(content.id);
  const time = `${mtime?.seconds}.${mtime?.nanoseconds}`;
  return [type, mode, time, id, target === undefined ? '' : toHex(target)].join(' ');
}

/** "path look" of all that fits, with the snapshots that have it. */
function expectedHits(
  { snapshots, listings }: Pick<World, 'snapshots' | 'listings'>,
  fits: (path: string, node: Node) => boolean,
): Map<string, string[]> {
  const expected = new Map<string, string[]>();
  for (const [i, listing] of listings.entries()) {
    for (const [where, node] of listing) {
      if (!fits(where, node)) continue;
      const key = `${where} ${lookOf(node)}`;
      expected.set(key, [...(expected.get(key) ?? []), (snapshots[i] as Snapshot).id].sort());
    }
  }
  return expected;
}

const searches: [criteria: FindCriteria, fits: (path: string, node: Node) => boolean][] = [
  [{ patterns: ['*'] }, () => true],
  [{ patterns: ['a'] }, (where) => where.endsWith('/a')],
  [{ patterns: ['c'], isCaseIgnored: true }, (where) => where.endsWith('/C')],
  [
    { patterns: ['/SOURCE/A/*'], isCaseIgnored: true },
    (where) => /^\/source\/a\/[^/]*$/.test(where),
  ],
  [{ patterns: ['/source/*/b', 'd'] }, (where) => /^\/source\/[^/]*\/b$|\/d$/.test(where)],
  [
    { patterns: ['*', '!b'], types: ['f'] },
    (where, { type }) => type === 'f' && !/\/b$/.test(where),
  ],
  [{ patterns: ['*'], sizeMin: 1, sizeMax: 4999 }, (_, { size }) => size === 1n],
];

test('findEntries() finds what listing each snapshot does, once for each path and version', async () => {
  const property = fc.asyncProperty(story, fc.constantFrom(...searches), async (steps, search) => {
    await inWorld(steps, async ({ access, snapshots, listings }) => {
      const [criteria, fits] = search;
      const found = new Map<string, string[]>();
      const paths: string[] = [];

      for await (const entry of findEntries(access, { ...criteria, snapshots })) {
        const where = Buffer.from(entry.path).toString();
        paths.push(where);
        const all = idsIn(entry.ranges, snapshots);
        const versions = entry.versions.flatMap(({ ranges }) => idsIn(ranges, snapshots));
        assert.deepEqual(versions.sort(), all.sort());
        for (const { entry: node, ranges } of entry.versions) {
          found.set(`${where} ${lookOf(node as Node)}`, idsIn(ranges, snapshots).sort());
        }
      }

      const expected = expectedHits({ snapshots, listings }, fits);
      assert.deepEqual(new Map([...found].sort()), new Map([...expected].sort()));
      const inOrder = [...paths].sort((x, y) => (x.split('/') < y.split('/') ? -1 : 1));
      assert.deepEqual(paths, inOrder);
      assert.equal(new Set(paths).size, paths.length);
    });
  });
  await fc.assert(property, { seed: testSeed, numRuns: 70 });
});

test('tracePath() tells in every snapshot what listing it does', async () => {
  const property = fc.asyncProperty(
    story,
    path,
    fc.boolean(),
    async (steps, where, hasMetadata) => {
      await inWorld(steps, async ({ access, snapshots, listings }) => {
        const names = [...namesOf('/source'), ...namesOf(where)];

        const histories = await tracePath(access, { snapshots, names, hasMetadata });

        const told = new Map<string, string | undefined>();
        const contents = new Map<number, string>();
        for (const { spans } of histories) {
          checkSpans(spans, { contents, hasMetadata });
          for (const span of spans) {
            for (const id of idsIn([span], snapshots)) told.set(id, contentOf(span.node));
          }
        }
        assert.equal(new Set(contents.values()).size, contents.size);
        for (const [i, listing] of listings.entries()) {
          const node = listing.get(`/source/${where}`);
          assert.equal(told.get((snapshots[i] as Snapshot).id), contentOf(node));
        }
      });
    },
  );
  await fc.assert(property, { seed: testSeed, numRuns: 70 });
});

/** @param contents of versions, which must be the same wherever they are met */
function checkSpans(
  spans: readonly PathSpan[],
  { contents, hasMetadata }: { contents: Map<number, string>; hasMetadata: boolean },
): void {
  assert.equal(spans[0]?.change, 'appeared');
  for (const [i, { change, node, version }] of spans.entries()) {
    assert.equal(change === 'vanished', node === undefined);
    if (!hasMetadata && i > 0) assert.notEqual(version, spans[i - 1]?.version);
    if (version === undefined) continue;
    const content = contentOf(node) as string;
    assert.equal(contents.get(version) ?? content, content);
    contents.set(version, content);
  }
}

/** Equal for equal content. */
function contentOf(node: Node | undefined): string | undefined {
  if (node === undefined) return undefined;
  const { type, content, target, directory } = node;
  const id = content === undefined || content.kind === 'empty' ? '' : toHex(content.id);
  return `${type} ${id} ${target && toHex(target)} ${directory && toHex(directory.id)}`;
}

test('unite() makes of two sets what is in one of them, in as few runs as can be', () => {
  const places = fc.uniqueArray(fc.nat({ max: 20 }));
  const made = (of: readonly number[]) =>
    of.reduce<readonly number[]>((set, place) => unite(set, setOf(place)), []);
  const property = fc.property(places, places, (first, second) => {
    const set = unite(made(first), made(second));

    const all = [...new Set([...first, ...second])];
    const told: number[] = [];
    for (let i = 0; i < set.length; i += 2) {
      for (let place = set[i] as number; place < (set[i + 1] as number); place++) told.push(place);
    }
    assert.deepEqual(
      told,
      all.sort((x, y) => x - y),
    );
    assert.ok(set.every((bound, i) => i === 0 || bound > (set[i - 1] as number)));
  });
  fc.assert(property, { seed: testSeed, numRuns: 200 });
});

test('rangesOf() ends a run where another host begins', () => {
  const row = [1, 2, 3].map((number) =>
    madeSnapshot({ number, startedNs: BigInt(number), host: number < 3 ? 'one' : 'two' }),
  );

  const ranges = rangesOf([0, 3], row);

  assert.deepEqual(
    ranges.map(({ first, last, count }) => [first.id, last.id, count]),
    [
      [row[0]?.id, row[1]?.id, 2],
      [row[2]?.id, row[2]?.id, 1],
    ],
  );
});

test('readSharedPages() reads each page once, and knows all directories that have it', async () => {
  const memory = memoryBlobs();
  const sink = {
    ...memory.sink,
    isPageEnd: (name: Uint8Array) =>
      leadingU32(createHash('sha256').update(name).digest()) < 0.5 * 2 ** 32,
  };
  const nodes = (changed: number): Node[] =>
    Array.from({ length: 40 }, (_, i) => ({
      name: fromAscii(`entry ${String(i).padStart(4, '0')}`),
      type: 'p' as const,
      unknown: [[0x40, new Uint8Array(17_000).fill(i === changed ? 1 : 0)] as const],
    }));
  const owners: { part: DirectoryRoot; changed: number }[] = [];
  for (const changed of [-1, 5, 30, 31]) {
    const part = (await buildDirectory(nodes(changed), sink)) as DirectoryRoot;
    owners.push({ part, changed });
  }
  const loaded: string[] = [];
  const seen = new Map<number, string[]>();

  for await (const page of readSharedPages(owners, async (id) => {
    loaded.push(toHex(id));
    return await memory.load(id);
  })) {
    for (const { changed } of page.owners) {
      const names = page.entries.map(({ name }) => Buffer.from(name).toString());
      seen.set(changed, [...(seen.get(changed) ?? []), ...names]);
    }
  }

  assert.equal(new Set(loaded).size, loaded.length);
  assert.equal(loaded.length, memory.blobs.size);
  assert.ok(loaded.length < 40, `${loaded.length} pages`);
  const names = nodes(-1).map(({ name }) => Buffer.from(name).toString());
  for (const { changed } of owners) assert.deepEqual(seen.get(changed)?.sort(), names);
});
