/**
 * Sessions that began and have no outcome: they write at this moment, or were killed. Only listings
 * and the intents themselves are read. Sessions are listed before outcomes, so that one which
 * commits meanwhile is known to have ended.
 */
import type { SessionId } from '../id.ts';
import { isOpen } from '../protocol/outcomes.ts';
import { OBJECT_KIND } from '../record/object-kind.ts';
import { parseSession, type SessionPurpose } from '../record/session-records.ts';
import { demand } from '../util/byte-reader.ts';
import { nowMs } from '../util/clock.ts';
import type { RepositoryCore } from './repository.ts';
import { decodeStored, readStoredRecord } from './stored-records.ts';
import { type DamagedObject, endedBy, loadTombs, readEach } from './view.ts';

const SESSION_NAME = /^sessions\/([0-9a-f]{32})(\.h[0-9a-f]{6})?$/;
const OUTCOME_NAME = /^snapshots\/([0-9a-f]{32})$/;

/** Three heartbeats. */
const silentAfterMs = 30 * 60 * 1000;

export interface OpenSession {
  /** 32 hex digits; the id of the snapshot, if it commits. */
  id: SessionId;
  /** 32 hex digits. */
  writerId: string;
  host: string;
  program: string;
  purpose: SessionPurpose;
  /** By the clock of its host. */
  startedMs: number;
  /** When its intent or its last heartbeat was written, by the clock of the storage. */
  lastSignMs: number;
  /** Silent: no sign for half an hour by the clock here, so it was probably killed or suspended. */
  state: 'running' | 'silent';
}

export interface OpenSessions {
  /** Oldest first. */
  sessions: OpenSession[];
  /** Intents that cannot be read, and tombs, which might tell that a session here has ended. */
  damaged: DamagedObject[];
}

export async function listSessions(core: RepositoryCore): Promise<OpenSessions> {
  const signs = await listSigns(core);
  const outcomes = await listOutcomes(core);
  const { tombs, damaged } = await loadTombs(core);
  const ended = endedBy({ tombs });
  const sessions: OpenSession[] = [];
  const now = nowMs(core.clock);
  const open = [...signs.keys()].filter((id) => isOpen(id, outcomes, ended));
  const names = open.map((id) => `sessions/${id}`);
  // One that is gone when it is read has ended.
  await readEach(names, damaged, async (name) => {
    const id = name.slice('sessions/'.length);
    const lastSignMs = signs.get(id as SessionId) as number;
    const { payload } = await readStoredRecord(core, name, { kinds: [OBJECT_KIND.session] });
    const { sessionId, ...intent } = decodeStored({ kind: 'session', which: id }, () => {
      const session = parseSession(payload);
      demand(session.sessionId === id, `session id ${session.sessionId}`);
      return session;
    });
    const state = now - lastSignMs > silentAfterMs ? 'silent' : 'running';
    sessions.push({ id: sessionId as SessionId, ...intent, lastSignMs, state });
  });
  sessions.sort((a, b) => a.startedMs - b.startedMs || (a.id < b.id ? -1 : 1));
  return { sessions, damaged };
}

/** The newest sign of life of every session that has an intent. */
async function listSigns({ storage }: RepositoryCore): Promise<Map<SessionId, number>> {
  const signs = new Map<SessionId, number>();
  const intents = new Set<SessionId>();
  for await (const { name, modifiedMs } of storage.list('sessions/')) {
    const [, session, heartbeat] = SESSION_NAME.exec(name) ?? [];
    if (session === undefined) continue;
    const id = session as SessionId;
    if (heartbeat === undefined) intents.add(id);
    signs.set(id, Math.max(signs.get(id) ?? 0, Math.floor(modifiedMs)));
  }
  return new Map([...signs].filter(([id]) => intents.has(id)));
}

/** A snapshot and a fence stand at the same name. */
async function listOutcomes({ storage }: RepositoryCore): Promise<Set<SessionId>> {
  const outcomes = new Set<SessionId>();
  for await (const { name } of storage.list('snapshots/')) {
    const id = OUTCOME_NAME.exec(name)?.[1];
    if (id !== undefined) outcomes.add(id as SessionId);
  }
  return outcomes;
}
