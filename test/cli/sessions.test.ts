/** `varve sessions`: a running session, one that was killed long ago, and one that is damaged. */
import assert from 'node:assert/strict';
import { readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { test } from 'node:test';
import { beginSession } from '../../src/repository/begin-session.ts';
import { openRepository } from '../../src/repository/open-repository.ts';
import { createLocalStorage } from '../../src/storage/local.ts';
import { contentOf, homeWithRepository, type VarveHome } from '../helpers/run-varve.ts';

/** The file of a session whose process is gone without having said so. */
async function leaveSession(home: VarveHome): Promise<string> {
  const repository = await openRepository({
    storage: await createLocalStorage(home.repo),
    askPassphrase: async () => undefined,
    cacheDirectory: home.path('cache', 'varve'),
    stateDirectory: home.path('state', 'varve'),
  });
  try {
    return (await beginSession(repository, { purpose: 'snapshot' })).id;
  } finally {
    await repository.close();
  }
}

test('varve sessions lists who writes and who was stopped, and writes nothing', async (t) => {
  const home = await homeWithRepository(t);
  const none = await home.ok('sessions');
  const [running, silent] = [await leaveSession(home), await leaveSession(home)];
  const longAgo = new Date('2026-01-31T12:00:00Z');
  utimesSync(`${home.repo}/sessions/${silent}`, longAgo, longAgo);
  await home.ok('sessions'); // Makes the cache.
  const before = contentOf(home.repo);

  const { stdout } = await home.ok('sessions');
  const { code, lines } = await home.runJson(['sessions']);

  assert.equal(none.stdout, '0 sessions\n');
  const rows = stdout.split('\n');
  assert.equal(rows.length, 4);
  const rowOf = (id: string) => rows.find((row) => row.startsWith(id.slice(0, 8))) as string;
  assert.match(rowOf(running), / {2}snapshot {2}varve \S+ {2}running, last sign 20\d\d-/);
  assert.match(rowOf(silent), / {2}silent since 2026-01-31 12:00:00$/);
  assert.equal(rows[2], '2 sessions');
  assert.equal(code, 0);
  assert.deepEqual(lines.at(-1), {
    v: 1,
    message_type: 'summary',
    code: 0,
    sessions: 2,
    error_count: 0,
  });
  const line = lines.find(({ id }) => id === silent);
  const { started, writer_id: writer, program, ...fields } = line as NonNullable<typeof line>;
  assert.match(String(started), /^20\d\d-.*Z$/);
  assert.match(String(writer), /^[0-9a-f]{32}$/);
  assert.match(String(program), /^varve /);
  assert.deepEqual(fields, {
    v: 1,
    message_type: 'session',
    id: silent,
    short_id: silent.slice(0, 8),
    hostname: hostname(),
    purpose: 'snapshot',
    last_sign: '2026-01-31T12:00:00.000000000Z',
    state: 'silent',
  });
  assert.deepEqual(contentOf(home.repo), before);
});

test('3: varve sessions names a damaged record and lists the others', async (t) => {
  const home = await homeWithRepository(t);
  const [whole, torn] = [await leaveSession(home), await leaveSession(home)];
  const path = `${home.repo}/sessions/${torn}`;
  const bytes = readFileSync(path);
  rmSync(path);
  writeFileSync(path, bytes.subarray(1));

  const { code, lines } = await home.runJson(['sessions']);

  assert.equal(code, 3);
  const [error, session, summary] = lines;
  assert.deepEqual([error?.['code'], error?.['item']], ['damaged', `sessions/${torn}`]);
  assert.equal(session?.['id'], whole);
  assert.deepEqual([summary?.['sessions'], summary?.['error_count']], [1, 1]);
});
