/**
 * How a session begins: the intent is put first, and only then the view is read. Whoever collects
 * lists intents after its mark, so it either waits for this session, or this session sees the mark.
 */
import { hostname } from 'node:os';
import { NotFoundError } from '../errors.ts';
import type { SessionId } from '../id.ts';
import { createSaltSource } from '../keys/salt-source.ts';
import { type PackRecord, packStorageName } from '../pack/pack-record.ts';
import { OBJECT_KIND } from '../record/object-kind.ts';
import { sealObject } from '../record/sealed-object.ts';
import { encodeSession, type SessionPurpose } from '../record/session-records.ts';
import { fromHex, toHex } from '../util/bytes.ts';
import { nowMs } from '../util/clock.ts';
import { pass } from './failpoints.ts';
import { isOvertaken, rollbackNotice } from './heads.ts';
import { type IndexSync, indexPacks, readUnindexed, syncIndex } from './index-sync.ts';
import { demandWritable } from './open-repository.ts';
import { PROGRAM, type Repository } from './repository.ts';
import { Session } from './session.ts';
import { loadView } from './view.ts';
import { newWriter } from './writer-state.ts';

/** Steps 1 and 2: the intent, and only then the view. */
export async function beginSession(
  repository: Repository,
  options: { purpose: SessionPurpose; signal?: AbortSignal | undefined },
): Promise<Session> {
  demandWritable(repository);
  const { keys, storage, random, clock, writerStates } = repository;
  const { signal } = options;
  const lease = await writerStates.acquire(repository.onNotice);
  const id = toHex(random.bytes(16)) as SessionId;
  const writerId = fromHex(lease.state.writerId);
  const newSalt = createSaltSource(keys.current, { writerId, random, clock });
  const name = `sessions/${id}`;
  const payload = encodeSession({
    sessionId: id,
    writerId: lease.state.writerId,
    startedMs: nowMs(clock),
    host: hostname(),
    program: PROGRAM,
    purpose: options.purpose,
  });
  const intent = sealObject(keys, { kind: OBJECT_KIND.session, name }, { payload, salt: newSalt });
  try {
    await pass('session.1.before');
    await storage.putIfAbsent(name, intent);
    await pass('session.1.after');
    const view = await loadView(repository, 'write');
    const notice = rollbackNotice(repository, { state: lease.state, view });
    if (notice !== undefined) repository.onNotice(notice);
    const isOurs = !isOvertaken(lease.state, view);
    const state = isOurs ? lease.state : newWriter(random, lease.state);
    const sync = await syncIndex(repository, view, options);
    const adopted = await adoptPacks(repository, sync, signal);
    await pass('session.2.after');
    signal?.throwIfAborted();
    return new Session({ repository, id, view, sync, lease, state, newSalt, adopted, signal });
  } catch (error) {
    await storage.delete(name).catch(() => {});
    await lease.release().catch(() => {});
    throw error;
  }
}

/**
 * Takes over durable packs that no segment names: their writer was killed before it could. They
 * count once they are durable; one that a collector deletes meanwhile never does.
 */
async function adoptPacks(
  repository: Repository,
  sync: IndexSync,
  signal: AbortSignal | undefined,
): Promise<PackRecord[]> {
  if (sync.unindexed.length === 0) return [];
  const { storage } = repository;
  const adopted: PackRecord[] = [];
  for (const record of await readUnindexed(repository, sync, { signal })) {
    try {
      await storage.adopt(packStorageName(record), { signal });
      adopted.push(record);
    } catch (error) {
      if (!(error instanceof NotFoundError)) throw error;
    }
  }
  await storage.sync();
  await indexPacks(repository, sync, adopted);
  return adopted;
}
