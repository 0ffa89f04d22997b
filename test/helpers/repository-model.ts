/**
 * The model of a repository, and commands that do something to it and to the real one. The model is
 * small: for every snapshot that was acknowledged, the tree it must hold, also once it is forgotten.
 * After each command that may have written or read the repository:
 *
 * - every acknowledged snapshot that was not forgotten is listed, by whichever client, and restores to
 *   its tree; no forgotten one is, and each comes back as it was;
 * - an interrupted snapshot is absent or complete;
 * - `check` finds no damage, and notes packs without a segment only after an interruption, and only
 *   until the next snapshot has taken them over.
 *
 * After the loss of a pack (a command that only some properties have) older snapshots may be hurt;
 * what is taken from then on must be whole.
 */
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import fc from 'fast-check';
import type { Finding } from '../../src/index.ts';
import { onFailpoint } from '../../src/util/failpoint.ts';
import {
  applyEdit,
  describeDirectory,
  type Edit,
  editKinds,
  type TreeDescription,
  toggleFirstMount,
} from './editable-source.ts';
import { StorageStopped } from './fault-storage.ts';
import { clientCount, type ModelClient, type SnapshotCall, type World } from './model-world.ts';
import { inScope, type Scope } from './test-repository.ts';

export interface RepositoryModel {
  /** By id, oldest first. */
  readonly acknowledged: Map<string, TreeDescription>;
  readonly forgotten: Map<string, TreeDescription>;
  /** Listed, but hurt by the loss of a pack. */
  readonly given: Set<string>;
  /** Since the last snapshot that was acknowledged. */
  wasInterrupted: boolean;
  isHurt: boolean;
}

type Command = fc.AsyncCommand<RepositoryModel, World>;

function newModel(): RepositoryModel {
  const known = { acknowledged: new Map(), forgotten: new Map(), given: new Set<string>() };
  return { ...known, wasInterrupted: false, isHurt: false };
}

function command(
  text: string,
  run: (model: RepositoryModel, world: World) => Promise<void>,
  check: (model: RepositoryModel) => boolean = () => true,
): Command {
  return { check, run, toString: () => text };
}

/** One after the other, without anything in between. */
function inTurn(
  first: fc.Arbitrary<Command>,
  second: fc.Arbitrary<Command>,
): fc.Arbitrary<Command> {
  return fc.tuple(first, second).map(([a, b]) =>
    command(`${a}, then ${b}`, async (model, world) => {
      await a.run(model, world);
      await b.run(model, world);
    }),
  );
}

// Invariants

async function assertSound(model: RepositoryModel, world: World, via: number): Promise<void> {
  const client = clientOf(world, via);
  await assertListed(model, client);
  for (const id of model.acknowledged.keys()) await assertRestores(model, { world, client }, id);
  await assertChecks(model, client, false);
}

async function assertListed(model: RepositoryModel, client: ModelClient): Promise<void> {
  const expected = [...model.acknowledged.keys(), ...model.given].sort();
  assert.deepEqual((await client.list()).sort(), expected, 'listed snapshots');
}

async function assertRestores(
  model: RepositoryModel,
  by: { world: World; client: ModelClient },
  id: string,
): Promise<void> {
  const target = by.world.newTarget();
  await by.client.restore(id, target);
  const found = describeDirectory(target);
  rmSync(target, { recursive: true });
  assertSameTree(found, model.acknowledged.get(id) as TreeDescription, id);
}

function assertSameTree(found: TreeDescription, expected: TreeDescription, id: string): void {
  const lines = (tree: TreeDescription) => [...tree].map(([path, text]) => `${path}: ${text}`);
  assert.deepEqual(lines(found), lines(expected), `tree of snapshot ${id}`);
}

async function assertChecks(
  model: RepositoryModel,
  client: ModelClient,
  isReadingData: boolean,
): Promise<void> {
  if (model.isHurt) return;
  const { findings } = await client.check(isReadingData);
  const isExpected = ({ kind, severity }: Finding): boolean =>
    model.wasInterrupted && severity === 'note' && kind === 'pack-unindexed';
  const messages = findings.filter((finding) => !isExpected(finding)).map(({ message }) => message);
  assert.deepEqual(messages, []);
}

/** Snapshots that came without being acknowledged hold the tree as it is now. */
async function adoptComplete(
  model: RepositoryModel,
  world: World,
  client: ModelClient,
): Promise<void> {
  for (const id of await client.list()) {
    const isKnown = model.acknowledged.has(id) || model.given.has(id);
    if (!isKnown) model.acknowledged.set(id, world.source.describe());
  }
}

