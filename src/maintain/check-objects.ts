/**
 * The objects that neither the view nor the index reads in full: config and its updates, key slots,
 * session records, and collector records one by one. Whatever lies beside them and is none of ours
 * is noted and left alone.
 */
import { NoRepositoryError, NotFoundError, VarveError } from '../errors.ts';
import { parseDone, parseMark, parseMergedSweep, parseSweep } from '../record/collector-records.ts';
import { OBJECT_KIND } from '../record/object-kind.ts';
import { parseRecord } from '../record/record.ts';
import { parseSession } from '../record/session-records.ts';
import { listKeySlots } from '../repository/manage-keys.ts';
import { readConfig } from '../repository/open-repository.ts';
import type { Repository } from '../repository/repository.ts';
import { decodeStored, readStoredRecord } from '../repository/stored-records.ts';
import { isObjectName } from '../storage/names.ts';
import { mapConcurrent } from '../util/concurrent.ts';
import type { Findings, Severity } from './finding.ts';

const READS_IN_FLIGHT = 8;
/** So many foreign files are named; a directory of millions must not become as many findings. */
const FOREIGN_COUNT_MAX = 100;

/** What an object of such a name must be, and how bad it is when it is not. */
interface RecordRule {
  readonly name: RegExp;
  readonly severity: Severity;
  readonly read: (repository: Repository, name: string) => Promise<unknown>;
}

const rules: readonly RecordRule[] = [
  { name: /^config(\.d\/|$)/, severity: 'damage', read: readConfig },
  collectorRule(/^gc\/.*\.mark$/, OBJECT_KIND.mark, parseMark),
  collectorRule(/^gc\/.*\.sweep$/, OBJECT_KIND.sweep, parseSweep),
  collectorRule(/^gc\/.*\.merged$/, OBJECT_KIND.sweep, parseMergedSweep),
  collectorRule(/^gc\/.*\.done$/, OBJECT_KIND.sweep, parseDone),
  sessionRule(/^sessions\/[0-9a-f]{32}$/, parseSession),
  sessionRule(/\.h[0-9a-f]{6}$/, (payload) => parseRecord(payload, 'heartbeat')),
];

/** What `init` may have put beside the objects, for restoring without varve. */
const companions: ReadonlySet<string> = new Set(['recover.mjs', 'README.txt']);

/** @throws StorageError, or the signal's reason */
export async function checkObjects(
  repository: Repository,
  { findings, signal }: { findings: Findings; signal: AbortSignal | undefined },
): Promise<void> {
  const { storage } = repository;
  const names = ['config']; // Also when it is not listed any more.
  let foreignCount = 0;
  for await (const { name } of storage.list('', { signal })) {
    if (companions.has(name)) continue;
    if (!isObjectName(name)) {
      foreignCount += 1;
      const message = `${name} is no file of a repository; it is left alone`;
      const isNamed = foreignCount <= FOREIGN_COUNT_MAX;
      if (isNamed) findings.add({ kind: 'foreign-file', severity: 'note', object: name, message });
    } else if (name !== 'config' && rules.some((rule) => rule.name.test(name))) names.push(name);
  }
  if (foreignCount > FOREIGN_COUNT_MAX) {
    const message = `${foreignCount - FOREIGN_COUNT_MAX} more files are none of a repository`;
    const object = storage.location;
    findings.add({ kind: 'foreign-file', severity: 'note', object, message });
  }
  await mapConcurrent(names.sort(), READS_IN_FLIGHT, async (name) => {
    signal?.throwIfAborted();
    await checkRecord(repository, name, findings);
  });
  await checkKeySlots(repository, findings);
}

async function checkRecord(
  repository: Repository,
  name: string,
  findings: Findings,
): Promise<void> {
  const rule = rules.find((one) => one.name.test(name)) as RecordRule;
  try {
    await rule.read(repository, name);
  } catch (error) {
    // What is gone when it is read was deleted meanwhile, but for the config, which never is.
    if (error instanceof NotFoundError) return;
    if (!(error instanceof VarveError) || error.code === 'STORAGE') throw error;
    const { severity } = rule;
    const { message } = error instanceof NoRepositoryError ? new Error('config is gone') : error;
    findings.add({ kind: 'record-damaged', severity, object: name, message });
  }
}

async function checkKeySlots(repository: Repository, findings: Findings): Promise<void> {
  for (const slot of await listKeySlots(repository)) {
    const object = `keys/${slot.id}`;
    const kind = 'key-slot-damaged';
    const isUsed = object === repository.keySlot.name && !slot.isInUse;
    const heal = `varve key remove ${slot.id.slice(0, 8)}`;
    if (slot.kind === 'damaged') {
      findings.add({ kind, object, message: `${object} is damaged: ${slot.found}`, heal });
    } else if (slot.kind === 'foreign') {
      // It opens nothing here and is in nobody's way: an `init` that was stopped leaves one.
      const message = `${object} is of another repository, or of an init that was stopped`;
      findings.add({ kind, severity: 'note', object, message, heal });
    } else if (isUsed) {
      const message = `${object} is no longer what opened the repository`;
      findings.add({ kind, object, message, heal });
    } else if (slot.kind === 'unknown') {
      const message = `${object} is of a later version, or damaged: ${slot.found}`;
      findings.add({ kind, severity: 'note', object, message });
    }
  }
}

function collectorRule(
  name: RegExp,
  kind: typeof OBJECT_KIND.mark | typeof OBJECT_KIND.sweep,
  parse: (payload: Uint8Array) => unknown,
): RecordRule {
  return { name, severity: 'damage', read: reading(kind, parse) };
}

/** A damaged one costs a collection a wait, since its writer may be running, and nothing else. */
function sessionRule(name: RegExp, parse: (payload: Uint8Array) => unknown): RecordRule {
  return { name, severity: 'note', read: reading(OBJECT_KIND.session, parse) };
}

function reading(
  kind: typeof OBJECT_KIND.mark | typeof OBJECT_KIND.sweep | typeof OBJECT_KIND.session,
  parse: (payload: Uint8Array) => unknown,
): RecordRule['read'] {
  return async (repository, name) => {
    const { payload } = await readStoredRecord(repository, name, { kinds: [kind] });
    decodeStored({ kind: 'record', which: name }, () => parse(payload));
  };
}
