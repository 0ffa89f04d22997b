/** Editing history: other tags, and paths that go, with the old snapshots as they were. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { listEntries } from '../../src/browse/list-entries.ts';
import { CorruptionError, NotFoundError } from '../../src/errors.ts';
import { retag } from '../../src/maintain/edit/retag.ts';
import { rewriteSnapshots } from '../../src/maintain/edit/rewrite-snapshots.ts';
import { forget } from '../../src/maintain/forget.ts';
import { undelete } from '../../src/maintain/undelete.ts';
import { openReadAccess } from '../../src/repository/read-access.ts';
import { loadView } from '../../src/repository/view.ts';
import type { Snapshot } from '../../src/snapshot/selection.ts';
import type { Storage } from '../../src/storage/storage.ts';
import { applyEdit, editKinds, MemoryEditableSource } from '../helpers/editable-source.ts';
import { memorySource } from '../helpers/memory-source.ts';
import { seededRandom, testSeed } from '../helpers/seeded-random.ts';
import {
  type Client,
  check,
  inScope,
  list,
  newClient,
  newStorage,
  objectNames,
  openClient,
  type Scope,
  snapshot,
} from '../helpers/test-repository.ts';

const tree = {
  '/source/keep/a': seededRandom(1).bytes(50_000),
  '/source/keep/b': seededRandom(2).bytes(50_000),
  '/source/secret/key': seededRandom(3).bytes(50_000),
};

async function take(client: Client, files: Record<string, Uint8Array> = tree): Promise<Snapshot> {
  const taken = await snapshot(client, ['/source'], { fs: memorySource(files), tags: ['daily'] });
  return taken.snapshot;
}

async function live({ repository }: Client): Promise<Snapshot[]> {
  return (await loadView(repository, 'read')).snapshots;
}

/** What must stay when history is edited. */
function lastingOf({ manifest }: Snapshot): object {
  const { startedNs, endedNs, timeZone, host, user, source, roots, excludeHash } = manifest;
  return { startedNs, endedNs, timeZone, host, user, source, roots, excludeHash };
}

test('retag() puts a snapshot with other tags in the place of each, which can come back', async (t) => {
  const client = await newClient(t);
  const [first, second] = [await take(client), await take(client)];

  const result = await retag(client.repository, { add: ['keep'], remove: ['daily'] });
  const after = await live(client);
  const again = await retag(client.repository, { set: ['keep'] });

  assert.deepEqual(
    result.changed.map(({ id, tags }) => [id, tags]),
    [first, second].map(({ id }) => [id, ['keep']]),
  );
  assert.deepEqual(
    after.map(({ id }) => id).sort(),
    result.changed.map(({ newId }) => newId).sort(),
  );
  for (const [i, old] of [first, second].entries()) {
    const made = after.find(({ manifest }) => manifest.parents[0] === old.id) as Snapshot;
    assert.equal(made.id, result.changed[i]?.newId);
    assert.deepEqual(lastingOf(made), lastingOf(old));
    assert.deepEqual(made.manifest.root, old.manifest.root);
    assert.deepEqual(made.manifest.stats, old.manifest.stats);
    assert.deepEqual(made.manifest.tags, ['keep']);
  }
  assert.deepEqual(again, { changed: [], unchangedCount: 2 });
  assert.deepEqual((await check(client)).findings, []);
  const back = await undelete(client.repository, { selector: first.id });
  const returned = (await live(client)).find(({ id }) => id === back.id);
  assert.deepEqual(returned?.manifest.tags, ['daily']);
});

test('retag() changes what is named, and nothing when a name means nothing', async (t) => {
  const client = await newClient(t);
  const [first, second] = [await take(client), await take(client)];

  await assert.rejects(
    retag(client.repository, { selectors: [first.id, 'ffff'], add: ['x'] }),
    NotFoundError,
  );
  await assert.rejects(retag(client.repository, { selectors: [first.id] }), TypeError);
  await assert.rejects(retag(client.repository, { add: [''] }), TypeError);
  const before = await live(client);
  const result = await retag(client.repository, {
    selectors: ['latest', second.id, 'latest~0'],
    add: ['x', 'daily', 'x'],
  });

  assert.deepEqual(before.map(({ id }) => id).sort(), [first.id, second.id].sort());
  assert.equal(result.changed.length, 1);
  assert.deepEqual(result.changed[0]?.tags, ['daily', 'x']);
  const latest = before.at(-1)?.id;
  assert.equal(result.changed[0]?.id, latest);
});

