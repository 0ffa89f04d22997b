/** Which sessions are listed as open: from their intent to their outcome, alive or not. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { encodeHeartbeat } from '../../src/record/session-records.ts';
import { beginSession } from '../../src/repository/begin-session.ts';
import { initRepository } from '../../src/repository/init-repository.ts';
import { listSessions } from '../../src/repository/list-sessions.ts';
import type { Repository } from '../../src/repository/repository.ts';
import type { Session } from '../../src/repository/session.ts';
import { createMemoryStorage } from '../../src/storage/memory.ts';
import type { Clock } from '../../src/util/clock.ts';
import { interceptStorage, recordStorage } from '../helpers/fault-storage.ts';
import { RecordWriter } from '../helpers/record-writer.ts';
import { newHome, openClient, snapshotTree, sourceTree } from '../helpers/repository-crash.ts';
import { tempDir } from '../helpers/temp-dir.ts';
import { replaceObject } from '../helpers/test-repository.ts';

const startMs = 1_700_000_000_000;
const minuteMs = 60_000;

interface Place {
  readonly repository: Repository;
  /** Moves all clocks on. */
  pass(minutes: number): void;
  begin(): Promise<Session>;
}

/** Storage and client share a clock that stands still until it is moved. */
async function newPlace(t: TestContext): Promise<Place> {
  let now = startMs;
  const clock: Clock = {
    nowNs: () => BigInt(now) * 1_000_000n,
    monotonicNs: () => BigInt(now) * 1_000_000n,
  };
  const storage = createMemoryStorage({ clock });
  await initRepository({ storage, credential: { kind: 'none' } });
  const repository = await openClient(storage, { home: newHome(tempDir(t)), salt: 2, clock });
  t.after(() => repository.close());
  return {
    repository,
    pass: (minutes) => {
      now += minutes * minuteMs;
    },
    begin: () => beginSession(repository, { purpose: 'snapshot' }),
  };
}

test('listSessions() lists a session from its intent to its outcome', async (t) => {
  const { repository, begin } = await newPlace(t);
  await snapshotTree(repository, sourceTree(1));
  const session = await begin();

  const { sessions, damaged } = await listSessions(repository);
  await session.abort();
  const after = await listSessions(repository);

  assert.deepEqual(damaged, []);
  assert.equal(sessions.length, 1);
  const [{ host, writerId, program, ...listed }] = sessions as [(typeof sessions)[number]];
  assert.deepEqual(listed, {
    id: session.id,
    purpose: 'snapshot',
    startedMs: startMs,
    lastSignMs: startMs,
    state: 'running',
  });
  assert.match(writerId, /^[0-9a-f]{32}$/);
  assert.match(program, /^varve /);
  assert.notEqual(host, '');
  assert.deepEqual(after, { sessions: [], damaged: [] });
});

test('listSessions() takes a session for silent half an hour after its last heartbeat', async (t) => {
  const { repository, pass, begin } = await newPlace(t);
  const session = await begin();
  const look = async () => {
    const [listed] = (await listSessions(repository)).sessions;
    return { state: listed?.state, minutes: ((listed?.lastSignMs ?? 0) - startMs) / minuteMs };
  };

  pass(30);
  assert.deepEqual(await look(), { state: 'running', minutes: 0 });
  pass(1);
  assert.deepEqual(await look(), { state: 'silent', minutes: 0 });
  await session.tick();
  assert.deepEqual(await look(), { state: 'running', minutes: 31 });
  pass(31);
  assert.deepEqual(await look(), { state: 'silent', minutes: 31 });
  await session.abort();
  assert.deepEqual(await look(), { state: undefined, minutes: -startMs / minuteMs });
});

test('listSessions() leaves out sessions that have an outcome, or only heartbeats', async (t) => {
  const { repository, begin } = await newPlace(t);
  const { storage } = repository;
  const writer = new RecordWriter(repository);
  const [fenced, closed, open] = [await begin(), await begin(), await begin()];
  await snapshotTree(repository, sourceTree(1));
  await writer.fence(fenced.id);
  await writer.tomb({ closed: [closed.id] });
  const orphan = `sessions/${'0'.repeat(32)}.h000001`;
  await storage.putIfAbsent(orphan, encodeHeartbeat('0'.repeat(32), 1));

  const { sessions, damaged } = await listSessions(repository);

  assert.deepEqual(damaged, []);
  assert.deepEqual(
    sessions.map(({ id }) => id),
    [open.id],
  );
});

test('listSessions() names damaged intents and tombs, and lists the others', async (t) => {
  const { repository, begin } = await newPlace(t);
  const { storage } = repository;
  const [torn, swapped, open] = [await begin(), await begin(), await begin()];
  const intent = await storage.get(`sessions/${torn.id}`);
  await replaceObject(storage, `sessions/${torn.id}`, intent.subarray(0, intent.length - 1));
  await replaceObject(storage, `sessions/${swapped.id}`, await storage.get(`sessions/${open.id}`));
  const tomb = `tombs/${'0'.repeat(64)}`;
  await storage.put(tomb, intent);

  const { sessions, damaged } = await listSessions(repository);

  assert.deepEqual(
    sessions.map(({ id }) => id),
    [open.id],
  );
  assert.deepEqual(
    damaged.map(({ name }) => name).sort(),
    [`sessions/${torn.id}`, `sessions/${swapped.id}`, tomb].sort(),
  );
});

test('listSessions() leaves out a session that ends while it looks', async (t) => {
  const { repository, begin } = await newPlace(t);
  const session = await begin();
  const storage = interceptStorage(repository.storage, async ({ operation }, run) => {
    if (operation === 'get') await session.abort();
    return await run();
  });

  assert.deepEqual(await listSessions({ ...repository, storage }), { sessions: [], damaged: [] });
});

test('listSessions() reads only', async (t) => {
  const { repository, begin } = await newPlace(t);
  await begin();
  const { storage, calls } = recordStorage(repository.storage);

  await listSessions({ ...repository, storage });

  assert.deepEqual(new Set(calls.map((call) => call.split(' ')[0])), new Set(['list', 'get']));
});