function clientOf(world: World, number: number): ModelClient {
  return world.clients[number] as ModelClient;
}

// Commands

const paths = ['a', 'b', 'c', 'a/a', 'a/b', 'b/a', 'b/c', 'a/b/a', 'a/b/c', 'b/c/a', 'b/c/d/e'];
/** Around the least and greatest size of a chunk, and of several chunks. */
const sizes = [0, 1, 700, 5000, 32_768, 70_000, 300_000];
const clientNumber = fc.nat({ max: clientCount - 1 });

const edit: fc.Arbitrary<Edit> = fc.record(
  {
    kind: fc.constantFrom(...editKinds),
    path: fc.constantFrom(...paths),
    other: fc.constantFrom(...paths),
    seed: fc.nat({ max: 7 }),
    size: fc.constantFrom(...sizes),
  },
  { noNullPrototype: true },
);

const editing = fc.array(edit, { minLength: 1, maxLength: 5 }).map((edits) =>
  command(`edit ${JSON.stringify(edits)}`, async (_model, { source }) => {
    for (const each of edits) applyEdit(source, each);
  }),
);

type How = 'as usual' | 'forced' | 'with a named parent';

const snapshotting = fc
  .tuple(
    clientNumber,
    fc.constantFrom<How>('as usual', 'as usual', 'forced', 'with a named parent'),
    fc.nat(),
  )
  .map(([number, how, nth]) =>
    command(`client ${number} snapshots ${how} ${nth}`, async (model, world) => {
      await takeSnapshot(
        model,
        { world, client: clientOf(world, number) },
        callFor(model, how, nth),
      );

      await assertSound(model, world, nth % clientCount);
    }),
  );

async function takeSnapshot(
  model: RepositoryModel,
  by: { world: World; client: ModelClient },
  call: SnapshotCall,
): Promise<void> {
  const result = await by.client.snapshot(call);
  assert.deepEqual([result.isForgotten, result.errorCount], [false, 0]);
  model.acknowledged.set(result.id, by.world.source.describe());
  model.wasInterrupted = false;
}

const mounting = clientNumber.map((number) =>
  command(`client ${number} snapshots while a file system comes and goes`, async (model, world) => {
    for (let i = 0; i < 2; i++) {
      toggleFirstMount(world.source);
      await takeSnapshot(model, { world, client: clientOf(world, number) }, {});
    }
    await assertSound(model, world, number);
  }),
);

function callFor({ acknowledged }: RepositoryModel, how: How, nth: number): SnapshotCall {
  const ids = [...acknowledged.keys()];
  if (how === 'forced') return { isForced: true };
  if (how === 'as usual' || ids.length === 0) return {};
  return { parent: ids[nth % ids.length] };
}

const dryRun = clientNumber.map((number) =>
  command(`client ${number} snapshots in a dry run`, async (model, world) => {
    const before = await world.objectNames();

    const result = await clientOf(world, number).snapshot({ isDryRun: true });

    assert.equal(result.id, '');
    assert.deepEqual(await world.objectNames(), before);
    await assertListed(model, clientOf(world, number));
  }),
);

const restoring = fc.tuple(clientNumber, fc.nat()).map(([number, nth]) =>
  command(
    `client ${number} restores snapshot ${nth}`,
    async (model, world) => {
      const id = nthOf(model.acknowledged, nth);
      await assertRestores(model, { world, client: clientOf(world, number) }, id);
    },
    ({ acknowledged }) => acknowledged.size > 0,
  ),
);

const forgetting = fc.tuple(clientNumber, fc.nat()).map(([number, nth]) =>
  command(
    `client ${number} forgets snapshot ${nth}`,
    async (model, world) => {
      const id = nthOf(model.acknowledged, nth);
      await clientOf(world, number).forget(id);
      model.forgotten.set(id, model.acknowledged.get(id) as TreeDescription);
      model.acknowledged.delete(id);

      await assertSound(model, world, nth % clientCount);
    },
    ({ acknowledged }) => acknowledged.size > 0,
  ),
);

const undeleting = fc.tuple(clientNumber, fc.nat()).map(([number, nth]) =>
  command(
    `client ${number} brings back snapshot ${nth}`,
    async (model, world) => {
      const old = nthOf(model.forgotten, nth);
      const id = await clientOf(world, number).undelete(old);
      model.acknowledged.set(id, model.forgotten.get(old) as TreeDescription);

      await assertSound(model, world, nth % clientCount);
    },
    ({ forgotten }) => forgotten.size > 0,
  ),
);

function nthOf(snapshots: ReadonlyMap<string, TreeDescription>, nth: number): string {
  return [...snapshots.keys()][nth % snapshots.size] as string;
}

