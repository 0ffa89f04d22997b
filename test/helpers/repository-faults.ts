/** The script of the crash tests with one fault of the disk, and what must hold of it. */
import assert from 'node:assert/strict';
import { VarveError } from '../../src/errors.ts';
import { type FsFault, failAtCall, recordFs } from './intercepted-fs.ts';
import { Ledger, newHome } from './repository-crash.ts';
import { type Change, findLossesOnDisk, runScript } from './repository-crash-states.ts';
import { SimFs } from './sim-fs.ts';

export const FAULT_KINDS: readonly Omit<FsFault, 'at' | 'code'>[] = [
  {},
  { isLasting: true },
  { isApplied: true },
];

export async function countScriptCalls(directory: string): Promise<number> {
  const { fs, calls } = recordFs(new SimFs());
  await runScript(fs, new Ledger(), { home: newHome(directory) });
  return calls.length;
}

/**
 * Runs the script with the fault: it ends with a typed error or has done what it says. Afterwards,
 * with the disk well again and also after a power cut, nothing acknowledged is lost.
 */
export async function assertFaultIsTold(
  fault: FsFault,
  directory: string,
  change?: Change,
): Promise<void> {
  const sim = new SimFs();
  const ledger = new Ledger();
  const home = newHome(directory);
  const fs = failAtCall(sim, {
    ...fault,
    onFailure: ({ operation, path }) => {
      if (operation === 'syncFile') sim.forgetUnsynced(path);
    },
  });
  const where = `${fault.code} at call ${fault.at} ${JSON.stringify(fault)}`;

  await runScript(fs, ledger, { home, change }).catch((error: unknown) => {
    assert.ok(error instanceof VarveError, `${where}: a typed error, not ${error}`);
  });

  const cut = sim.crash(fault.at, 'weak');
  assert.deepEqual(await findLossesOnDisk(cut, ledger, newHome(directory)), [], `${where}, cut`);
  assert.deepEqual(await findLossesOnDisk(sim, ledger, home), [], where);
}
