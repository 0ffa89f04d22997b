/** `snapshot-faults.test.ts` at every call to the file system. */
import { test } from 'node:test';
import { assertFaultIsTold, countScriptCalls, FAULT_KINDS } from '../helpers/repository-faults.ts';
import { tempDir } from '../helpers/temp-dir.ts';

for (const code of ['EIO', 'ENOSPC']) {
  for (const kind of FAULT_KINDS) {
    test(`${code} at every call, ${JSON.stringify(kind)}, is told and loses nothing`, async (t) => {
      const directory = tempDir(t);
      const callCount = await countScriptCalls(directory);

      for (let at = 0; at < callCount; at++) {
        await assertFaultIsTold({ at, code, ...kind }, directory);
      }
      t.diagnostic(`${callCount} calls`);
    });
  }
}
