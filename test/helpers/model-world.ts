/**
 * What the model of a repository is compared with: a source that can be edited, a repository, and two
 * clients with caches and states of their own. In memory, on one thread, or on a real disk with
 * threads and through the public API.
 */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import * as library from '../../src/index.ts';
import { checkRepository } from '../../src/maintain/check.ts';
import { forget } from '../../src/maintain/forget.ts';
import { undelete } from '../../src/maintain/undelete.ts';
import type { LongCall } from '../../src/progress.ts';
import type { Repository } from '../../src/repository/repository.ts';
import { loadView } from '../../src/repository/view.ts';
import { restoreSnapshot } from '../../src/restore/restore-snapshot.ts';
import { selectSnapshot } from '../../src/snapshot/selection.ts';
import { createMemoryStorage } from '../../src/storage/memory.ts';
import type { Storage } from '../../src/storage/storage.ts';
import type { Clock } from '../../src/util/clock.ts';
import {
  DiskEditableSource,
  type EditableSource,
  MemoryEditableSource,
} from './editable-source.ts';
import { stopStorage } from './fault-storage.ts';
import { type Home, initStorage, newHome, openClient, snapshotTree } from './repository-crash.ts';
import { namesOf, type Scope } from './test-repository.ts';

export interface SnapshotCall extends LongCall {
  readonly parent?: string | undefined;
  readonly isForced?: boolean;
  readonly isDryRun?: boolean;
  /** The process ends before this call to the storage; in memory only. */
  readonly stopAt?: number | undefined;
}

export interface ModelClient {
  snapshot(call: SnapshotCall): Promise<library.SnapshotResult>;
  list(): Promise<string[]>;
  restore(id: string, target: string): Promise<library.RestoreResult>;
  check(isReadingData: boolean): Promise<library.CheckResult>;
  forget(id: string): Promise<void>;
  /** Gives the new id. */
  undelete(id: string): Promise<string>;
  /** Closes and opens it; in between the cache may go. */
  reopen(isCacheDropped: boolean): Promise<void>;
  rebuildIndex(): Promise<void>;
}

export interface World {
  readonly source: EditableSource;
  readonly clients: readonly ModelClient[];
  objectNames(): Promise<string[]>;
  /** Does what a fault of the medium does: an object is gone. */
  deleteObject(name: string): Promise<void>;
  /** A path where nothing is. */
  newTarget(): string;
}

export const clientCount = 2;
const clockStepNs = 3_000_000n;

/** A clock that goes on by a few milliseconds whenever it is asked: turns end after few entries. */
function steppingClock(): Clock {
  let count = 0n;
  const next = (): bigint => {
    count += clockStepNs;
    return count;
  };
  return { nowNs: () => 1_700_000_000_000_000_000n + next(), monotonicNs: next };
}

