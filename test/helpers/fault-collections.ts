/** Operations that forget and collect, and those that meet a collection (`fault-operations.ts`). */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { forget } from '../../src/maintain/forget.ts';
import { pruneRepository } from '../../src/maintain/prune/prune.ts';
import {
  age,
  confirmForgotten,
  deletableNow,
  expectForgotten,
  forgetNow,
  renew,
  saveSource,
  saveVersions,
  withRepository,
} from './fault-clients.ts';
import type { FaultOperation } from './fault-operation.ts';
import { type FaultPlace, writeSource } from './fault-place.ts';
import { edited, textOf } from './similar-versions.ts';

const DAY = 86_400_000;
const HOUR = DAY / 24;
const PRUNE = ['prune', '--grace', '0', '--yes'];
/** Of a source of which enough stays alive in a pack that it is not given up at once. */
const REPACKED_SIZE = 400_000;
/** A level of the index has so many segments at most before they are compacted. */
const LEVEL_COUNT_MAX = 32;
/** So many old records of one kind are left alone. */
const RECORD_COUNT_MAX = 64;

/** Ids of acknowledged snapshots, oldest first. */
function savedIn({ ledger }: FaultPlace): string[] {
  return [...ledger.kept.keys()];
}

/** The oldest acknowledged snapshot that is not known to be forgotten. */
export function oldest(place: FaultPlace): string {
  return savedIn(place).find((id) => !place.ledger.gone.has(id)) ?? '';
}

/** `count` snapshots of which all but the newest are forgotten. */
async function withForgotten(place: FaultPlace, count: number, size?: number): Promise<void> {
  const ids = await saveVersions(place, count, size);
  await forgetNow(place, ids.slice(0, -1));
}

/** Environment of another client, of which only its dead sessions are left. */
function otherClient(place: FaultPlace): Record<string, string> {
  return {
    VARVE_CACHE_DIR: join(place.client, 'other', 'cache'),
    XDG_STATE_HOME: join(place.client, 'other', 'state'),
  };
}

/** A session of another client that has stored packs and no segment. */
async function withKilledSession(place: FaultPlace): Promise<void> {
  writeSource(place.source, 99);
  await place.killAt('session.4.before', place.snapshotArgs, otherClient(place));
}

/** Files that are kept as deltas, each version on the one before. */
function writeSimilar(directory: string, version: number): void {
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory);
  let content = textOf(1, 50_000);
  for (let edit = 1; edit <= version; edit++) content = edited(content, 40 + edit);
  writeFileSync(join(directory, 'changing'), content);
  writeFileSync(join(directory, `own-${version}`), textOf(300 + version, 9000));
}

/** Saves, forgets and sweeps so often that old records of it are merged by the next collection. */
async function withManyRecords(place: FaultPlace): Promise<void> {
  await place.init();
  writeSource(place.source, 1, 4000);
  await withRepository(place, async (repository) => {
    for (let count = 0; count <= RECORD_COUNT_MAX; count++) {
      writeSource(place.source, 2 + count, 2000);
      const id = await saveSource(place, repository);
      await forget(repository, { choice: { selectors: [id] }, mayEmpty: true });
      expectForgotten(place, [id]);
      confirmForgotten(place, [id]);
      if (count % 2 === 0) await pruneRepository(repository, { graceMs: 0 });
    }
    writeSource(place.source, 1, 4000);
    await saveSource(place, repository);
  });
  age(place, 31 * DAY, 'gc');
  age(place, 31 * DAY, 'tombs');
  age(place, 31 * DAY, 'snapshots');
}

async function withManySegments(place: FaultPlace): Promise<void> {
  await saveVersions(place, LEVEL_COUNT_MAX + 2, 1000);
}

function pruning(
  name: string,
  prepare: FaultOperation['prepare'],
  more: Partial<FaultOperation> = {},
): FaultOperation {
  return {
    name,
    prepare,
    command: () => PRUNE,
    deletes: (repository) => deletableNow(repository, 0),
    revive: (place) => writeSource(place.source, 1),
    ...more,
  };
}

function confirmAll(place: FaultPlace): void {
  confirmForgotten(place, place.ledger.forgotten);
}

/** Forgets all but the newest. */
const forgetting: Pick<FaultOperation, 'begin' | 'done'> = {
  begin: (place) => expectForgotten(place, savedIn(place).slice(0, -1)),
  done: confirmAll,
};

