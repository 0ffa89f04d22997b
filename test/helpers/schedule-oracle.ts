/**
 * What must hold when all processes of a schedule have ended (`process-schedule.ts`), and still holds
 * after a prune to its end:
 *
 * - every acknowledged snapshot that nobody was told to forget is listed and restores to what was saved,
 *   any other one to something that was being saved; what a command said is forgotten is not listed;
 * - `check --read-data` finds no damage, and in the end nothing at all that was left behind;
 * - a process that was not killed ended with a code that means what it did; a session that somebody
 *   fenced committed nothing, and its process began another one, or gave up as busy after the third.
 */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { checkRepository } from '../../src/maintain/check.ts';
import { pruneRepository } from '../../src/maintain/prune/prune.ts';
import { OBJECT_KIND } from '../../src/record/object-kind.ts';
import { parseFence } from '../../src/record/session-records.ts';
import { openRepository } from '../../src/repository/open-repository.ts';
import type { Repository } from '../../src/repository/repository.ts';
import { readStoredRecord } from '../../src/repository/stored-records.ts';
import { loadView } from '../../src/repository/view.ts';
import { restoreSnapshot } from '../../src/restore/restore-snapshot.ts';
import type { Snapshot } from '../../src/snapshot/selection.ts';
import { openLocalStorage } from '../../src/storage/local.ts';
import { encodeUtf8 } from '../../src/util/bytes.ts';
import { type CommandEnded, describeDirectory } from './fault-place.ts';
import { type EndedProcess, lastLine, type PlayedSchedule } from './process-schedule.ts';
import type { ScheduleGround, ScheduleLedger } from './schedule-ground.ts';
import { namesOf } from './test-repository.ts';

/** A session gives up when it was fenced this often. */
const triesMax = 3;
const prunesMax = 5;

export interface JudgedSchedule {
  /** One line each; nothing when all is well. */
  readonly faults: string[];
  /** Sessions that somebody else ended, and those of them whose process lived to find out. */
  readonly fencedCount: number;
  readonly refusedCount: number;
  /** Collections that deleted packs, and how many. */
  readonly sweepCount: number;
  readonly deletedCount: number;
}

