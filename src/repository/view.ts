/**
 * The view of a repository: what counts at this moment. Read in this order, which the model of the
 * protocol demands: collector records, snapshots, then tombs, then index segments (`index-sync.ts`).
 * A tomb that is gone when it is read was merged into another one: list again.
 */
import { NotFoundError, VarveError, VersionError } from '../errors.ts';
import type { SessionId } from '../id.ts';
import { type Ended, endedSessions, isLive } from '../protocol/outcomes.ts';
import { parseTomb, type Tomb } from '../record/collector-records.ts';
import { OBJECT_KIND } from '../record/object-kind.ts';
import { parseManifest } from '../snapshot/manifest.ts';
import { compareSnapshots, type ForgottenSnapshot, type Snapshot } from '../snapshot/selection.ts';
import { mapConcurrent } from '../util/concurrent.ts';
import { type CollectorState, loadCollectorState, NO_COLLECTION } from './collector-state.ts';
import { untilListingStays } from './listing.ts';
import type { RepositoryCore } from './repository.ts';
import { decodeStored, readStoredRecord } from './stored-records.ts';

const READS_IN_FLIGHT = 8;
const SNAPSHOT_NAME = /^snapshots\/([0-9a-f]{32})$/;
const TOMB_NAME = /^tombs\/[0-9a-f]{64}$/;

export interface StoredTomb {
  /** SHA-256 of its file, hex. */
  hash: string;
  /** When it was stored, by the clock of the storage, ms since 1970. */
  storedMs: number;
  tomb: Tomb;
}

export interface StoredFence {
  id: SessionId;
  /** As of a tomb. */
  storedMs: number;
}

/** An object that should be readable and is not. */
export interface DamagedObject {
  name: string;
  error: VarveError;
}

export interface View {
  /** Live snapshots, oldest first: committed, neither fenced, forgotten nor closed. */
  snapshots: Snapshot[];
  /** Snapshots that a tomb forgets, readable or not. */
  forgotten: Set<SessionId>;
  /** Of those the ones whose manifest is still there, oldest first: `undelete` may bring them back. */
  hidden: ForgottenSnapshot[];
  /** Sessions that can never commit again, by fence or by a merged tomb. */
  closed: Set<SessionId>;
  fences: StoredFence[];
  /** Closed sessions with a manifest, which counts for nothing: their name had been opened again. */
  voided: SessionId[];
  collector: CollectorState;
  /** Tombs, for the chain of records. */
  tombs: StoredTomb[];
  /** Snapshots and tombs that cannot be read. */
  damaged: DamagedObject[];
}

/**
 * @param purpose Whoever writes must understand every collector record; a reader goes on without
 * those it cannot read, and finds them among the damaged objects.
 * @throws CorruptionError, VersionError for a writer that cannot read a collector record.
 */
export async function loadView(core: RepositoryCore, purpose: 'read' | 'write'): Promise<View> {
  const unreadable: DamagedObject[] = [];
  const collector = await loadCollectorState(core).catch((error: unknown) => {
    if (purpose === 'write' || !isDamage(error)) throw error;
    unreadable.push({ name: 'gc/', error });
    return NO_COLLECTION;
  });
  return await untilListingStays('snapshots/', async () => {
    const manifests = await loadManifests(core);
    const tombs = manifests && (await readTombs(core));
    if (manifests === undefined || tombs === undefined) return undefined;
    const view = assembleView(manifests, tombs, collector);
    view.damaged.push(...unreadable);
    return view;
  });
}

/** The tombs as they are now. */
export async function loadTombs(core: RepositoryCore): Promise<LoadedTombs> {
  return await untilListingStays('tombs/', () => readTombs(core));
}

interface LoadedManifests {
  snapshots: Snapshot[];
  fences: StoredFence[];
  damaged: DamagedObject[];
}

export interface LoadedTombs {
  tombs: StoredTomb[];
  damaged: DamagedObject[];
}

function assembleView(
  { snapshots, fences, damaged }: LoadedManifests,
  loaded: LoadedTombs,
  collector: CollectorState,
): View {
  const ended = endedBy(
    loaded,
    fences.map(({ id }) => id),
  );
  const ordered = [...snapshots].sort(compareSnapshots);
  return {
    snapshots: ordered.filter(({ id }) => isLive(id, ended)),
    forgotten: ended.forgotten,
    hidden: hiddenAmong(ordered, loaded, ended),
    closed: ended.closed,
    fences,
    voided: ordered.map(({ id }) => id).filter((id) => ended.closed.has(id)),
    collector,
    tombs: loaded.tombs,
    damaged: [...damaged, ...loaded.damaged],
  };
}

