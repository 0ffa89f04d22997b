/**
 * Walking with what was listed ahead gives the events that walking alone gives, whatever the tree, the
 * sources and the excludes are; and where the tree changes in between, every event tells what was there
 * before or what is there now.
 */
import assert from 'node:assert/strict';
import {
  chmodSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import fc from 'fast-check';
import { errnoCode } from '../../src/errors.ts';
import type { ExcludeOptions } from '../../src/walk/excludes.ts';
import { planSources } from '../../src/walk/plan-sources.ts';
import { nodeSourceFs, type SourceFs } from '../../src/walk/source-fs.ts';
import { startAheadThread } from '../../src/walk/walk-ahead.ts';
import { testSeed } from '../helpers/seeded-random.ts';
import { tempDir } from '../helpers/temp-dir.ts';
import {
  listAllAhead,
  metadataBelow,
  type Walked,
  walkOptions,
  walkPlan,
  walkTree,
} from '../helpers/walk-tree.ts';

type Making =
  | { kind: 'directory' | 'file'; path: string }
  | { kind: 'symlink' | 'link'; path: string; to: string }
  | { kind: 'closed'; path: string };

const name = fc.constantFrom('a', 'b', 'b-', 'b.c', 'c', 'é', '\u00ff', 'CACHEDIR.TAG', 'x y');
const path = fc.array(name, { minLength: 1, maxLength: 4 }).map((names) => names.join('/'));
const making: fc.Arbitrary<Making> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('directory' as const), path }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('file' as const), path }) },
  fc.record({ kind: fc.constantFrom('symlink' as const, 'link' as const), path, to: path }),
  fc.record({ kind: fc.constant('closed' as const), path }),
);
const tree = fc.array(making, { minLength: 5, maxLength: 40 });
const excludes: fc.Arbitrary<ExcludeOptions> = fc.record({
  patterns: fc.array(
    fc.oneof(
      name,
      path,
      name.map((text) => `${text}/`),
      name.map((text) => `!${text}`),
      path.map((text) => `**/${text}/**`),
      fc.constant('*.c'),
    ),
    { maxLength: 4 },
  ),
  isSkippingCaches: fc.boolean(),
  isOneFileSystem: fc.boolean(),
});
const sources = fc.array(fc.oneof(path, fc.constant('')), { minLength: 1, maxLength: 4 });

/** What cannot be made because of what is there is left out. */
function makeTree(top: string, makings: readonly Making[]): void {
  for (const one of makings) tryTo(() => make(top, one));
}

function make(top: string, one: Making): void {
  const at = join(top, one.path);
  if (one.kind === 'closed') {
    chmodSync(at, 0);
    return;
  }
  mkdirSync(one.kind === 'directory' ? at : join(at, '..'), { recursive: true });
  if (one.kind === 'file') writeFileSync(at, signature);
  else if (one.kind === 'symlink') symlinkSync(one.to, at);
  else if (one.kind === 'link') linkSync(join(top, one.to), at);
}

function tryTo(work: () => void): void {
  try {
    work();
  } catch (error) {
    if (errnoCode(error) === undefined) throw error;
  }
}

/** Makes a cache of every directory with a file of the right name. */
const signature = 'Signature: 8a477f597d28d172789f06886806bc55';

function openModes(top: string): void {
  chmodSync(top, 0o755);
  for (const entry of readdirSync(top, { withFileTypes: true })) {
    if (entry.isDirectory()) openModes(join(top, entry.name));
  }
}

/** A directory for one run of a property. */
async function inNewTree(t: TestContext, work: (top: string) => void | Promise<void>) {
  const top = join(tempDir(t), 'top');
  mkdirSync(top);
  try {
    await work(top);
  } finally {
    openModes(top);
    rmSync(top, { recursive: true });
  }
}

test('walk() gives the same events with what was listed ahead', async (t) => {
  await fc.assert(
    fc.asyncProperty(tree, sources, excludes, async (makings, named, left) => {
      await inNewTree(t, (top) => {
        makeTree(top, makings);

        // Compares the walks with and without.
        walkTree(
          named.map((one) => join(top, one)),
          nodeSourceFs,
          left,
        );
      });
    }),
    { seed: testSeed, numRuns: 60, includeErrorInReport: true },
  );
});

test('walk() gives the same events with a thread that lists ahead', async (t) => {
  const thread = startAheadThread();
  t.after(() => thread.close());
  await fc.assert(
    fc.asyncProperty(tree, sources, excludes, async (makings, named, left) => {
      await inNewTree(t, (top) => {
        makeTree(top, makings);
        const plan = planSources(
          named.map((one) => join(top, one)),
          '/',
        );
        const alone = walkPlan(plan, { ...walkOptions(nodeSourceFs), excludes: left });

        const ahead = thread.begin(plan, left);
        const walked = walkPlan(plan, { ...walkOptions(nodeSourceFs), excludes: left, ahead });
        ahead.stop();

        assert.deepEqual(walked.lines, alone.lines);
        assert.equal(walked.excluded, alone.excluded);
        assert.deepEqual(metadataBelow(walked, plan), metadataBelow(alone, plan));
      });
    }),
    { seed: testSeed, numRuns: 60, includeErrorInReport: true },
  );
});

const change = fc.oneof(
  fc.record({ kind: fc.constant('remove' as const), path }),
  fc.record({ kind: fc.constant('move' as const), path, to: path }),
  fc.record({ kind: fc.constant('swap' as const), path, to: path }),
  fc.record({ kind: fc.constant('make' as const), makings: fc.array(making, { maxLength: 5 }) }),
);