export const COLLECTIONS: readonly FaultOperation[] = [
  {
    name: 'forget',
    prepare: async (place) => {
      await saveVersions(place, 3);
    },
    command: (place) => ['forget', oldest(place), '--yes'],
    begin: (place) => expectForgotten(place, [oldest(place)]),
    done: confirmAll,
  },
  {
    name: 'forget by a policy',
    prepare: async (place) => {
      await saveVersions(place, 4);
    },
    command: () => ['forget', '--keep-last', '1', '--yes'],
    ...forgetting,
  },
  {
    name: 'forget --prune',
    prepare: async (place) => {
      const [first = ''] = await saveVersions(place, 3);
      await forgetNow(place, [first]);
      age(place, 2 * DAY, 'tombs');
    },
    command: () => ['forget', '--keep-last', '1', '--prune', '--yes'],
    deletes: (repository) => deletableNow(repository, undefined),
    ...forgetting,
  },
  {
    name: 'undelete',
    prepare: (place) => withForgotten(place, 3),
    command: (place) => ['undelete', savedIn(place)[0] ?? ''],
  },
  {
    name: 'undelete of what is about to be deleted',
    prepare: async (place) => {
      await withForgotten(place, 3);
      await place.killAt('prune.4.after', PRUNE);
    },
    command: (place) => ['undelete', savedIn(place)[0] ?? ''],
  },
  {
    name: 'snapshot of what is about to be deleted',
    prepare: async (place) => {
      await withForgotten(place, 3);
      await place.killAt('prune.4.after', PRUNE);
      writeSource(place.source, 1);
    },
    command: (place) => place.snapshotArgs,
  },
  {
    name: 'snapshot of what a sweep names',
    prepare: async (place) => {
      await withForgotten(place, 3);
      await place.killAt('prune.8.before', PRUNE);
      writeSource(place.source, 1);
    },
    command: (place) => place.snapshotArgs,
  },
  {
    name: 'undelete of what a sweep names',
    prepare: async (place) => {
      await withForgotten(place, 3);
      await place.killAt('prune.8.before', PRUNE);
    },
    command: (place) => ['undelete', savedIn(place)[0] ?? ''],
  },
  pruning('prune', (place) => withForgotten(place, 4)),
  pruning('prune of many packs', (place) => withForgotten(place, 13)),
  pruning(
    'prune within the grace',
    async (place) => {
      const ids = await saveVersions(place, 5);
      await forgetNow(place, ids.slice(0, 2));
      age(place, 2 * DAY, 'tombs');
      await forgetNow(place, ids.slice(2, 4));
    },
    {
      command: () => ['prune', '--yes'],
      deletes: (repository) => deletableNow(repository, undefined),
    },
  ),
  pruning('prune by a client without cache and state', async (place) => {
    await withForgotten(place, 4);
    place.removeClient();
  }),
  pruning(
    'prune that marks and waits',
    async (place) => {
      await withForgotten(place, 4);
      await withKilledSession(place);
    },
    {
      command: () => [...PRUNE, '--max-duration', '0'],
      code: 11,
      // It lives.
      begin: (place) => renew(place, 'sessions'),
    },
  ),
  pruning('prune that goes on with a mark', async (place) => {
    await withForgotten(place, 4);
    await place.killAt('prune.4.after', PRUNE);
  }),
  pruning('prune that goes on with the mark of another client', async (place) => {
    await withForgotten(place, 4);
    await place.killAt('prune.4.after', PRUNE, otherClient(place));
    writeSource(place.source, 1);
    // What it condemns is needed again, and what needs it has stored it again.
    await place.ok(...place.snapshotArgs);
  }),
  pruning('prune that goes on with a sweep', async (place) => {
    await withForgotten(place, 4);
    await place.killAt('prune.8.deleted', PRUNE);
  }),
  pruning('prune that repacks', (place) => withForgotten(place, 2, REPACKED_SIZE), {
    revive: (place) => writeSource(place.source, 1, REPACKED_SIZE),
  }),
  pruning(
    'prune that repacks again',
    async (place) => {
      await withForgotten(place, 2, REPACKED_SIZE);
      await place.killAt('prune.3.after', PRUNE);
    },
    { revive: (place) => writeSource(place.source, 1, REPACKED_SIZE) },
  ),
  pruning('prune that merges small packs', async (place) => {
    await saveVersions(place, 18, 4000);
  }),
  pruning('prune of bases', async (place) => {
    await place.init();
    const ids = await withRepository(place, async (repository) => {
      const saved: string[] = [];
      for (let version = 1; version <= 5; version++) {
        writeSimilar(place.source, version);
        saved.push(await saveSource(place, repository, { similarity: 'on' }));
      }
      return saved;
    });
    await forgetNow(place, [ids[0] ?? '', ids[1] ?? '', ids[3] ?? '']);
  }),
  pruning('prune that ends a dead session', async (place) => {
    await withForgotten(place, 4);
    await withKilledSession(place);
    age(place, 2 * DAY, 'sessions');
  }),
  pruning('prune of the packs of a dead session', async (place) => {
    await withForgotten(place, 3);
    await withKilledSession(place);
    age(place, 2 * DAY);
    await place.ok(...PRUNE);
  }),
  pruning('prune that compacts segments', withManySegments, { isLong: true }),
  pruning(
    'prune that deletes compacted segments',
    async (place) => {
      await withManySegments(place);
      await place.ok(...PRUNE);
      age(place, 2 * HOUR);
    },
    { isLong: true },
  ),
  pruning('prune that merges records', withManyRecords, { isLong: true }),
  pruning(
    'prune that deletes merged records',
    async (place) => {
      await withManyRecords(place);
      await place.ok(...PRUNE);
      age(place, 2 * HOUR);
    },
    { isLong: true },
  ),
];
