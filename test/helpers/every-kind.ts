/** A small repository that has an object of every kind, and what `check` says once it is damaged. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { VarveError } from '../../src/errors.ts';
import type { CheckResult } from '../../src/maintain/check.ts';
import { OBJECT_KIND } from '../../src/record/object-kind.ts';
import { encodeRecord } from '../../src/record/record.ts';
import { sealObject } from '../../src/record/sealed-object.ts';
import { encodeHeartbeat } from '../../src/record/session-records.ts';
import { beginSession } from '../../src/repository/begin-session.ts';
import { addKey } from '../../src/repository/manage-keys.ts';
import type { Storage } from '../../src/storage/storage.ts';
import { RecordWriter } from './record-writer.ts';
import { seededRandom } from './seeded-random.ts';
import { tempDir } from './temp-dir.ts';
import { check, inScope, newStorage, openClient, type Scope, snapshot } from './test-repository.ts';

/**
 * Two snapshots, one of them forgotten, a fence, records of three collections, two updates of the
 * config, two key slots, and a session that was killed.
 */
export async function everyKindOfObject(scope: Scope): Promise<Storage> {
  const storage = await newStorage();
  const { repository } = await openClient(scope, storage);
  const source = join(tempDir(scope), 'source');
  mkdirSync(join(source, 'directory'), { recursive: true });
  writeFileSync(join(source, 'directory', 'file'), seededRandom().bytes(3000));
  const first = await snapshot({ repository, ...none }, [source]);
  writeFileSync(join(source, 'text'), 'text '.repeat(500));
  await snapshot({ repository, ...none }, [source]);
  await addKey(repository, { kind: 'passphrase', passphrase: 'another' });
  const writer = new RecordWriter(repository);
  await writer.tomb({ forgotten: [first.snapshot] });
  await writer.fence('f'.repeat(32));
  await writer.configUpdate(1, repository.config);
  await writer.configUpdate(2, repository.config);
  const gone = 'e'.repeat(64);
  await writer.mergedSweep(1, { from: 1, packs: [gone] });
  await writer.mark(2, { condemned: [gone] });
  await writer.sweep(2, [gone]);
  await writer.mark(3, { condemned: [gone] });
  const seal = async (kind: 8 | 9, name: string, payload: Uint8Array): Promise<void> => {
    const file = sealObject(repository.keys, { kind, name }, { payload, salt: newSalt() });
    await storage.putIfAbsent(name, file);
  };
  const done = encodeRecord('done', { generation: 2, sweep: gone });
  await seal(OBJECT_KIND.sweep, 'gc/0000000000000002.done', done);
  const killed = await beginSession(repository, { purpose: 'snapshot' });
  const beat = encodeHeartbeat(killed.id, 1);
  await seal(OBJECT_KIND.session, `sessions/${killed.id}.h000001`, beat);
  return storage;
}

const none = { cacheDirectory: '', stateDirectory: '', notices: [] };
const random = seededRandom(77);
const newSalt = (): Uint8Array => random.bytes(32);

/** As a client without memory sees it; undefined where the repository does not open any more. */
export async function checkAsNewClient(storage: Storage): Promise<CheckResult | undefined> {
  let result: CheckResult | undefined;
  await inScope(async (scope) => {
    const client = await openClient(scope, storage).catch((error: unknown) => {
      if (error instanceof VarveError) return undefined;
      throw error;
    });
    if (client !== undefined) result = await check(client, true);
  });
  return result;
}
