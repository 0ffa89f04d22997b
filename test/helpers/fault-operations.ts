/**
 * The operations that are killed, failed and cut off from power, in one table. A new operation is one
 * more entry: how to bring a place to where its command starts, the command, and, where it does more
 * than add, what it may delete and what else must hold afterwards. Everything else that must hold is
 * the same for all (`fault-oracle.ts`).
 */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, rmSync, statSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Repository } from '../../src/repository/repository.ts';
import { openLocalStorage } from '../../src/storage/local.ts';
import { COLLECTIONS, oldest } from './fault-collections.ts';
import type { FaultOperation } from './fault-operation.ts';
import type { CommandEnded, FaultPlace } from './fault-place.ts';
import { describeDirectory, writeSource } from './fault-place.ts';
import { REPAIRS } from './fault-repairs.ts';
import { seededRandom } from './seeded-random.ts';

async function withSnapshots(place: FaultPlace, count: number): Promise<void> {
  await place.init();
  for (let version = 1; version <= count; version++) {
    writeSource(place.source, version);
    await place.ok(...place.snapshotArgs);
  }
}

const newPassphrase = 'a new passphrase';

async function keySlots({ storage }: Repository): Promise<Set<string>> {
  const names = new Set<string>();
  for await (const { name } of storage.list('keys/')) names.add(name);
  return names;
}

/** Ids of the key slots, oldest first is not known: there are two, and one was there before. */
function slotsOf(place: FaultPlace): string[] {
  return readdirSync(`${place.repository}/keys`).sort();
}

export const FAULT_OPERATIONS: readonly FaultOperation[] = [
  {
    name: 'init',
    prepare: async (place) => writeSource(place.source, 1),
    command: () => ['init', '--insecure-no-password'],
    done: ({ ledger }) => {
      ledger.isInitialised = true;
    },
  },
  {
    name: 'first snapshot',
    prepare: async (place) => {
      await place.init();
      writeSource(place.source, 1);
    },
    command: (place) => place.snapshotArgs,
  },
  {
    name: 'snapshot of a data and a metadata pack',
    prepare: async (place) => {
      await place.init();
      writeSource(place.source, 1, 2_600_000);
    },
    command: (place) => place.snapshotArgs,
  },
  {
    name: 'incremental snapshot',
    prepare: async (place) => {
      await withSnapshots(place, 2);
      writeSource(place.source, 3);
    },
    command: (place) => place.snapshotArgs,
  },
  {
    name: 'unchanged snapshot',
    prepare: (place) => withSnapshots(place, 1),
    command: (place) => place.snapshotArgs,
  },
  {
    name: 'snapshot by a client without cache and state',
    prepare: async (place) => {
      await withSnapshots(place, 2);
      place.removeClient();
    },
    command: (place) => place.snapshotArgs,
  },
  {
    name: 'snapshot that adopts the pack of a killed one',
    prepare: async (place) => {
      await withSnapshots(place, 1);
      writeSource(place.source, 2);
      await place.killAt('session.4.before', place.snapshotArgs);
      const packCount = await countPacks(place);
      if (packCount !== 2) throw new Error(`nothing to adopt: ${packCount} packs`);
    },
    command: (place) => place.snapshotArgs,
  },
  {
    name: 'key add',
    prepare: (place) => withSnapshots(place, 1),
    command: () => ['key', 'add', '--insecure-no-password'],
  },
  {
    name: 'key remove',
    prepare: async (place) => {
      await withSnapshots(place, 1);
      await place.ok('key', 'add', '--insecure-no-password');
    },
    command: (place) => ['key', 'remove', slotsOf(place)[0] ?? '', '--yes'],
    deletes: keySlots,
  },
  {
    name: 'key passwd',
    prepare: (place) => withSnapshots(place, 1),
    command: () => ['key', 'passwd'],
    env: { VARVE_NEW_PASSWORD: newPassphrase },
    deletes: keySlots,
    begin: ({ ledger }) => {
      ledger.passphrases = [undefined, newPassphrase];
    },
    done: ({ ledger }) => {
      ledger.passphrases = [newPassphrase];
    },
  },
  {
    name: 'init --with-recover',
    prepare: async (place) => writeSource(place.source, 1),
    command: () => ['init', '--insecure-no-password', '--with-recover'],
    done: ({ ledger }) => {
      ledger.isInitialised = true;
    },
    findMore: async (place) => wrongRecover(place),
  },
  {
    name: 'rebuild-index',
    prepare: (place) => withSnapshots(place, 2),
    command: () => ['rebuild-index'],
  },
  {
    name: 'rebuild-index of a damaged cache',
    prepare: async (place) => {
      await withSnapshots(place, 2);
      const [name = ''] = readdirSync(place.cache);
      truncateSync(join(place.cache, name, 'data.mdb'), 20_000);
      // A place takes the mark for true when it is put back.
      rmSync(join(place.cache, name, 'clean'));
    },
    command: () => ['rebuild-index'],
  },
  {
    name: 'check --read-data',
    prepare: (place) => withSnapshots(place, 2),
    command: () => ['check', '--read-data'],
  },
  {
    name: 'restore',
    prepare: (place) => withSnapshots(place, 2),
    command: restoreCommand,
    findMore: findWrongTarget,
  },
  {
    name: 'restore after one that was killed',
    prepare: async (place) => {
      await withSnapshots(place, 2);
      await place.run(restoreCommand(place), { preload: { VARVE_TEST_SEAM: 'kill:40' } });
      rmSync(place.target, { recursive: true });
    },
    command: restoreCommand,
    findMore: findWrongTarget,
  },
  {
    name: 'restore by a client without cache and state',
    prepare: async (place) => {
      await withSnapshots(place, 2);
      place.removeClient();
    },
    command: restoreCommand,
    findMore: findWrongTarget,
  },
  ...COLLECTIONS,
  ...REPAIRS,
];