/** Those that were forgotten and not closed, each with the time at which that happened first. */
function hiddenAmong(
  ordered: readonly Snapshot[],
  { tombs }: LoadedTombs,
  { closed }: Ended<SessionId>,
): ForgottenSnapshot[] {
  const times = new Map<string, number>();
  for (const { tomb, storedMs } of tombs) {
    for (const { sessionId } of tomb.forgotten) {
      times.set(sessionId, Math.min(storedMs, times.get(sessionId) ?? storedMs));
    }
  }
  const hidden: ForgottenSnapshot[] = [];
  for (const snapshot of ordered) {
    const forgottenMs = times.get(snapshot.id);
    if (forgottenMs !== undefined && !closed.has(snapshot.id)) {
      hidden.push({ ...snapshot, forgottenMs });
    }
  }
  return hidden;
}

/** What tombs say of sessions, and fences where they were listed too. */
export function endedBy(
  { tombs }: Pick<LoadedTombs, 'tombs'>,
  fences: readonly SessionId[] = [],
): Ended<SessionId> {
  return endedSessions({
    fences,
    tombs: tombs.map(({ tomb }) => ({
      forgotten: tomb.forgotten.map(({ sessionId }) => sessionId as SessionId),
      closed: tomb.closed as SessionId[],
    })),
  });
}

/** Undefined when a listed name is gone: list again. */
async function loadManifests(core: RepositoryCore): Promise<LoadedManifests | undefined> {
  const listed = await listNames(core, 'snapshots/', SNAPSHOT_NAME);
  const loaded: LoadedManifests = { snapshots: [], fences: [], damaged: [] };
  const isComplete = await readEach([...listed.keys()], loaded.damaged, async (name) => {
    const id = name.slice('snapshots/'.length) as SessionId;
    const kinds = [OBJECT_KIND.snapshot, OBJECT_KIND.fence];
    const { kind, payload, hash } = await readStoredRecord(core, name, { kinds });
    if (kind === OBJECT_KIND.fence) {
      loaded.fences.push({ id, storedMs: listed.get(name) as number });
      return;
    }
    const manifest = decodeStored({ kind: 'snapshot', which: id }, () => parseManifest(payload));
    loaded.snapshots.push({ id, hash, storedMs: listed.get(name) as number, manifest });
  });
  return isComplete ? loaded : undefined;
}

/** Undefined when a listed name is gone: list again. */
async function readTombs(core: RepositoryCore): Promise<LoadedTombs | undefined> {
  const listed = await listNames(core, 'tombs/', TOMB_NAME);
  const loaded: LoadedTombs = { tombs: [], damaged: [] };
  const isComplete = await readEach([...listed.keys()], loaded.damaged, async (name) => {
    const expected = { kinds: [OBJECT_KIND.tomb], isHashNamed: true };
    const { payload, hash } = await readStoredRecord(core, name, expected);
    const tomb = decodeStored({ kind: 'tomb', which: name }, () => parseTomb(payload));
    loaded.tombs.push({ hash, storedMs: listed.get(name) as number, tomb });
  });
  return isComplete ? loaded : undefined;
}

/** Names below a prefix that have a shape, each with the time at which it was stored. */
async function listNames(
  { storage }: RepositoryCore,
  prefix: string,
  shape: RegExp,
): Promise<Map<string, number>> {
  const names = new Map<string, number>();
  for await (const { name, modifiedMs } of storage.list(prefix)) {
    if (shape.test(name)) names.set(name, Math.floor(modifiedMs));
  }
  return names;
}

/** Reads all names; what cannot be read is collected. False when one of them is gone. */
export async function readEach(
  names: readonly string[],
  damaged: DamagedObject[],
  readOne: (name: string) => Promise<void>,
): Promise<boolean> {
  let isComplete = true;
  await mapConcurrent(names, READS_IN_FLIGHT, async (name) => {
    try {
      await readOne(name);
    } catch (error) {
      if (error instanceof NotFoundError) isComplete = false;
      else if (isDamage(error)) damaged.push({ name, error });
      else throw error;
    }
  });
  return isComplete;
}

/** An object is unreadable for good, as opposed to storage that fails at the moment. */
function isDamage(error: unknown): error is VarveError {
  return error instanceof VarveError && (error.code === 'CORRUPT' || error instanceof VersionError);
}
