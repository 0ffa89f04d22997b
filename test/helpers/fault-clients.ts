/**
 * Clients of a place by the library, in the process of the test: what prepares places quickly, comes
 * between a sleeping command and its work, and judges what is left. And what a command may delete, as
 * the program itself plans it before the fault.
 */
import { mkdtempSync, readdirSync, rmSync, statSync, utimesSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { takeSnapshot } from '../../src/backup/take-snapshot.ts';
import type { PackName } from '../../src/id.ts';
import { forget } from '../../src/maintain/forget.ts';
import { pruneRepository } from '../../src/maintain/prune/prune.ts';
import { packStorageName } from '../../src/pack/pack-record.ts';
import {
  type IndexSync,
  listSegments,
  readSegment,
  syncIndex,
} from '../../src/repository/index-sync.ts';
import { openRepository } from '../../src/repository/open-repository.ts';
import type { Repository } from '../../src/repository/repository.ts';
import { loadView, type View } from '../../src/repository/view.ts';
import { openLocalStorage } from '../../src/storage/local.ts';
import type { Storage } from '../../src/storage/storage.ts';
import { encodeUtf8 } from '../../src/util/bytes.ts';
import { describeDirectory, type FaultPlace, writeSource } from './fault-place.ts';

/** Where cache and writer state are. */
export interface ClientHome {
  readonly cache: string;
  readonly state: string;
}

/** Opens the repository of a place with any of its passphrases; `home` defaults to its own client. */
export async function withRepository<T>(
  place: FaultPlace,
  use: (repository: Repository) => Promise<T>,
  home: ClientHome = place,
  wrap: (storage: Storage) => Storage = (storage) => storage,
): Promise<T> {
  const refusals: Error[] = [];
  for (const passphrase of place.ledger.passphrases) {
    let repository: Repository;
    try {
      repository = await openRepository({
        storage: wrap(await openLocalStorage(place.repository)),
        askPassphrase: async () => passphrase,
        cacheDirectory: home.cache,
        stateDirectory: home.state,
      });
    } catch (error) {
      refusals.push(error as Error);
      continue;
    }
    try {
      return await use(repository);
    } finally {
      await repository.close();
    }
  }
  throw refusals[0] as Error;
}

/** The same as a client that is new, and gone afterwards. */
export async function withOtherClient<T>(
  place: FaultPlace,
  use: (repository: Repository) => Promise<T>,
  wrap?: (storage: Storage) => Storage,
): Promise<T> {
  const other = mkdtempSync(`${place.client}.other-`);
  const home = { cache: join(other, 'cache'), state: join(other, 'state') };
  try {
    return await withRepository(place, use, home, wrap);
  } finally {
    rmSync(other, { recursive: true, force: true });
  }
}

/** Saves the source as the command would; gives the id, which is acknowledged from now on. */
export async function saveSource(
  place: FaultPlace,
  repository: Repository,
  options: { host?: string; similarity?: 'on' | 'local' | 'off' } = {},
): Promise<string> {
  const { host = hostname(), similarity = 'local' } = options;
  const { id } = await takeSnapshot(repository, {
    paths: [place.source],
    workingDirectory: '/',
    host: encodeUtf8(host),
    user: encodeUtf8('user'),
    timeZone: 'UTC',
    similarity,
  });
  place.ledger.kept.set(id, describeDirectory(place.source));
  return id;
}

/** A repository with a snapshot of each version, oldest first. Gives their ids. */
export async function saveVersions(
  place: FaultPlace,
  count: number,
  size?: number,
): Promise<string[]> {
  await place.init();
  return await withRepository(place, async (repository) => {
    const ids: string[] = [];
    for (let version = 1; version <= count; version++) {
      writeSource(place.source, version, size);
      ids.push(await saveSource(place, repository));
    }
    return ids;
  });
}

/** Forgets snapshots, acknowledged. */
export async function forgetNow(place: FaultPlace, ids: readonly string[]): Promise<void> {
  await withRepository(place, (repository) =>
    forget(repository, { choice: { selectors: ids }, mayEmpty: true }),
  );
  expectForgotten(place, ids);
  confirmForgotten(place, ids);
}

/** Somebody asks for it: from now on the snapshots may be there or not. */
export function expectForgotten({ ledger }: FaultPlace, ids: Iterable<string>): void {
  for (const id of ids) ledger.forgotten.add(id);
}

/** It was acknowledged: from now on they are not listed. */
export function confirmForgotten({ ledger }: FaultPlace, ids: Iterable<string>): void {
  for (const id of ids) ledger.gone.add(id);
}

/** Everything in the storage, or all below a directory of it, was stored so much earlier. */
export function age(place: FaultPlace, ms: number, directory = ''): void {
  setTimes(place, directory, (mtimeMs) => mtimeMs - ms);
}

/** All below a directory of the storage was stored just now. */
export function renew(place: FaultPlace, directory: string): void {
  setTimes(place, directory, () => Date.now());
}

function setTimes(place: FaultPlace, directory: string, change: (ms: number) => number): void {
  const root = join(place.repository, directory);
  for (const entry of readdirSync(root, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    const seconds = change(statSync(path).mtimeMs) / 1000;
    utimesSync(path, seconds, seconds);
  }
}

/**
 * Names of all objects that a command may delete that starts now, but for records of sessions: what
 * a dry run of the collection names with the same grace, and what earlier ones have left to do.
 */
export async function deletableNow(
  repository: Repository,
  graceMs: number | undefined,
): Promise<Set<string>> {
  const { plan } = await pruneRepository(repository, { isDryRun: true, graceMs });
  const view = await loadView(repository, 'write');
  const sync = await syncIndex(repository, view);
  const { pendingMark, sweeps } = view.collector;
  const packs = [
    ...plan.map(({ name }) => name),
    ...(pendingMark?.condemned ?? []),
    ...sweeps.flatMap((sweep) => sweep.delete),
    ...lostPacks(repository, sync),
  ];
  const listed = packs.flatMap((name) => sync.listed.get(name as PackName) ?? []);
  const { graceMs: ownGraceMs } = repository.config.gc;
  const expired = view.hidden.filter(
    ({ forgottenMs }) => Date.now() - forgottenMs >= (graceMs ?? ownGraceMs),
  );
  return new Set([
    ...listed.map(packStorageName),
    ...expired.map(({ id }) => `snapshots/${id}`),
    ...(await supersededSegments(repository)),
    ...(await mergedRecords(repository, view)),
  ]);
}

/** Packs that no segment names, of writers that died long ago. */
function lostPacks({ config }: Repository, { index, unindexed }: IndexSync): PackName[] {
  const { minimumAgeMs } = config.gc;
  return unindexed
    .filter(({ storedMs }) => Date.now() - storedMs >= minimumAgeMs)
    .filter(({ name }) => index.packNo(name) === undefined)
    .map(({ name }) => name);
}

const HOUR = 3_600_000;

/** Of segments that another one took the place of more than an hour ago. */
async function supersededSegments(repository: Repository): Promise<string[]> {
  const segments = await listSegments(repository);
  const names: string[] = [];
  for (const { level, storedMs, storageName } of segments.values()) {
    if (level === 0 || Date.now() - storedMs < HOUR) continue;
    const segment = await readSegment(repository, storageName, { damaged: [] });
    for (const input of segment?.superseded ?? []) {
      const stored = segments.get(input);
      if (stored !== undefined) names.push(stored.storageName);
    }
  }
  return names;
}

/** Fences, tombs and records of collections that a merged record holds since more than an hour. */
async function mergedRecords({ storage }: Repository, view: View): Promise<string[]> {
  const names: string[] = [];
  for (const { tomb, storedMs } of view.tombs) {
    if (Date.now() - storedMs < HOUR || tomb.merges.length === 0) continue;
    names.push(...tomb.merges.map((hash) => `tombs/${hash}`));
    const closed = new Set(tomb.closed);
    for (const { id } of view.fences) if (closed.has(id)) names.push(`snapshots/${id}`);
  }
  const records: { generation: number; name: string; isMerged: boolean; storedMs: number }[] = [];
  for await (const { name, modifiedMs } of storage.list('gc/')) {
    const [, number = '', kind] = /^gc\/([0-9a-f]{16})\.(\w+)$/.exec(name) ?? [];
    const generation = Number.parseInt(number, 16);
    records.push({ generation, name, isMerged: kind === 'merged', storedMs: modifiedMs });
  }
  const ripe = records.filter(
    ({ isMerged, storedMs }) => isMerged && Date.now() - storedMs >= HOUR,
  );
  const last = Math.max(0, ...ripe.map(({ generation }) => generation));
  for (const { generation, name, isMerged } of records) {
    if (!isMerged && generation <= last) names.push(name);
  }
  return names;
}

/** Whether the name is that of a pack. */
export function isPackName(name: string): boolean {
  return /^(?:data|meta)\//.test(name);
}
