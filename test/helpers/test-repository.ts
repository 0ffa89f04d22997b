/**
 * Repositories for tests of whole operations: in memory unless a storage is given, without a
 * passphrase, each client with a cache and a state of its own. Storage in memory has no `replace`;
 * damage is done by taking an object away and putting another one in its place.
 */
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type SnapshotResult, takeSnapshot } from '../../src/backup/take-snapshot.ts';
import { listEntries } from '../../src/browse/list-entries.ts';
import type { SourceError, VarveError } from '../../src/errors.ts';
import { type CheckResult, checkRepository } from '../../src/maintain/check.ts';
import { initRepository } from '../../src/repository/init-repository.ts';
import { openRepository } from '../../src/repository/open-repository.ts';
import { openReadAccess } from '../../src/repository/read-access.ts';
import type { Repository } from '../../src/repository/repository.ts';
import { loadView } from '../../src/repository/view.ts';
import {
  type RestoreOptions,
  type RestoreResult,
  restoreSnapshot,
} from '../../src/restore/restore-snapshot.ts';
import type { Snapshot } from '../../src/snapshot/selection.ts';
import { createStorage } from '../../src/storage/location.ts';
import { createMemoryStorage } from '../../src/storage/memory.ts';
import type { Storage } from '../../src/storage/storage.ts';
import type { Clock } from '../../src/util/clock.ts';
import { nodeSourceFs, type SourceFs } from '../../src/walk/source-fs.ts';
import { flipBit } from './fault-storage.ts';
import { b } from './raw-path.ts';

/** What owns temporary things: a test, or one case of a property (`inScope`). */
export interface Scope {
  after(clean: () => void | Promise<void>): void;
}

/** Runs one case of a property; what it made is gone when it ends. */
export async function inScope(action: (scope: Scope) => Promise<void>): Promise<void> {
  const cleaners: (() => void | Promise<void>)[] = [];
  try {
    await action({ after: (clean) => cleaners.push(clean) });
  } finally {
    for (const clean of cleaners) await clean();
  }
}

export interface Client {
  readonly repository: Repository;
  readonly cacheDirectory: string;
  readonly stateDirectory: string;
  readonly notices: string[];
}

export async function newStorage(): Promise<Storage> {
  const storage = createMemoryStorage();
  await initRepository({ storage, credential: { kind: 'none' } });
  return storage;
}

export interface ClientOptions {
  /** Of a client that was there before; default: a new one. */
  readonly home?: string;
  readonly clock?: Clock;
  /** Threads; the storage must be one that they can open by its location. Default: none. */
  readonly jobs?: number;
}

/** Opens a repository as a client; closed when the scope ends, if not before. */
export async function openClient(
  scope: Scope,
  storage: Storage,
  options: ClientOptions = {},
): Promise<Client> {
  let repository: Repository | undefined;
  scope.after(() => repository?.close()); // Before the directory of its cache goes.
  const home = options.home ?? memoryDir(scope);
  const [cacheDirectory, stateDirectory] = [join(home, 'cache'), join(home, 'state')];
  mkdirSync(cacheDirectory, { recursive: true });
  const notices: string[] = [];
  repository = await openRepository({
    storage,
    cacheDirectory,
    stateDirectory,
    askPassphrase: async () => undefined,
    onNotice: (text) => notices.push(text),
    ...(options.clock !== undefined && { clock: options.clock }),
    ...(options.jobs !== undefined && { jobs: options.jobs }),
  });
  return { repository, cacheDirectory, stateDirectory, notices };
}

/** A new repository in a directory, so that threads can open it. */
export async function newDirectoryStorage(scope: Scope): Promise<Storage> {
  const storage = await createStorage(join(memoryDir(scope), 'repository'));
  await initRepository({ storage, credential: { kind: 'none' } });
  return storage;
}

/** A client of a new repository in memory. */
export async function newClient(scope: Scope): Promise<Client> {
  return await openClient(scope, await newStorage());
}

/** A directory in memory where there is one: opening a cache costs several fsyncs on a disk. */
export function memoryDir(scope: Scope): string {
  const parent = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();
  const path = mkdtempSync(join(parent, 'varve-test-'));
  scope.after(() => rmSync(path, { recursive: true }));
  return path;
}

const longAgo = { seconds: 0n, nanoseconds: 0 };

