/**
 * What must hold of a place after any fault of any operation, found from outside and by the program:
 *
 * - every object that was durable is there with the same bytes, unless a plan from before the fault
 *   names it and, for a pack, a stored sweep does; nothing has a final name and other bytes than its
 *   name says; leftovers are in `tmp/` alone;
 * - the repository opens; every acknowledged snapshot restores to what it was, any other one to
 *   something that was being saved; what was told to be forgotten is not listed;
 * - `check --read-data` finds no damage; the next snapshot works without repair, and restores;
 * - the next collection comes to its end, whatever the fault left half done;
 * - after it, and with a new cache, everything is the same.
 */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join, relative } from 'node:path';
import { checkRepository } from '../../src/maintain/check.ts';
import { pruneRepository } from '../../src/maintain/prune/prune.ts';
import { loadCollectorState } from '../../src/repository/collector-state.ts';
import { initRepository } from '../../src/repository/init-repository.ts';
import type { Repository } from '../../src/repository/repository.ts';
import { loadView } from '../../src/repository/view.ts';
import { restoreSnapshot } from '../../src/restore/restore-snapshot.ts';
import type { Snapshot } from '../../src/snapshot/selection.ts';
import { createLocalStorage } from '../../src/storage/local.ts';
import { isObjectName } from '../../src/storage/names.ts';
import { encodeUtf8 } from '../../src/util/bytes.ts';
import { type ClientHome, isPackName, saveSource, withRepository } from './fault-clients.ts';
import type { FaultLedger, FaultPlace } from './fault-place.ts';
import { describeDirectory } from './fault-place.ts';
import { namesOf } from './test-repository.ts';

/** SHA-256 of every object by its name. */
export type Objects = ReadonlyMap<string, string>;

const HASH_NAME = /(?:^|-|\/)([0-9a-f]{64})$/;
/** One goes on with what was begun, one deletes what was found since; the next has nothing to do. */
const COLLECTIONS_MAX = 4;
/** What `init --with-recover` leaves beside the objects. */
const RECOVER_NAMES = new Set(['recover.mjs', 'README.txt']);