type Change = typeof change extends fc.Arbitrary<infer T> ? T : never;

function changeTree(top: string, one: Change): void {
  if (one.kind === 'make') {
    makeTree(top, one.makings);
    return;
  }
  const at = join(top, one.path);
  const to = join(top, 'to' in one ? one.to : 'away');
  const away = join(top, 'away');
  tryTo(() => {
    if (one.kind === 'remove') rmSync(at, { recursive: true });
    else if (one.kind === 'move') renameSync(at, to);
    else {
      renameSync(at, away);
      renameSync(to, at);
      renameSync(away, to);
    }
  });
}

test('walk() tells only what was there or is there when the tree changes after it was listed', async (t) => {
  await fc.assert(
    fc.asyncProperty(
      tree,
      fc.array(change, { minLength: 1, maxLength: 8 }),
      async (makings, changes) => {
        await inNewTree(t, (top) => {
          makeTree(top, makings);
          const plan = planSources([top], '/');
          const before = walkPlan(plan, walkOptions(nodeSourceFs));
          const ahead = listAllAhead(plan);
          for (const one of changes) changeTree(top, one);
          const after = walkPlan(plan, walkOptions(nodeSourceFs));

          const walked = walkPlan(plan, { ...walkOptions(nodeSourceFs), ahead });

          const known = new Set([...describeAll(before), ...describeAll(after)]);
          for (const line of describeAll(walked)) assert.ok(known.has(line), line);
          assertBalanced(walked);
        });
      },
    ),
    { seed: testSeed, numRuns: 60, includeErrorInReport: true },
  );
});

/** Path, kind and what is told of every entry below `/`, but for the parents of the source. */
function describeAll({ events }: Walked): string[] {
  return events.flatMap((event) => {
    if (event.kind === 'error' || event.entry.name === '') return [];
    const { path: at, metadata, type } = event.entry;
    const told = `${type} ${metadata.inode} ${metadata.ctime.seconds} ${metadata.ctime.nanoseconds}`;
    const text = Buffer.from(at).toString('latin1');
    return text.includes('/top') ? [`${text} ${told} ${metadata.size} ${metadata.target}`] : [];
  });
}

function assertBalanced({ events }: Walked): void {
  const open: unknown[] = [];
  for (const event of events) {
    if (event.kind === 'enter') open.push(event.entry);
    if (event.kind === 'leave') assert.equal(open.pop(), event.entry);
  }
  assert.equal(open.length, 0);
}

/** Fails the test when the walk asks anything of the directories below the source. */
function withoutLooking(): SourceFs {
  const fail = (): never => assert.fail('a system call for what was listed');
  return { ...nodeSourceFs, lstatIn: fail, openDirectoryIn: fail, list: fail, readLinkIn: fail };
}

test('walk() makes no system call for what was listed ahead', (t) => {
  const top = tempDir(t);
  mkdirSync(join(top, 'a', 'b'), { recursive: true });
  writeFileSync(join(top, 'a', 'file'), '');
  symlinkSync('file', join(top, 'a', 'link'));
  const plan = planSources([top], '/');

  const walked = walkPlan(plan, { ...walkOptions(withoutLooking()), ahead: listAllAhead(plan) });

  assert.deepEqual(
    walked.lines.filter((line) => line.startsWith('error')),
    [],
  );
  assert.equal(lstatSync(join(top, 'a', 'file')).isFile(), true);
});

test('a directory that was listed and is another by now gives no path to its entries', (t) => {
  const top = tempDir(t);
  mkdirSync(join(top, 'a'));
  writeFileSync(join(top, 'a', 'gone'), '');
  const plan = planSources([top], '/');
  const ahead = listAllAhead(plan);
  // Only the thread that listed it had it open; the name leads to another one.
  renameSync(join(top, 'a'), join(top, 'b'));
  mkdirSync(join(top, 'a'));
  const asking = { take: (names: readonly string[]) => hideStats(ahead.take(names)) };

  const walked = walkPlan(plan, { ...walkOptions(nodeSourceFs), ahead: asking });

  const errors = walked.lines.filter((line) => line.startsWith('error'));
  assert.deepEqual(errors, [`error vanished ${join(top, 'a', 'gone')}`]);
});

/** A listing in which nothing is known of files, so that they are asked for. */
function hideStats(listing: ReturnType<ReturnType<typeof listAllAhead>['take']>) {
  if (listing === undefined) return undefined;
  return new Proxy(listing, {
    get: (target, key) => {
      const value = Reflect.get(target, key, target);
      if (key !== 'statOf') return typeof value === 'function' ? value.bind(target) : value;
      return (position: number) => {
        const stat = target.statOf(position);
        return stat?.type === 'd' ? stat : undefined;
      };
    },
  });
}

test('a thread that lists ahead serves one walk after the other, whether they end or not', async (t) => {
  const top = tempDir(t);
  for (let i = 0; i < 40; i++) {
    mkdirSync(join(top, `d${i}`));
    for (let j = 0; j < 20; j++) writeFileSync(join(top, `d${i}`, `f${j}`), '');
  }
  const plan = planSources([top], '/');
  const thread = startAheadThread();

  for (let i = 0; i < 3; i++) thread.begin(plan).stop();
  const ahead = thread.begin(plan);
  const walked = walkPlan(plan, { ...walkOptions(nodeSourceFs), ahead });
  ahead.stop();
  thread.begin(plan);
  await thread.close();

  assert.equal(walked.lines.filter((line) => line.startsWith('entry')).length, 800);
});
