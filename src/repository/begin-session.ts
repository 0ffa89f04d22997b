/**
 * How a session begins: the intent is put first, and only then the view is read. Whoever collects
 * lists intents after its mark, so it either waits for this session, or this session sees the mark.
 */
import { hostname } from 'node:os';
import { NotFoundError } from '../errors.ts';
import type { SegmentName, SessionId } from '../id.ts';
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
import { adoptAll } from './rely-on.ts';
import { PROGRAM, type Repository } from './repository.ts';
import { Session } from './session.ts';
import { loadView, type View } from './view.ts';
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
    await adoptSegments(repository, { view, sync, signal });
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
 * A segment that is listed need not be durable: whoever put it may have been killed a moment before it
 * would have been. A snapshot that found all its blobs through it must not outlive it, so the sync
 * before the commit covers its name too. Those that a manifest names were durable before it, and of a
 * compacted one all that it was made from is still there.
 */
async function adoptSegments(
  { storage }: Repository,
  { view, sync, signal }: { view: View; sync: IndexSync; signal: AbortSignal | undefined },
): Promise<void> {
  const names: string[] = [];
  const committed = new Set<SegmentName>();
  for (const { manifest } of [...view.snapshots, ...view.hidden]) {
    for (const name of manifest.segments) committed.add(name);
  }
  for (const { name, level, storageName } of sync.segments.values()) {
    if (level === 0 && !committed.has(name)) names.push(storageName);
  }
  await adoptAll(storage, names, { signal });
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
