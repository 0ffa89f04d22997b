/**
 * The operations that are killed, failed and cut off from power, in one table. A new operation is one
 * more entry: how to bring a place to where its command starts, the command, and, where it does more
 * than add, what it may delete and what else must hold afterwards. Everything else that must hold is
 * the same for all (`fault-oracle.ts`).
 */
import { readdirSync } from 'node:fs';
import { openLocalStorage } from '../../src/storage/local.ts';
import type { CommandEnded, FaultPlace } from './fault-place.ts';
import { describeDirectory, writeSource } from './fault-place.ts';
import { seededRandom } from './seeded-random.ts';

export interface FaultOperation {
  readonly name: string;
  /** Brings an empty place to where the command starts. */
  prepare(place: FaultPlace): Promise<void>;
  /** Arguments of the command, in a place that was prepared. */
  command(place: FaultPlace): string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Durable objects that the command may delete, beside its own `sessions/`. */
  readonly mayDelete?: RegExp;
  /** Before the command is run: what it may change without an acknowledgement. */
  begin?(place: FaultPlace): void;
  /** The command has ended with 0: what is promised from now on. */
  done?(place: FaultPlace): void;
  /** What else is wrong after a fault, one line each; the general oracle has found nothing. */
  findMore?(place: FaultPlace, ended: CommandEnded): Promise<string[]>;
}

async function withSnapshots(place: FaultPlace, count: number): Promise<void> {
  await place.init();
  for (let version = 1; version <= count; version++) {
    writeSource(place.source, version);
    await place.ok(...place.snapshotArgs);
  }
}

const newPassphrase = 'a new passphrase';

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
      await killAtFailpoint(place, 'session.4.before');
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
    mayDelete: /^keys\//,
  },
  {
    name: 'key passwd',
    prepare: (place) => withSnapshots(place, 1),
    command: () => ['key', 'passwd'],
    env: { VARVE_NEW_PASSWORD: newPassphrase },
    mayDelete: /^keys\//,
    begin: ({ ledger }) => {
      ledger.passphrases = [undefined, newPassphrase];
    },
    done: ({ ledger }) => {
      ledger.passphrases = [newPassphrase];
    },
  },
  {
    name: 'rebuild-index',
    prepare: (place) => withSnapshots(place, 2),
    command: () => ['rebuild-index'],
  },
  {
    name: 'restore',
    prepare: (place) => withSnapshots(place, 2),
    command: restoreCommand,
    findMore: async (place, ended) => {
      const expected = describeDirectory(place.source).split('\n');
      const found = lastEntries(describeRestored(place));
      const isDone = ended.code === 0;
      if (isDone) return found.join('\n') === expected.join('\n') ? [] : ['restored otherwise'];
      return wrongEntries(found, expected);
    },
  },
];

/**
 * Operations one after the other on one repository, the same for the same seed: `prepare` of each
 * brings the place from where the one before it ended to where it starts.
 */
export function historyOf(seed: number, count: number): FaultOperation[] {
  const random = seededRandom(1000 + seed);
  const steps: FaultOperation[] = [];
  for (let version = 1; version <= count; version++) {
    const kind = random.below(8);
    if (version === 1 || kind > 3) steps.push(snapshotStep(version, 2000 << random.below(8)));
    else if (kind > 1) steps.push(tableEntry('key add'));
    else steps.push(tableEntry(kind === 1 ? 'rebuild-index' : 'unchanged snapshot'));
  }
  return steps;
}

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

async function killAtFailpoint(place: FaultPlace, point: string): Promise<void> {
  const ended = await place.run(place.snapshotArgs, { preload: { VARVE_TEST_FAILPOINT: point } });
  if (ended.signal !== 'SIGKILL') throw new Error(`not killed at ${point}: ${ended.stderr}`);
}

async function countPacks(place: FaultPlace): Promise<number> {
  const storage = await openLocalStorage(place.repository);
  let count = 0;
  for (const prefix of ['data/', 'meta/']) for await (const _ of storage.list(prefix)) count += 1;
  return count;
}
