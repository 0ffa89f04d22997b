/**
 * Clients of a repository for tests that stop them, cut their power or fail their disk: seeded
 * randomness, a clock that only counts, a source in memory and a home (cache and writer state) that
 * survives or is lost as the test wants. And what must hold of a repository afterwards.
 */
import { createHash } from 'node:crypto';
import { mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { type SnapshotResult, takeSnapshot } from '../../src/backup/take-snapshot.ts';
import { BLOB_TYPE } from '../../src/blob/blob-type.ts';
import { listEntries } from '../../src/browse/list-entries.ts';
import { checkRepository } from '../../src/maintain/check.ts';
import { initRepository } from '../../src/repository/init-repository.ts';
import { openRepository } from '../../src/repository/open-repository.ts';
import { openReadAccess, type ReadAccess } from '../../src/repository/read-access.ts';
import type { Repository } from '../../src/repository/repository.ts';
import type { StateFs } from '../../src/repository/state-fs.ts';
import type { Snapshot } from '../../src/snapshot/selection.ts';
import { createMemoryStorage } from '../../src/storage/memory.ts';
import type { Storage } from '../../src/storage/storage.ts';
import type { DirectoryEntry } from '../../src/tree/node.ts';
import { encodeUtf8, toHex } from '../../src/util/bytes.ts';
import type { Clock } from '../../src/util/clock.ts';
import { memorySource, type SourceTree } from './memory-source.ts';
import { seededRandom } from './seeded-random.ts';
import { tempDir } from './temp-dir.ts';

export const SOURCE_ROOT = '/source';

/** A clock on which a microsecond passes whenever it is asked. */
export function countingClock(startNs = 1_700_000_000_000_000_000n): Clock {
  let count = 0n;
  const next = (): bigint => {
    count += 1000n;
    return count;
  };
  return { nowNs: () => startNs + next(), monotonicNs: next };
}

/** Files of the writer state in memory: `replace` is at once and durable, as it must be. */
export class MemoryStateFs implements StateFs {
  readonly files: Map<string, Uint8Array> = new Map();

  async makeDirectory(): Promise<void> {}

  async read(path: string): Promise<Uint8Array | undefined> {
    return this.files.get(path);
  }

  async replace(path: string, content: Uint8Array): Promise<void> {
    this.files.set(path, content.slice());
  }

  async createExclusive(path: string, content: Uint8Array): Promise<boolean> {
    if (this.files.has(path)) return false;
    this.files.set(path, content.slice());
    return true;
  }

  async remove(path: string): Promise<void> {
    this.files.delete(path);
  }

  /** The machine was started again: locks name processes of another boot. */
  reboot(): void {
    const lock = encodeUtf8(`1 ${'0'.repeat(32)}\n`);
    for (const path of this.files.keys()) if (path.endsWith('.lock')) this.files.set(path, lock);
  }
}

/** What a client keeps beside the repository. */
export interface Home {
  readonly cacheDirectory: string;
  readonly stateFs: MemoryStateFs;
}

export function newHome(directory: string): Home {
  return {
    cacheDirectory: mkdtempSync(join(directory, 'cache-')),
    stateFs: new MemoryStateFs(),
  };
}

export interface ClientOptions {
  readonly home: Home;
  /** Everything random of this client follows from it. */
  readonly salt: number;
  readonly clock?: Clock;
  readonly onNotice?: (text: string) => void;
}

export async function initStorage(storage: Storage, salt = 1): Promise<void> {
  const random = seededRandom(salt);
  await initRepository({ storage, credential: { kind: 'none' }, random, clock: countingClock() });
}

export async function openClient(storage: Storage, options: ClientOptions): Promise<Repository> {
  const { home, salt, clock = countingClock(), onNotice = () => {} } = options;
  return await openRepository({
    storage,
    askPassphrase: async () => undefined,
    cacheDirectory: home.cacheDirectory,
    stateDirectory: '/state',
    stateFs: home.stateFs,
    random: seededRandom(salt),
    clock,
    onNotice,
  });
}

/** Opens the repository, hands it to `use` and closes it, whatever happens. */
export async function withClient<T>(
  storage: Storage,
  options: ClientOptions,
  use: (repository: Repository) => Promise<T>,
): Promise<T> {
  const repository = await openClient(storage, options);
  try {
    return await use(repository);
  } finally {
    await repository.close();
  }
}

export async function snapshotTree(
  repository: Repository,
  tree: SourceTree,
  options: Partial<Parameters<typeof takeSnapshot>[1]> = {},
): Promise<SnapshotResult> {
  return await takeSnapshot(repository, {
    paths: [SOURCE_ROOT],
    workingDirectory: '/',
    host: encodeUtf8('host'),
    user: encodeUtf8('user'),
    timeZone: 'UTC',
    fs: memorySource(tree),
    ...options,
  });
}

/** A tree of small and larger files, the same for the same numbers; versions share most of them. */
export function sourceTree(version: number, size = 40_000): SourceTree {
  const file = (salt: number, length: number): Uint8Array => seededRandom(salt).bytes(length);
  return {
    [`${SOURCE_ROOT}/shared/a`]: file(100, size),
    [`${SOURCE_ROOT}/shared/b`]: file(101, size / 4),
    [`${SOURCE_ROOT}/shared/empty`]: new Uint8Array(0),
    [`${SOURCE_ROOT}/link`]: { target: 'shared/a' },
    [`${SOURCE_ROOT}/changing`]: file(200 + version, size / 2),
    [`${SOURCE_ROOT}/new-${version}`]: file(300 + version, 3000),
  };
}

/** One line per entry of the tree, as `describeSnapshot` gives them. */
export function describeTree(tree: SourceTree): string[] {
  const lines = Object.entries(tree).map(([path, entry]) =>
    entry instanceof Uint8Array ? `f ${path} ${sha256(entry)}` : `l ${path} ${entry.target}`,
  );
  return lines.sort();
}

/**
 * Everything in a snapshot but its directories, read back and verified.
 * @param names from `/` to the file or directory of which that is wanted.
 */
export async function describeSnapshot(
  access: ReadAccess,
  snapshot: Snapshot,
  names: readonly Uint8Array[] = [],
): Promise<string[]> {
  const lines: string[] = [];
  for await (const { path, entry } of listEntries(access, { snapshot, names, isRecursive: true })) {
    if (entry.type !== 'd') lines.push(await describeEntry(access, text(path), entry));
  }
  return lines.sort();
}

async function describeEntry(
  access: ReadAccess,
  path: string,
  entry: DirectoryEntry,
): Promise<string> {
  if (entry.type === 'refused') return `refused ${path}`;
  if (entry.type === 'l') return `l ${path} ${text(entry.target ?? new Uint8Array(0))}`;
  const hash = createHash('sha256');
  for await (const chunks of access.chunks(entry.content ?? { kind: 'empty' })) {
    for (const { id } of chunks) {
      if (id !== undefined) hash.update(await access.read(id, BLOB_TYPE.data));
    }
  }
  return `${entry.type} ${path} ${hash.digest('hex')}`;
}

/** Snapshots that were reported as done, with what they must hold; and what may be there besides. */
export class Ledger {
  /** Acknowledged snapshots by id. */
  readonly acknowledged: Map<string, SourceTree> = new Map();
  /** Every tree that any run may have committed. */
  readonly trees: SourceTree[] = [];
  isInitialised = false;

  copy(): Ledger {
    const copy = new Ledger();
    for (const [id, tree] of this.acknowledged) copy.acknowledged.set(id, tree);
    copy.trees.push(...this.trees);
    copy.isInitialised = this.isInitialised;
    return copy;
  }

  async init(storage: Storage): Promise<void> {
    await initStorage(storage);
    this.isInitialised = true;
  }

  async snapshot(repository: Repository, tree: SourceTree): Promise<SnapshotResult> {
    this.trees.push(tree);
    const result = await snapshotTree(repository, tree);
    this.acknowledged.set(result.id, tree);
    return result;
  }
}

/**
 * What is wrong with the repository: acknowledged snapshots that are missing or differ, others that
 * are listed and hold something else, and every finding of damage. One line for each.
 */
export async function findLosses(repository: Repository, ledger: Ledger): Promise<string[]> {
  const losses: string[] = [];
  const access = await openReadAccess(repository);
  const listed = new Set<string>(access.view.snapshots.map(({ id }) => id));
  for (const id of ledger.acknowledged.keys()) if (!listed.has(id)) losses.push(`lost ${id}`);
  const allowed = ledger.trees.map((tree) => describeTree(tree).join('\n'));
  for (const snapshot of access.view.snapshots) {
    const expected = ledger.acknowledged.get(snapshot.id);
    const found = await describeSnapshot(access, snapshot).then(
      (lines) => lines.join('\n'),
      (error: Error) => `unreadable: ${error.message}`,
    );
    const isRight =
      expected === undefined
        ? allowed.includes(found)
        : found === describeTree(expected).join('\n');
    if (!isRight) losses.push(`wrong ${snapshot.id}: ${found.slice(0, 200)}`);
    losses.push(...(await missingSegments(repository, snapshot)));
  }
  const { findings } = await checkRepository(repository, { isReadingData: true });
  for (const { kind, severity, message } of findings) {
    // No segment may name a pack that is not there, whether or not anybody needs it.
    const isLoss = severity === 'damage' || kind === 'pack-missing';
    if (isLoss) losses.push(`${kind}: ${message}`);
  }
  return losses;
}

/** Nothing compacts segments here, so those that a manifest names must be there. */
async function missingSegments(repository: Repository, snapshot: Snapshot): Promise<string[]> {
  const missing: string[] = [];
  for (const name of snapshot.manifest.segments) {
    const stat = await repository.storage.stat(`index/0-${name}`);
    if (stat === undefined) missing.push(`segment of ${snapshot.id} is missing: ${name}`);
  }
  return missing;
}

function sha256(bytes: Uint8Array): string {
  return toHex(createHash('sha256').update(bytes).digest());
}

function text(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('utf8');
}

/** A new repository in memory with one open client; both end with the test. */
export async function memoryRepository(t: TestContext): Promise<{
  storage: Storage;
  repository: Repository;
  home: Home;
  directory: string;
  /** For other clients, so that their snapshots are in the order they are taken in. */
  clock: Clock;
}> {
  const directory = tempDir(t);
  const storage = createMemoryStorage();
  await initStorage(storage);
  const home = newHome(directory);
  const clock = countingClock();
  const repository = await openClient(storage, { home, salt: 2, clock });
  t.after(() => repository.close());
  return { storage, repository, home, directory, clock };
}

/** All names in a storage, sorted. */
export async function namesIn(storage: Storage, prefix = ''): Promise<string[]> {
  const names: string[] = [];
  for await (const { name } of storage.list(prefix)) names.push(name);
  return names.sort();
}