const checking = fc
  .tuple(clientNumber, fc.boolean())
  .map(([number, isReadingData]) =>
    command(`client ${number} checks ${isReadingData ? 'all data' : 'trees'}`, (model, world) =>
      assertChecks(model, clientOf(world, number), isReadingData),
    ),
  );

const reopening = fc
  .tuple(
    clientNumber,
    fc.constantFrom('reopens', 'reopens without its cache', 'rebuilds its index'),
  )
  .map(([number, what]) =>
    command(`client ${number} ${what}`, async (model, world) => {
      const client = clientOf(world, number);
      if (what === 'rebuilds its index') await client.rebuildIndex();
      else await client.reopen(what !== 'reopens');
      await assertListed(model, client);
    }),
  );

type Interruption = 'abort at progress' | 'abort at failpoint' | 'throw at failpoint' | 'stop';

class Planted extends Error {}

/** What becomes of the snapshot is not known to whoever interrupted it. */
async function interrupt(
  client: ModelClient,
  { kind, at }: { kind: Interruption; at: number },
): Promise<void> {
  const controller = new AbortController();
  let count = 0;
  const isNow = (): boolean => count++ === at;
  const onProgress = () => {
    if (kind === 'abort at progress' && isNow()) controller.abort();
  };
  onFailpoint(() => {
    if (kind === 'abort at failpoint' && isNow()) controller.abort();
    if (kind === 'throw at failpoint' && isNow()) throw new Planted();
  });
  const stopAt = kind === 'stop' ? at : undefined;
  try {
    await client.snapshot({ signal: controller.signal, onProgress, stopAt });
  } catch (error) {
    const { name } = error as Error;
    const isPlanted = error instanceof Planted || error instanceof StorageStopped;
    assert.ok(isPlanted || name === 'AbortError', `not what interrupted it: ${error}`);
  } finally {
    onFailpoint(undefined);
  }
}

function interrupting(kinds: readonly Interruption[]): fc.Arbitrary<Command> {
  return fc
    .tuple(clientNumber, fc.constantFrom(...kinds), fc.nat({ max: 40 }))
    .map(([number, kind, at]) =>
      command(`client ${number} snapshots, interrupted: ${kind} ${at}`, async (model, world) => {
        const client = clientOf(world, number);
        model.wasInterrupted = true;

        await interrupt(client, { kind, at });

        if (kind === 'stop') await client.reopen(false);
        await adoptComplete(model, world, client);
        await assertSound(model, world, number);
      }),
    );
}

const losing = fc.nat().map((nth) =>
  command(`pack ${nth} is lost`, async (model, world) => {
    const packs = (await world.objectNames()).filter((name) => /^(data|meta)\//.test(name));
    if (packs.length === 0) return;
    await world.deleteObject(packs[nth % packs.length] as string);
    for (const id of model.acknowledged.keys()) model.given.add(id);
    model.acknowledged.clear();
    model.isHurt = true;
  }),
);

const usual = [
  ...[editing, editing, snapshotting, dryRun, restoring, checking, reopening],
  ...[forgetting, undeleting],
];

/** Of a world in memory. */
export const memoryCommands: readonly fc.Arbitrary<Command>[] = [
  ...usual,
  mounting,
  interrupting(['abort at progress', 'abort at failpoint', 'throw at failpoint', 'stop']),
];

export const diskCommands: readonly fc.Arbitrary<Command>[] = [
  ...usual,
  snapshotting,
  interrupting(['abort at progress', 'abort at failpoint', 'throw at failpoint']),
];

/** With packs that vanish: what hurts is a snapshot right after, whose parent shares the pack. */
export const lossyCommands: readonly fc.Arbitrary<Command>[] = [
  inTurn(editing, snapshotting),
  inTurn(editing, snapshotting),
  inTurn(losing, snapshotting),
  reopening,
];

/** Runs sequences of commands, each in a world of its own; what fails is made small. */
export async function assertModel(
  commands: readonly fc.Arbitrary<Command>[],
  options: {
    newWorld: (scope: Scope) => Promise<World>;
    seed: number;
    runCount: number;
    lengthMax: number;
  },
): Promise<void> {
  const { newWorld, seed, runCount, lengthMax } = options;
  const sequences = fc.commands([...commands], { maxCommands: lengthMax, size: 'max' });
  const law = fc.asyncProperty(sequences, (sequence) =>
    inScope(async (scope) => {
      const real = await newWorld(scope);
      await fc.asyncModelRun(() => ({ model: newModel(), real }), sequence);
    }),
  );
  await fc.assert(law, { seed, numRuns: runCount, endOnFailure: false });
}