/** A storage in which tombs cannot be put. */
function withoutTombs(storage: Storage): Storage {
  return new Proxy(storage, {
    get: (target, key) => {
      const value: unknown = Reflect.get(target, key, target);
      if (key !== 'put' && key !== 'putIfAbsent')
        return typeof value === 'function' ? value.bind(target) : value;
      return async (name: string, bytes: Uint8Array) => {
        if (name.startsWith('tombs/')) throw new Error('no tombs today');
        return await target[key](name, bytes);
      };
    },
  });
}

test('retag() that is stopped before it forgets leaves both snapshots', async (t) => {
  const storage = await newStorage();
  const old = await take(await openClient(t, storage));
  const client = await openClient(t, withoutTombs(storage));

  await assert.rejects(retag(client.repository, { add: ['x'] }), /no tombs today/);

  const ids = (await live(client)).map(({ id }) => id);
  assert.equal(ids.length, 2);
  assert.ok(ids.includes(old.id));
  assert.deepEqual((await check(client)).findings, []);
});

test('rewriteSnapshots() plans, asks, and drops what fits from each snapshot that has it', async (t) => {
  const client = await newClient(t);
  const { '/source/secret/key': _, ...clean } = tree;
  const [dirty, pure] = [await take(client), await take(client, clean)];
  const plans: number[] = [];
  const rewrite = (options: object) =>
    rewriteSnapshots(client.repository, { excludes: ['/source/secret'], ...options });

  const planned = await rewrite({ isDryRun: true });
  const declined = await rewrite({
    confirm: (plan: { snapshots: unknown[] }) => {
      plans.push(plan.snapshots.length);
      return false;
    },
  });
  const untouched = await live(client);
  const done = await rewrite({});
  const kept = await live(client);
  const again = await rewrite({ isForgetting: true });
  const left = await live(client);

  const dropped = { files: 1, directories: 1, others: 0, bytes: 50_000n };
  for (const result of [planned, declined]) {
    assert.equal(result.isApplied, false);
    assert.equal(result.untouchedCount, 1);
    assert.deepEqual(result.snapshots, [
      { snapshot: result.snapshots[0]?.snapshot, rewrittenId: undefined, dropped },
    ]);
  }
  assert.deepEqual(plans, [1]);
  assert.deepEqual(untouched.map(({ id }) => id).sort(), [dirty.id, pure.id].sort());
  const made = kept.find(({ id }) => id === done.snapshots[0]?.rewrittenId) as Snapshot;
  assert.deepEqual(kept.map(({ id }) => id).sort(), [dirty.id, pure.id, made.id].sort());
  assert.deepEqual(lastingOf(made), lastingOf(dirty));
  assert.deepEqual(made.manifest.parents, [dirty.id]);
  assert.deepEqual(made.manifest.tags, ['daily']);
  assert.deepEqual(made.manifest.root.bytes, 100_000n);
  assert.equal(made.manifest.stats['files'], 2);
  assert.deepEqual(await list(client, { snapshot: made }), await list(client, { snapshot: pure }));
  assert.equal(again.snapshots.length, 1);
  assert.ok(!left.some(({ id }) => id === dirty.id));
  assert.equal(left.length, 3);
  assert.deepEqual((await check(client)).findings, []);
});

test('rewriteSnapshots() refuses to leave nothing, and needs a pattern', async (t) => {
  const client = await newClient(t);
  await take(client);

  const result = await rewriteSnapshots(client.repository, { excludes: ['*'] });

  assert.equal(result.snapshots.length, 0);
  assert.equal(result.refused[0]?.reason, 'nothing of it would be left');
  assert.equal((await live(client)).length, 1);
  await assert.rejects(rewriteSnapshots(client.repository, { excludes: [] }), RangeError);
  await assert.rejects(rewriteSnapshots(client.repository, { excludes: ['[a'] }), RangeError);
});

const path = fc
  .array(fc.constantFrom('a', 'b', 'c', 'd'), { minLength: 1, maxLength: 3 })
  .map((names) => names.join('/'));
const edit = fc.record({
  kind: fc.constantFrom(...editKinds),
  path,
  other: path,
  seed: fc.nat({ max: 3 }),
  size: fc.constantFrom(0, 1, 5000),
});
const pattern = fc.oneof(
  fc.constantFrom('a', 'b/', '/source/a', 'a/**', '/source/*/c'),
  path.map((where) => `/source/${where}`),
);