function newDirectory(scope: Scope, parent: string): string {
  const path = mkdtempSync(join(parent, 'varve-test-'));
  scope.after(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

function targetsIn(directory: string): () => string {
  let count = 0;
  return () => join(directory, `target${++count}`);
}

export async function memoryWorld(scope: Scope): Promise<World> {
  const directory = newDirectory(scope, existsSync('/dev/shm') ? '/dev/shm' : tmpdir());
  const storage = createMemoryStorage();
  await initStorage(storage);
  const source = new MemoryEditableSource();
  const clock = steppingClock();
  let openCount = 0;
  const clients: ModelClient[] = [];
  for (let i = 0; i < clientCount; i++) {
    const home = newHome(directory);
    const open = () => openClient(storage, { home, clock, salt: 100 + ++openCount });
    clients.push(await memoryClient(scope, { source, home, open }));
  }
  return {
    source,
    clients,
    objectNames: () => namesOfAll(storage),
    deleteObject: (name) => storage.delete(name),
    newTarget: targetsIn(directory),
  };
}

async function namesOfAll(storage: Storage): Promise<string[]> {
  const names: string[] = [];
  for await (const { name } of storage.list('')) names.push(name);
  return names.sort();
}

async function memoryClient(
  scope: Scope,
  parts: { source: MemoryEditableSource; home: Home; open: () => Promise<Repository> },
): Promise<ModelClient> {
  const { source, home, open } = parts;
  let repository = await open();
  scope.after(() => repository.index.close());
  const select = async (id: string) =>
    selectSnapshot((await loadView(repository, 'read')).snapshots, id);
  return {
    snapshot: ({ stopAt = Number.POSITIVE_INFINITY, ...call }) => {
      const stopping = { ...repository, storage: stopStorage(repository.storage, stopAt) };
      return snapshotTree(stopping, {}, { ...call, fs: source.fs() });
    },
    list: async () => (await loadView(repository, 'read')).snapshots.map(({ id }) => id),
    restore: async (id, target) =>
      await restoreSnapshot(repository, {
        snapshot: await select(id),
        names: namesOf(source.root),
        target: Buffer.from(target),
        onError: throwIt,
      }),
    check: (isReadingData) => checkRepository(repository, { isReadingData }),
    forget: async (id) => {
      await forget(repository, { choice: { selectors: [id] }, mayEmpty: true });
    },
    undelete: async (id) => (await undelete(repository, { selector: id })).id,
    reopen: async (isCacheDropped) => {
      await repository.index.close();
      if (isCacheDropped) dropCache(home.cacheDirectory);
      repository = await open();
    },
    rebuildIndex: async () => {
      await repository.index.discard();
    },
  };
}

function throwIt(error: Error): never {
  throw error;
}

function dropCache(directory: string): void {
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory, { recursive: true });
}

/** A repository on a disk; `jobs` threads. */
export async function diskWorld(scope: Scope, jobs: number): Promise<World> {
  const directory = newDirectory(scope, tmpdir());
  const location = join(directory, 'repository');
  await library.initRepository({ location, isInsecure: true });
  const source = new DiskEditableSource(join(directory, 'source'));
  const clients: ModelClient[] = [];
  for (let i = 0; i < clientCount; i++) {
    const home = join(directory, `home${i}`);
    clients.push(await diskClient(scope, { source, location, home, jobs }));
  }
  return {
    source,
    clients,
    objectNames: async () => objectFilesIn(location),
    deleteObject: async (name) => rmSync(join(location, name)),
    newTarget: targetsIn(directory),
  };
}

function objectFilesIn(location: string): string[] {
  const entries = readdirSync(location, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile());
  const names = files.map((entry) => relative(location, join(entry.parentPath, entry.name)));
  return names.filter((name) => !name.startsWith('tmp/')).sort();
}

async function diskClient(
  scope: Scope,
  parts: { source: EditableSource; location: string; home: string; jobs: number },
): Promise<ModelClient> {
  const { source, location, home, jobs } = parts;
  const cacheDirectory = join(home, 'cache');
  const open = () =>
    library.openRepository({ location, jobs, cacheDirectory, stateDirectory: join(home, 'state') });
  let repository = await open();
  scope.after(() => repository.close());
  return {
    snapshot: ({ stopAt, ...call }) => {
      assert.equal(stopAt, undefined, 'a process on a disk is stopped by the crash tests');
      return repository.snapshot({ ...call, paths: [source.root], host: 'host' });
    },
    list: async () => (await repository.snapshots()).snapshots.map(({ id }) => id),
    restore: async (id, target) => {
      const snapshot = await repository.select(id);
      return await repository.restore({ snapshot, path: source.root, target, onError: throwIt });
    },
    check: (isReadingData) => repository.check({ isReadingData }),
    forget: async (id) => {
      await repository.forget({ snapshots: [id], mayEmpty: true });
    },
    undelete: async (id) => (await repository.undelete(id)).id,
    reopen: async (isCacheDropped) => {
      await repository.close();
      if (isCacheDropped) dropCache(cacheDirectory);
      repository = await open();
    },
    rebuildIndex: async () => {
      await repository.rebuildIndex();
    },
  };
}
