/**
 * Step 5 of a collection: every session that had begun before the mark must have an outcome, a
 * snapshot or a fence, before the live set is looked at again. Whoever begins later sees the mark.
 *
 * A session that lives is waited for. One without a sign of life is fenced: it cannot commit any more,
 * and starts over when it wakes up. Fencing a session that lives costs it its work and nobody any
 * data, so the time after which that is done is manners and not safety.
 */
import { CorruptionError, NotFoundError, VersionError } from '../../errors.ts';
import type { SessionId } from '../../id.ts';
import type { SaltSource } from '../../keys/salt-source.ts';
import { isOpen } from '../../protocol/outcomes.ts';
import { OBJECT_KIND } from '../../record/object-kind.ts';
import { sealObject } from '../../record/sealed-object.ts';
import { encodeFence, parseSession } from '../../record/session-records.ts';
import type { RepositoryCore } from '../../repository/repository.ts';
import { storageNowMs } from '../../repository/storage-time.ts';
import { decodeStored, readStoredRecord } from '../../repository/stored-records.ts';
import { endedBy, loadTombs } from '../../repository/view.ts';

const SESSION_NAME = /^sessions\/([0-9a-f]{32})(\.h[0-9a-f]{6})?$/;
const OUTCOME_NAME = /^snapshots\/([0-9a-f]{32})$/;

/** A session without an outcome. */
export interface WaitingFor {
  id: SessionId;
  /** When its intent or its last heartbeat was written, by the clock of the storage. */
  lastSignMs: number;
  /** Undefined when its intent cannot be read. */
  host: string | undefined;
  writerId: string | undefined;
}

/** Sessions that have begun and have no outcome; one whose intent cannot be read counts as well. */
export async function listOpenSessions(core: RepositoryCore): Promise<WaitingFor[]> {
  const signs = await listSigns(core);
  if (signs.size === 0) return [];
  const isWaited = await openAmong(core);
  const open: WaitingFor[] = [];
  for (const [id, { lastSignMs }] of signs) {
    if (isWaited(id)) open.push({ id, lastSignMs, ...(await readIntent(core, id)) });
  }
  return open.sort((a, b) => a.lastSignMs - b.lastSignMs);
}

async function readIntent(
  core: RepositoryCore,
  id: SessionId,
): Promise<Pick<WaitingFor, 'host' | 'writerId'>> {
  const name = `sessions/${id}`;
  try {
    const { payload } = await readStoredRecord(core, name, { kinds: [OBJECT_KIND.session] });
    const which = { kind: 'session', which: id };
    const { host, writerId } = decodeStored(which, () => parseSession(payload));
    return { host, writerId };
  } catch (error) {
    const isGone = error instanceof NotFoundError || error instanceof CorruptionError;
    if (!isGone && !(error instanceof VersionError)) throw error;
    return { host: undefined, writerId: undefined };
  }
}

/** Outcomes are listed after the sessions, so that one which commits meanwhile is known to have ended. */
async function openAmong(core: RepositoryCore): Promise<(id: SessionId) => boolean> {
  const outcomes = new Set<SessionId>();
  for await (const { name } of core.storage.list('snapshots/')) {
    const id = OUTCOME_NAME.exec(name)?.[1];
    if (id !== undefined) outcomes.add(id as SessionId);
  }
  const ended = endedBy(await loadTombs(core));
  return (id) => isOpen(id, outcomes, ended);
}

/**
 * Fences those that can be taken for dead; gives the others, and when that was by the clock of the
 * storage.
 * @param ttlMs without a sign of life, by the clock of the storage.
 * @param ownWriterId of the client that collects: it holds the lock of that id, so no process of its
 * own is at work under it any more.
 */
export async function fenceDead(
  core: RepositoryCore,
  sessions: readonly WaitingFor[],
  { ttlMs, ownWriterId, newSalt }: { ttlMs: number; ownWriterId: string; newSalt: SaltSource },
): Promise<{ fenced: SessionId[]; left: WaitingFor[]; nowMs: number }> {
  if (sessions.length === 0) return { fenced: [], left: [], nowMs: 0 };
  const nowMs = await storageNowMs(core);
  const isDead = ({ lastSignMs, writerId }: WaitingFor): boolean =>
    writerId === ownWriterId || nowMs - lastSignMs >= ttlMs;
  const fenced: SessionId[] = [];
  for (const session of sessions.filter(isDead)) {
    if (await fence(core, session.id, newSalt)) fenced.push(session.id);
  }
  return { fenced, left: sessions.filter((session) => !isDead(session)), nowMs };
}

/** False when the session has an outcome already, which serves as well. */
async function fence(
  { keys, storage }: RepositoryCore,
  id: SessionId,
  newSalt: SaltSource,
): Promise<boolean> {
  const name = `snapshots/${id}`;
  const identity = { kind: OBJECT_KIND.fence, name };
  const file = sealObject(keys, identity, { payload: encodeFence('expired'), salt: newSalt });
  return (await storage.putIfAbsent(name, file)) === 'created';
}

/** Those among them that still have no outcome, each with its newest sign of life. */
export async function stillOpen(
  core: RepositoryCore,
  sessions: readonly WaitingFor[],
): Promise<WaitingFor[]> {
  if (sessions.length === 0) return [];
  const signs = await listSigns(core);
  const isWaited = await openAmong(core);
  return sessions
    .filter(({ id }) => isWaited(id))
    .map((session) => {
      const lastSignMs = signs.get(session.id)?.lastSignMs ?? session.lastSignMs;
      return { ...session, lastSignMs };
    });
}

/** Removes what sessions left behind that have an outcome, where that is permitted. */
export async function removeEnded(core: RepositoryCore): Promise<void> {
  const signs = await listSigns(core);
  if (signs.size === 0) return;
  const isWaited = await openAmong(core);
  try {
    for (const [id, { names }] of signs) {
      if (isWaited(id)) continue;
      for (const name of names) await core.storage.delete(name);
    }
  } catch {
    // A maintenance host deletes them.
  }
}

interface Signs {
  lastSignMs: number;
  /** Of the intent and the heartbeats. */
  names: string[];
}

async function listSigns({ storage }: RepositoryCore): Promise<Map<SessionId, Signs>> {
  const signs = new Map<SessionId, Signs>();
  for await (const { name, modifiedMs } of storage.list('sessions/')) {
    const id = SESSION_NAME.exec(name)?.[1] as SessionId | undefined;
    if (id === undefined) continue;
    const known = signs.get(id) ?? { lastSignMs: 0, names: [] };
    known.names.push(name);
    known.lastSignMs = Math.max(known.lastSignMs, Math.floor(modifiedMs));
    signs.set(id, known);
  }
  return signs;
}
