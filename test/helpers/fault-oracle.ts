/**
 * What must hold of a place after any fault of any operation, found from outside and by the program:
 *
 * - every object that was durable is there with the same bytes, unless the command may delete it;
 *   nothing has a final name and other bytes than its name says; leftovers are in `tmp/` alone;
 * - the repository opens; every acknowledged snapshot restores to what it was, any other one to
 *   something that was being saved;
 * - `check --read-data` finds no damage; the next snapshot works without repair, and restores;
 * - with a new cache everything is the same.
 */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join, relative } from 'node:path';
import { takeSnapshot } from '../../src/backup/take-snapshot.ts';
import { checkRepository } from '../../src/maintain/check.ts';
import { initRepository } from '../../src/repository/init-repository.ts';
import { openRepository } from '../../src/repository/open-repository.ts';
import type { Repository } from '../../src/repository/repository.ts';
import { loadView } from '../../src/repository/view.ts';
import { restoreSnapshot } from '../../src/restore/restore-snapshot.ts';
import type { Snapshot } from '../../src/snapshot/selection.ts';
import { createLocalStorage } from '../../src/storage/local.ts';
import { isObjectName } from '../../src/storage/names.ts';
import type { Storage } from '../../src/storage/storage.ts';
import { encodeUtf8 } from '../../src/util/bytes.ts';
import { describeDirectory, type FaultLedger, type FaultPlace } from './fault-place.ts';
import { namesOf } from './test-repository.ts';

/** SHA-256 of every object by its name. */
export type Objects = ReadonlyMap<string, string>;

const HASH_NAME = /(?:^|-|\/)([0-9a-f]{64})$/;

export interface OracleOptions {
  /** Durable objects before the fault. */
  readonly before?: Objects;
  readonly mayDelete?: RegExp | undefined;
  /** A directory that the oracle may fill; nothing is left in it. */
  readonly scratch: string;
  /** Leave out what looks at everything a second time with a new cache. Default: false. */
  readonly isQuick?: boolean;
  /** Take the cache and state that the command left, which may have been hit, too. Default: true. */
  readonly usesClient?: boolean;
}

/** All objects of a place, read without the program; none where there is no storage yet. */
export function objectsOf(place: FaultPlace): Map<string, string> {
  const found = new Map<string, string>();
  if (!existsSync(place.repository)) return found;
  const entries = readdirSync(place.repository, { recursive: true, withFileTypes: true });
  for (const entry of entries) {
    const path = join(entry.parentPath, entry.name);
    const name = relative(place.repository, path);
    if (entry.isDirectory() || name.startsWith('tmp/')) continue;
    found.set(name, createHash('sha256').update(readFileSync(path)).digest('hex'));
  }
  return found;
}