/** Path to entry, whose pages are left out: those of directories above what went are others. */
async function entriesOf(client: Client, chosen: Snapshot): Promise<Map<string, object>> {
  const access = await openReadAccess(client.repository);
  const entries = new Map<string, object>();
  const all = { snapshot: chosen, names: [], isRecursive: true };
  for await (const { path: where, entry } of listEntries(access, all)) {
    const { directory: _, ...rest } = structuredClone({
      ...entry,
      unknown: undefined,
    } as never) as {
      directory?: unknown;
    };
    entries.set(Buffer.from(where).toString(), rest);
  }
  return entries;
}

/** Whether a pattern of those above fits a path. */
function fits(text: string, where: string, isDirectory: boolean): boolean {
  if (text === 'b/') return isDirectory && where.endsWith('/b');
  if (text === 'a/**') return where.includes('/a/');
  if (text === '/source/*/c') return /^\/source\/[^/]*\/c$/.test(where);
  return text.startsWith('/') ? where === text : where.endsWith(`/${text}`);
}

test('rewriteSnapshots() leaves all that fits no pattern as it was', async () => {
  const edits = fc.array(edit, { minLength: 1, maxLength: 15 });
  const property = fc.asyncProperty(edits, pattern, async (changes, text) => {
    await inScope(async (scope: Scope) => {
      const client = await newClient(scope);
      const source = new MemoryEditableSource();
      for (const each of changes) applyEdit(source, each);
      const { snapshot: old } = await snapshot(client, ['/source'], { fs: source.fs() });
      const before = await entriesOf(client, old);

      const { snapshots, untouchedCount } = await rewriteSnapshots(client.repository, {
        excludes: [text],
      });

      const gone = [...before].filter(([where, entry]) =>
        fits(text, where, (entry as { type: string }).type === 'd'),
      );
      const isLeft = (where: string) =>
        !gone.some(([top]) => where === top || where.startsWith(`${top}/`));
      assert.equal(untouchedCount, gone.length === 0 ? 1 : 0);
      if (gone.length === 0) return;
      const [{ rewrittenId, dropped }] = snapshots as [(typeof snapshots)[number]];
      const made = (await live(client)).find(({ id }) => id === rewrittenId) as Snapshot;
      const expected = new Map([...before].filter(([where]) => isLeft(where)));
      assert.deepEqual(await entriesOf(client, made), expected);
      const count = dropped.files + dropped.directories + dropped.others;
      assert.equal(count, before.size - expected.size);
      assert.deepEqual((await check(client)).findings, []);
    });
  });
  await fc.assert(property, { seed: testSeed, numRuns: 60 });
});

/** Of a client whose index has to be asked for every blob, since a pack is missing. */
async function losePack(storage: Storage, names: ReadonlySet<string>): Promise<void> {
  const packs = (await objectNames(storage)).filter((name) => /^(data|meta|packs)\//.test(name));
  const lost = packs.filter((name) => names.has(name));
  assert.ok(lost.length > 0, `a pack among ${packs.join(' ')}`);
  for (const name of lost) await storage.delete(name);
}

test('history is edited where a pack is missing that is not needed, not where one is', async (t) => {
  const storage = await newStorage();
  const client = await openClient(t, storage);
  const old = await take(client);
  const ownPacks = new Set(await objectNames(storage));
  const other = await take(client, { '/source/other': seededRandom(9).bytes(50_000) });
  const laterPacks = new Set((await objectNames(storage)).filter((name) => !ownPacks.has(name)));
  await forget(client.repository, {
    choice: { selectors: [other.id] },
    mayEmpty: true,
  });
  await losePack(storage, laterPacks);

  const tagged = await retag(client.repository, { selectors: [old.id], add: ['x'] });
  const rewritten = await rewriteSnapshots(client.repository, { excludes: ['secret'] });
  const made = (await live(client)).find(({ id }) => id === rewritten.snapshots[0]?.rewrittenId);
  const names = await list(client, { snapshot: made as Snapshot });
  await losePack(storage, ownPacks);
  const before = await live(client);

  assert.equal(tagged.changed.length, 1);
  assert.deepEqual(names, ['/source', '/source/keep', '/source/keep/a', '/source/keep/b']);
  await assert.rejects(
    retag(client.repository, { add: ['y'] }),
    (error) => error instanceof CorruptionError || error instanceof NotFoundError,
  );
  assert.deepEqual(
    (await live(client)).map(({ id }) => id),
    before.map(({ id }) => id),
  );
});