/**
 * The file system, but for the times of the directories above the sources: those of temporary
 * directories change whenever another test makes one.
 */
export const sourceFs: SourceFs = {
  ...nodeSourceFs,
  stat: (path) => ({ ...nodeSourceFs.stat(path), mtime: longAgo, ctime: longAgo }),
};

export interface Taken extends SnapshotResult {
  readonly snapshot: Snapshot;
  readonly errors: SourceError[];
}

export async function snapshot(
  { repository }: Client,
  paths: readonly (string | Uint8Array)[],
  options: Partial<Parameters<typeof takeSnapshot>[1]> = {},
): Promise<Taken> {
  const errors: SourceError[] = [];
  const result = await takeSnapshot(repository, {
    paths,
    workingDirectory: '/',
    host: b('host'),
    user: b('user'),
    timeZone: 'UTC',
    onError: (error) => errors.push(error),
    fs: sourceFs,
    ...options,
  });
  const { snapshots } = await loadView(repository, 'read');
  const taken = snapshots.find(({ id }) => id === result.id);
  if (taken === undefined) throw new Error(`snapshot ${result.id} is not live`);
  return { ...result, snapshot: taken, errors };
}

export interface Restored extends RestoreResult {
  readonly problems: { readonly error: VarveError; readonly path: Uint8Array }[];
}

/** `path` is absolute in the snapshot. */
export type RestoreFrom = { snapshot: Snapshot; path?: string | Uint8Array } & Partial<
  Omit<RestoreOptions, 'names' | 'target' | 'onError'>
>;

export async function restore(
  { repository }: Client,
  from: RestoreFrom,
  target: string,
): Promise<Restored> {
  const problems: Restored['problems'] = [];
  const { path = '/', ...options } = from;
  const result = await restoreSnapshot(repository, {
    ...options,
    names: namesOf(path),
    target: b(target),
    onError: (error, path) => problems.push({ error, path }),
  });
  return { ...result, problems };
}

/** Paths as latin1 text, in the order they come. */
export async function list(
  { repository }: Client,
  from: { snapshot: Snapshot; path?: string | Uint8Array; isRecursive?: boolean },
): Promise<string[]> {
  const access = await openReadAccess(repository);
  const names = namesOf(from.path ?? '/');
  const { snapshot: chosen, isRecursive = true } = from;
  const paths: string[] = [];
  for await (const { path } of listEntries(access, { snapshot: chosen, names, isRecursive })) {
    paths.push(Buffer.from(path).toString('latin1'));
  }
  return paths;
}

export async function check({ repository }: Client, isReadingData = false): Promise<CheckResult> {
  return await checkRepository(repository, { isReadingData });
}

/** Names and sizes of all objects, or of those below a prefix. */
export async function objects(storage: Storage, prefix = ''): Promise<Map<string, number>> {
  const found = new Map<string, number>();
  for await (const { name, size } of storage.list(prefix)) found.set(name, size);
  return found;
}

export async function objectNames(storage: Storage, prefix = ''): Promise<string[]> {
  return [...(await objects(storage, prefix)).keys()].sort();
}

/** What a fault of the medium does. */
export async function replaceObject(
  storage: Storage,
  name: string,
  bytes: Uint8Array,
): Promise<void> {
  await storage.delete(name);
  await storage.putIfAbsent(name, bytes);
}

/** Changes one bit of the byte at `offset`, from the end when negative; by default in the middle. */
export async function flipStored(storage: Storage, name: string, offset?: number): Promise<void> {
  const bytes = await storage.get(name);
  const at = offset ?? Math.floor(bytes.length / 2);
  await replaceObject(storage, name, flipBit(bytes, 8 * (at < 0 ? bytes.length + at : at)));
}

/** A storage of its own with the same objects. */
export async function copyStorage(from: Storage): Promise<Storage> {
  const storage = createMemoryStorage();
  for (const name of await objectNames(from)) await storage.putIfAbsent(name, await from.get(name));
  return storage;
}

/** The names in an absolute path. */
export function namesOf(path: string | Uint8Array): Uint8Array[] {
  const text = Buffer.from(path as Uint8Array).toString('latin1');
  return text
    .split('/')
    .filter((name) => name !== '')
    .map((name) => Buffer.from(name, 'latin1'));
}