/** What is wrong, one line each; nothing when all is well. */
export async function findFaults(place: FaultPlace, options: OracleOptions): Promise<string[]> {
  const after = objectsOf(place);
  const faults = objectFaults(after, options);
  if (faults.length > 0) return faults;
  const storage = await createLocalStorage(place.repository);
  if (!place.ledger.isInitialised) await initAgain(storage);
  const { scratch, usesClient = true } = options;
  const fresh = { cache: join(scratch, 'cache'), state: join(scratch, 'state') };
  try {
    const first = usesClient ? place : fresh;
    faults.push(...(await useRepository(place, first, { storage, scratch })));
    if (faults.length === 0 && options.isQuick !== true && usesClient) {
      faults.push(...(await lookAgain(place, fresh, { storage, scratch })));
    }
    const kept = { ...options, before: after, mayDelete: undefined };
    return [...faults, ...objectFaults(objectsOf(place), kept)];
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** What is wrong with the objects alone. */
export function objectFaults(
  after: Objects,
  { before = new Map(), mayDelete }: Pick<OracleOptions, 'before' | 'mayDelete'>,
): string[] {
  const faults: string[] = [];
  for (const [name, hash] of before) {
    const now = after.get(name);
    if (now !== undefined && now !== hash) faults.push(`changed: ${name}`);
    const isAllowed = name.startsWith('sessions/') || mayDelete?.test(name) === true;
    if (now === undefined && !isAllowed) faults.push(`deleted: ${name}`);
  }
  for (const [name, hash] of after) {
    if (!isObjectName(name)) faults.push(`foreign: ${name}`);
    const expected = HASH_NAME.exec(name)?.[1];
    if (expected !== undefined && expected !== hash) faults.push(`wrong bytes: ${name}`);
  }
  return faults;
}

/** An `init` that did not end well can be repeated, or has made the repository. */
async function initAgain(storage: Storage): Promise<void> {
  await initRepository({ storage, credential: { kind: 'none' } }).catch((error: unknown) => {
    if ((error as { code?: string }).code !== 'REPOSITORY_EXISTS') throw error;
  });
}

interface Client {
  readonly cache: string;
  readonly state: string;
}

interface Tools {
  readonly storage: Storage;
  readonly scratch: string;
}

async function useRepository(place: FaultPlace, client: Client, tools: Tools): Promise<string[]> {
  return await withOpened(place.ledger, client, tools.storage, async (repository) => {
    const faults = await findLosses(repository, place, tools.scratch);
    faults.push(...(await findDamage(repository)));
    if (faults.length > 0) return faults;
    const { id } = await takeSnapshot(repository, {
      paths: [place.source],
      workingDirectory: '/',
      host: encodeUtf8('host'),
      user: encodeUtf8('user'),
      timeZone: 'UTC',
    });
    place.ledger.kept.set(id, describeDirectory(place.source));
    const { snapshots } = await loadView(repository, 'read');
    const next = snapshots.find((snapshot) => snapshot.id === id);
    if (next === undefined) return ['the next snapshot is not listed'];
    return await findWrong(repository, { snapshot: next, place, scratch: tools.scratch });
  });
}

async function lookAgain(place: FaultPlace, client: Client, tools: Tools): Promise<string[]> {
  return await withOpened(place.ledger, client, tools.storage, async (repository) => [
    ...(await findLosses(repository, place, tools.scratch)),
    ...(await findDamage(repository)),
  ]);
}

async function withOpened(
  ledger: FaultLedger,
  client: Client,
  storage: Storage,
  use: (repository: Repository) => Promise<string[]>,
): Promise<string[]> {
  const refusals: string[] = [];
  for (const passphrase of ledger.passphrases) {
    let repository: Repository;
    try {
      repository = await openRepository({
        storage,
        askPassphrase: async () => passphrase,
        cacheDirectory: client.cache,
        stateDirectory: client.state,
      });
    } catch (error) {
      refusals.push(`does not open: ${(error as Error).message}`);
      continue;
    }
    try {
      return await use(repository);
    } catch (error) {
      return [`failed: ${(error as Error).stack}`];
    } finally {
      await repository.close();
    }
  }
  return refusals;
}

async function findLosses(
  repository: Repository,
  place: FaultPlace,
  scratch: string,
): Promise<string[]> {
  const { kept, partial, forgotten } = place.ledger;
  const { snapshots } = await loadView(repository, 'read');
  const listed = new Set<string>(snapshots.map(({ id }) => id));
  const faults: string[] = [];
  for (const id of [...kept.keys(), ...partial.keys()]) {
    if (!listed.has(id) && !forgotten.has(id)) faults.push(`lost: snapshot ${id}`);
  }
  for (const snapshot of snapshots) {
    faults.push(...(await findWrong(repository, { snapshot, place, scratch })));
  }
  return faults;
}

/** Restores a snapshot and compares it with what was saved. */
async function findWrong(
  repository: Repository,
  what: { snapshot: Snapshot; place: FaultPlace; scratch: string },
): Promise<string[]> {
  const { snapshot, place, scratch } = what;
  const target = join(scratch, 'restored');
  const problems: string[] = [];
  try {
    await restoreSnapshot(repository, {
      snapshot,
      names: namesOf(place.source),
      target: encodeUtf8(target),
      onError: (error) => problems.push(`snapshot ${snapshot.id}: ${error.message}`),
    });
    if (problems.length > 0) return problems;
    const restored = describeDirectory(target);
    return isRight(place.ledger, snapshot.id, restored)
      ? []
      : [`restored otherwise: snapshot ${snapshot.id}`];
  } catch (error) {
    return [`does not restore: snapshot ${snapshot.id}: ${(error as Error).message}`];
  } finally {
    rmSync(target, { recursive: true, force: true });
  }
}

function isRight(ledger: FaultLedger, id: string, restored: string): boolean {
  const { kept, partial, possible } = ledger;
  const whole = kept.get(id);
  if (whole !== undefined) return restored === whole;
  const more = partial.get(id)?.split('\n');
  if (more === undefined) return possible.has(restored);
  return restored.split('\n').every((line) => line === '' || more.includes(line));
}

async function findDamage(repository: Repository): Promise<string[]> {
  const { findings } = await checkRepository(repository, { isReadingData: true });
  return findings
    .filter(({ kind, severity }) => severity === 'damage' || kind === 'pack-missing')
    .map(({ kind, message }) => `${kind}: ${message}`);
}