export async function judgeSchedule(
  ground: ScheduleGround,
  { ledger, processes }: PlayedSchedule,
): Promise<JudgedSchedule> {
  const { scratch } = ground;
  const repository = await openRepository({
    storage: await openLocalStorage(ground.repository),
    askPassphrase: async () => undefined,
    cacheDirectory: join(scratch, 'cache'),
    stateDirectory: join(scratch, 'state'),
  });
  try {
    const fenced = await fencedSessions(repository);
    const { collector } = await loadView(repository, 'read');
    const sweeps = collector.sweeps.filter((sweep) => sweep.delete.length > 0);
    const faults = processes.flatMap((process) => untrue(process, { fenced, ledger }));
    faults.push(...(await findLosses(repository, { ledger, scratch, when: 'at the end' })));
    if (faults.length === 0) faults.push(...(await pruneToEnd(repository)));
    const when = 'after a last prune';
    faults.push(...(await findLosses(repository, { ledger, scratch, when })));
    if (faults.length === 0) faults.push(...(await findLeftovers(repository)));
    const living = processes.filter(({ wasKilled }) => !wasKilled);
    return {
      faults,
      fencedCount: fenced.size,
      refusedCount: living.flatMap(({ sessions }) => sessions.filter((id) => fenced.has(id)))
        .length,
      sweepCount: sweeps.length,
      deletedCount: sweeps.reduce((sum, sweep) => sum + sweep.delete.length, 0),
    };
  } finally {
    await repository.close();
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** Sessions that others have ended. */
async function fencedSessions(repository: Repository): Promise<Set<string>> {
  const fenced = new Set<string>();
  const { fences } = await loadView(repository, 'read');
  for (const { id } of fences) {
    const kinds = [OBJECT_KIND.fence];
    const { payload } = await readStoredRecord(repository, `snapshots/${id}`, { kinds });
    if (parseFence(payload) === 'expired') fenced.add(id);
  }
  return fenced;
}

/** Whether a command did what it said. */
function untrue(
  process: EndedProcess,
  { fenced, ledger }: { fenced: ReadonlySet<string>; ledger: ScheduleLedger },
): string[] {
  const { command, wasKilled, ended, name } = process;
  if (wasKilled) return [];
  const isTrue =
    command === 'snapshot'
      ? isTrueSnapshot(process, fenced)
      : command === 'forget'
        ? isTrueForget(ended, ledger)
        : isTruePrune(ended);
  const said = `${ended.stdout.slice(-600)}${ended.stderr}`;
  return isTrue ? [] : [`${name} is not what it did: ${ended.code ?? ended.signal} ${said}`];
}

function isTrueSnapshot({ sessions, ended }: EndedProcess, fenced: ReadonlySet<string>): boolean {
  const { snapshot_id: id } = lastLine(ended);
  const last = sessions.at(-1) ?? '';
  const wereRefused = sessions.slice(0, -1).every((session) => fenced.has(session));
  const isCommitted = ended.code === 0 && id === last && !fenced.has(last);
  const isBusy = ended.code === 11 && sessions.length === triesMax && fenced.has(last);
  return wereRefused && (isCommitted || isBusy);
}

/** It may be that another one was faster, and lived to say so or not. */
function isTrueForget(ended: CommandEnded, { wanted }: ScheduleLedger): boolean {
  const isGone = lastLine(ended)['error_code'] === 'not_found' && wanted.size > 0;
  return ended.code === 0 || (ended.code === 1 && isGone);
}

function isTruePrune(ended: CommandEnded): boolean {
  const { outcome } = lastLine(ended);
  return ended.code === 0 ? outcome === 'swept' || outcome === 'nothing' : ended.code === 11;
}

interface Expected {
  readonly ledger: ScheduleLedger;
  readonly scratch: string;
  readonly when: string;
}

async function findLosses(repository: Repository, expected: Expected): Promise<string[]> {
  const { kept, wanted, forgotten } = expected.ledger;
  const { snapshots } = await loadView(repository, 'read');
  const listed = new Set<string>(snapshots.map(({ id }) => id));
  const faults: string[] = [];
  for (const id of kept.keys()) {
    if (!listed.has(id) && !wanted.has(id)) faults.push(`lost: snapshot ${id}`);
  }
  for (const id of forgotten) if (listed.has(id)) faults.push(`not forgotten: snapshot ${id}`);
  for (const snapshot of snapshots) {
    const wrong = await findWrong(repository, snapshot, expected).catch((error: Error) => [
      error.message,
    ]);
    for (const problem of wrong) faults.push(`wrong: snapshot ${snapshot.id}: ${problem}`);
  }
  const { findings } = await checkRepository(repository, { isReadingData: true });
  for (const { kind, severity, message } of findings) {
    const isFault = severity === 'damage' || kind === 'pack-missing';
    if (isFault) faults.push(`${kind}: ${message}`);
  }
  return faults.map((fault) => `${expected.when}: ${fault}`);
}

/** Restores a snapshot and compares it with what was saved. */
async function findWrong(
  repository: Repository,
  snapshot: Snapshot,
  { ledger: { kept, possible }, scratch }: Expected,
): Promise<string[]> {
  const [path = new Uint8Array(0)] = snapshot.manifest.roots;
  const target = join(scratch, 'restored');
  const problems: string[] = [];
  try {
    await restoreSnapshot(repository, {
      snapshot,
      names: namesOf(path),
      target: encodeUtf8(target),
      onError: (error) => problems.push(error.message),
    });
    const restored = describeDirectory(target);
    const whole = kept.get(snapshot.id);
    const isRight = whole === undefined ? possible.has(restored) : restored === whole;
    return isRight ? problems : [...problems, 'it is not what was saved'];
  } finally {
    rmSync(target, { recursive: true, force: true });
  }
}

/** All who wrote have ended, or never will. */
async function pruneToEnd(repository: Repository): Promise<string[]> {
  for (let i = 0; i < prunesMax; i++) {
    const { outcome } = await pruneRepository(repository, { graceMs: 0, sessionTtlMs: 0 });
    if (outcome === 'nothing') return [];
  }
  return [`${prunesMax} prunes do not come to an end`];
}

/** Packs of killed sessions, which are left for a day, are all that may be there besides. */
async function findLeftovers(repository: Repository): Promise<string[]> {
  const { findings } = await checkRepository(repository, { isReadingData: false });
  const faults = findings
    .filter(({ kind }) => kind !== 'pack-unindexed')
    .map(({ kind, object }) => `left: ${kind} ${object}`);
  for await (const { name } of repository.storage.list('sessions/')) faults.push(`left: ${name}`);
  return faults;
}