export interface OracleOptions {
  /** Durable objects before the fault. */
  readonly before?: Objects;
  /** Names among them that a plan from before the fault gives up, beside records of sessions. */
  readonly deletable?: ReadonlySet<string>;
  /** What somebody does before all has to be well, such as to begin a repair again. */
  readonly settle?: ((home: ClientHome) => Promise<void> | undefined) | undefined;
  /** A directory that the oracle may fill; nothing is left in it. */
  readonly scratch: string;
  /** Leave out the collection, and the look with a new cache after it. Default: false. */
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
  const { damaged } = place.ledger;
  let after = objectsOf(place);
  const faults = objectFaults(after, { ...options, damaged });
  if (faults.length > 0) return faults;
  if (!place.ledger.isInitialised) await initAgain(place);
  const { before = new Map(), scratch, usesClient = true, isQuick = false, settle } = options;
  const gone = [...before.keys()].filter((name) => isPackName(name) && !after.has(name));
  const newHome = (name: string): ClientHome => ({
    cache: join(scratch, name, 'cache'),
    state: join(scratch, name, 'state'),
  });
  const home = usesClient ? place : newHome('first');
  try {
    if (settle !== undefined) {
      await settle(home);
      after = objectsOf(place);
    }
    const first = await using(place, home, async (repository) => [
      ...(await unswept(repository, gone)),
      ...(await useRepository(repository, place, scratch)),
    ]);
    first.push(...objectFaults(objectsOf(place), { before: after, damaged }));
    if (first.length > 0 || isQuick) return first;
    // Half of the collections are those of the client that was hit, the others of a new one.
    const collector = after.size % 2 === 0 ? home : newHome('collector');
    const collected = await using(place, collector, collect);
    if (collected.length > 0) return collected.map((fault) => `collected: ${fault}`);
    const last = await using(place, newHome('last'), async (repository) => [
      ...(await findLosses(repository, place, scratch)),
      ...(await findDamage(repository, place)),
    ]);
    return [...last, ...objectFaults(objectsOf(place), { damaged })].map(
      (fault) => `afterwards: ${fault}`,
    );
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** What is wrong with the objects alone. */
export function objectFaults(
  after: Objects,
  known: Pick<OracleOptions, 'before' | 'deletable'> & { damaged?: ReadonlySet<string> },
): string[] {
  return [...changedObjects(after, known), ...wrongNames(after, known.damaged)];
}

function* changedObjects(
  after: Objects,
  { before = new Map(), deletable }: Pick<OracleOptions, 'before' | 'deletable'>,
): Generator<string> {
  for (const [name, hash] of before) {
    const now = after.get(name);
    if (now !== undefined && now !== hash) yield `changed: ${name}`;
    const isAllowed = /^(?:sessions|probe)\//.test(name) || deletable?.has(name) === true;
    if (now === undefined && !isAllowed) yield `deleted: ${name}`;
  }
}

function* wrongNames(after: Objects, damaged?: ReadonlySet<string>): Generator<string> {
  for (const [name, hash] of after) {
    if (!isObjectName(name) && !RECOVER_NAMES.has(name)) yield `foreign: ${name}`;
    const expected = HASH_NAME.exec(name)?.[1];
    const isWrong = expected !== undefined && expected !== hash;
    if (isWrong && damaged?.has(name) !== true) yield `wrong bytes: ${name}`;
  }
}

/** Packs that went without a stored sweep that names them. */
async function unswept(repository: Repository, gone: readonly string[]): Promise<string[]> {
  if (gone.length === 0) return [];
  const { sweptPacks } = await loadCollectorState(repository);
  return gone
    .filter((name) => !sweptPacks.has(name.slice(name.lastIndexOf('/') + 1) as never))
    .map((name) => `in no sweep: ${name}`);
}

/** An `init` that did not end well can be repeated, or has made the repository. */
async function initAgain(place: FaultPlace): Promise<void> {
  const storage = await createLocalStorage(place.repository);
  await initRepository({ storage, credential: { kind: 'none' } }).catch((error: unknown) => {
    if ((error as { code?: string }).code !== 'REPOSITORY_EXISTS') throw error;
  });
}

async function using(
  place: FaultPlace,
  home: ClientHome,
  use: (repository: Repository) => Promise<string[]>,
): Promise<string[]> {
  try {
    return await withRepository(place, use, home);
  } catch (error) {
    return [`failed: ${(error as Error).stack}`];
  }
}

async function useRepository(
  repository: Repository,
  place: FaultPlace,
  scratch: string,
): Promise<string[]> {
  const faults = await findLosses(repository, place, scratch);
  faults.push(...(await findDamage(repository, place)));
  if (faults.length > 0) return faults;
  const id = await saveSource(place, repository, { host: 'host' });
  const { snapshots } = await loadView(repository, 'read');
  const next = snapshots.find((snapshot) => snapshot.id === id);
  if (next === undefined) return ['the next snapshot is not listed'];
  return await findWrong(repository, { snapshot: next, place, scratch });
}

/** A collection to its end: sessions that a fault has left are ended, no grace is granted. */
async function collect(repository: Repository): Promise<string[]> {
  for (let run = 1; run <= COLLECTIONS_MAX; run++) {
    const { outcome } = await pruneRepository(repository, { graceMs: 0, sessionTtlMs: 0 });
    if (outcome === 'nothing') return [];
    if (outcome !== 'swept') return [`the collection ended ${outcome}`];
  }
  return [`${COLLECTIONS_MAX} collections did not come to an end`];
}

async function findLosses(
  repository: Repository,
  place: FaultPlace,
  scratch: string,
): Promise<string[]> {
  const { kept, partial, forgotten, gone } = place.ledger;
  const { snapshots } = await loadView(repository, 'read');
  const listed = new Set<string>(snapshots.map(({ id }) => id));
  const faults: string[] = [];
  for (const id of [...kept.keys(), ...partial.keys()]) {
    if (!listed.has(id) && !forgotten.has(id)) faults.push(`lost: snapshot ${id}`);
  }
  for (const snapshot of snapshots) {
    if (gone.has(snapshot.id)) faults.push(`not forgotten: snapshot ${snapshot.id}`);
    if (place.ledger.broken.has(snapshot.id)) continue;
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
  const { kept, partial, possible, rescued } = ledger;
  const whole = kept.get(id);
  if (whole !== undefined) return restored === whole;
  const more = partial.get(id);
  if (more !== undefined) return isPart(restored, more);
  return possible.has(restored) || [...rescued].some((all) => isPart(restored, all));
}

function isPart(restored: string, whole: string): boolean {
  const lines = new Set(whole.split('\n'));
  return restored.split('\n').every((line) => line === '' || lines.has(line));
}

async function findDamage(repository: Repository, { ledger }: FaultPlace): Promise<string[]> {
  const { findings } = await checkRepository(repository, { isReadingData: true });
  return findings
    .filter(({ kind, severity }) => severity === 'damage' || kind === 'pack-missing')
    .filter(({ object }) => !ledger.damaged.has(object))
    .map(({ kind, message }) => `${kind}: ${message}`);
}