async function findWrongTarget(place: FaultPlace, ended: CommandEnded): Promise<string[]> {
  const expected = describeDirectory(place.source).split('\n');
  const found = lastEntries(describeRestored(place));
  const isDone = ended.code === 0;
  if (isDone) return found.join('\n') === expected.join('\n') ? [] : ['restored otherwise'];
  return wrongEntries(found, expected);
}

/**
 * Operations one after the other on one repository, the same for the same seed: `prepare` of each
 * brings the place from where the one before it ended to where it starts.
 */
export function historyOf(seed: number, count: number): FaultOperation[] {
  const random = seededRandom(1000 + seed);
  const steps: FaultOperation[] = [];
  let liveCount = 0;
  while (steps.length < count) {
    const kind = HISTORY_STEPS[random.below(HISTORY_STEPS.length)] ?? '';
    const size = 2000 << random.below(8);
    if (liveCount < 2 || kind === 'snapshot') {
      steps.push(snapshotStep(steps.length + 1, size));
      liveCount += 1;
    } else if (kind === 'forget') {
      steps.push(forgetStep());
      liveCount -= 1;
    } else if (kind === 'forget, undelete') steps.push(forgetStep(), undeleteStep());
    else steps.push(kind === 'repair' ? repairStep() : tableEntry(kind));
  }
  return steps.slice(0, count);
}

/** What a history is made of, the more often the more likely. */
const HISTORY_STEPS = [
  ...Array.from({ length: 6 }, () => 'snapshot'),
  ...['forget', 'forget', 'forget, undelete', 'prune', 'prune', 'prune', 'repair'],
  ...['key add', 'rebuild-index', 'unchanged snapshot'],
];

/** An operation of the table, wherever its place is by now. */
function tableEntry(name: string): FaultOperation {
  const operation = FAULT_OPERATIONS.find((known) => known.name === name) as FaultOperation;
  return { ...operation, prepare: async () => {} };
}

function snapshotStep(version: number, size: number): FaultOperation {
  return {
    name: `snapshot ${version}`,
    prepare: async (place) => writeSource(place.source, version, size),
    command: (place) => place.snapshotArgs,
  };
}

/** Forgets the oldest snapshot. */
function forgetStep(): FaultOperation {
  return { ...tableEntry('forget'), command: (place) => ['forget', oldest(place), '--yes'] };
}

/** Brings back what was forgotten last. */
function undeleteStep(): FaultOperation {
  const last = ({ ledger }: FaultPlace): string => [...ledger.gone].at(-1) ?? '';
  return {
    name: 'undelete',
    prepare: async () => {},
    command: (place) => ['undelete', last(place)],
  };
}

/** The newest segment of the index is lost. */
function repairStep(): FaultOperation {
  return {
    ...tableEntry('repair index, segment lost'),
    prepare: async (place) => {
      const directory = join(place.repository, 'index');
      const timeOf = (name: string): number => statSync(join(directory, name)).mtimeMs;
      const names = readdirSync(directory).sort((a, b) => timeOf(b) - timeOf(a));
      rmSync(join(directory, names[0] ?? ''));
    },
  };
}

function restoreCommand(place: FaultPlace): string[] {
  return ['restore', `latest:${place.source}`, '--target', place.target];
}

function describeRestored(place: FaultPlace): string[] {
  try {
    return describeDirectory(place.target).split('\n');
  } catch {
    return []; // It did not come to making the target.
  }
}

function lastEntries(lines: readonly string[]): string[] {
  return lines.filter((line) => line !== '');
}

/** Of a restore that did not end well: no file has its final name and another content. */
function wrongEntries(found: readonly string[], expected: readonly string[]): string[] {
  const contents = (lines: readonly string[]): Map<string, string> =>
    new Map(lines.map((line) => [line.split(' ', 1)[0] ?? '', line.split(' ').at(-1) ?? '']));
  const right = contents(expected);
  const wrong: string[] = [];
  for (const [name, content] of contents(found)) {
    if (right.has(name) && right.get(name) !== content) wrong.push(`restored wrong: ${name}`);
  }
  return wrong;
}

async function countPacks(place: FaultPlace): Promise<number> {
  const storage = await openLocalStorage(place.repository);
  let count = 0;
  for (const prefix of ['data/', 'meta/']) for await (const _ of storage.list(prefix)) count += 1;
  return count;
}

/** What stands under the names of `init --with-recover` is whole. */
function wrongRecover({ repository }: FaultPlace): string[] {
  const [program, readme] = ['recover.mjs', 'README.txt'].map((name) => join(repository, name));
  const faults: string[] = [];
  const shipped = readFileSync(fileURLToPath(import.meta.resolve('varve/recover.mjs')));
  if (existsSync(program ?? '') && !readFileSync(program ?? '').equals(shipped)) {
    faults.push('half a recover.mjs');
  }
  const hash = createHash('sha256').update(shipped).digest('hex');
  const isWhole = (text: string): boolean => text.includes(hash) && text.endsWith('\n');
  if (existsSync(readme ?? '') && !isWhole(readFileSync(readme ?? '', 'utf8'))) {
    faults.push('half a README.txt');
  }
  return faults;
}
