/**
 * `init` and two snapshots on a disk that fails: EIO and ENOSPC, once, from then on, and after the
 * call was made. Each run ends with a typed error or has told the truth; the next one needs no
 * repair. Here at every few calls, in `snapshot-faults.slow.ts` at all.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Storage } from '../../src/storage/storage.ts';
import { interceptStorage } from '../helpers/fault-storage.ts';
import { assertFaultIsTold, countScriptCalls, FAULT_KINDS } from '../helpers/repository-faults.ts';
import { testSeed } from '../helpers/seeded-random.ts';
import { tempDir } from '../helpers/temp-dir.ts';

const INTERVAL = 19;

for (const code of ['EIO', 'ENOSPC']) {
  test(`${code} of the disk during init or snapshot is told and loses nothing`, async (t) => {
    const directory = tempDir(t);
    const callCount = await countScriptCalls(directory);

    let kind = 0;
    for (let at = testSeed % INTERVAL; at < callCount; at += INTERVAL) {
      for (let i = 0; i < 2; i++) {
        await assertFaultIsTold(
          { at, code, ...FAULT_KINDS[kind++ % FAULT_KINDS.length] },
          directory,
        );
      }
    }
  });
}

for (const operation of ['put', 'putIfAbsent'] as const) {
  test(`a storage that keeps quiet about a failed ${operation} is caught`, async (t) => {
    const directory = tempDir(t);
    const callCount = await countScriptCalls(directory);
    const quiet = (storage: Storage): Storage =>
      interceptStorage(storage, (call, run) =>
        call.operation === operation ? run().catch(() => 'created' as never) : run(),
      );

    let judged = 0;
    for (let at = Math.floor(callCount / 3); at < callCount; at++) {
      judged += 1;
      const fault = { at, code: 'ENOSPC' };
      const isCaught = await assertFaultIsTold(fault, directory, { storage: quiet }).then(
        () => false,
        () => true,
      );
      if (!isCaught) continue;
      t.diagnostic(`run ${judged} of ${callCount}`);
      return;
    }
    assert.fail(`nothing found in ${judged} runs`);
  });
}
