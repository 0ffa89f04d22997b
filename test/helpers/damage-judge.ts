/**
 * What a client makes of a damaged repository: whether a check finds the damage and names the object,
 * and whether anything that is read is other than what was saved. Clients keep all in memory but their
 * cache, and may have been there before the damage.
 */
import { VarveError } from '../../src/errors.ts';
import { type CheckOptions, type CheckResult, checkRepository } from '../../src/maintain/check.ts';
import { openRepository } from '../../src/repository/open-repository.ts';
import { openReadAccess } from '../../src/repository/read-access.ts';
import type { Repository } from '../../src/repository/repository.ts';
import type { Storage } from '../../src/storage/storage.ts';
import { table } from './fault-reports.ts';
import { describeSnapshot, MemoryStateFs } from './repository-crash.ts';
import { inScope, memoryDir, type Scope } from './test-repository.ts';

/** What each snapshot holds, by its id. */
export type Contents = ReadonlyMap<string, string>;

/** What came of one damage, for one client. */
export interface Verdict {
  /** The check says that something is wrong, or the repository does not open. */
  readonly isDetected: boolean;
  /** The check names all damaged objects; one is enough where the repository does not open. */
  readonly isNamed: boolean;
  readonly wrongCount: number;
  /** Of an error that is none of the known kinds. */
  readonly crash: string | undefined;
}

export interface DamageTally {
  readonly damage: string;
  tried: number;
  detected: number;
  named: number;
  wrongBytes: number;
  crashes: number;
}

/** Opens a repository as a client of its own; closed when the scope ends. */
export async function openMemoryClient(scope: Scope, storage: Storage): Promise<Repository> {
  const repository = await openRepository({
    storage,
    askPassphrase: async () => undefined,
    cacheDirectory: memoryDir(scope),
    stateDirectory: '/state',
    stateFs: new MemoryStateFs(),
    onNotice: () => {},
  });
  scope.after(() => repository.close());
  return repository;
}

/** Everything that every snapshot holds. */
export async function contentsOf(repository: Repository): Promise<Map<string, string>> {
  const access = await openReadAccess(repository);
  const contents = new Map<string, string>();
  for (const snapshot of [...access.view.snapshots, ...access.view.hidden]) {
    contents.set(snapshot.id, (await describeSnapshot(access, snapshot)).join('\n'));
  }
  return contents;
}

/** Without these no repository opens. */
const NEEDED_TO_OPEN = /^(?:config|config\.d\/.*|keys\/.*)$/;

/** As a client without memory sees it. */
export async function judgeAsNewClient(
  storage: Storage,
  damaged: ReadonlySet<string>,
  contents: Contents,
): Promise<Verdict> {
  let verdict: Verdict | undefined;
  await inScope(async (scope) => {
    let client: Repository;
    try {
      client = await openMemoryClient(scope, storage);
    } catch (error) {
      const isNamed = [...damaged].some((name) => NEEDED_TO_OPEN.test(name));
      verdict = { isDetected: true, isNamed, wrongCount: 0, crash: crashOf(error) };
      return;
    }
    verdict = await judgeDamage(client, damaged, { contents });
  });
  return verdict as Verdict;
}

/**
 * @param damaged names of objects that are not what they were
 * @param contents what may be read; undefined reads nothing
 */
export async function judgeDamage(
  client: Repository,
  damaged: ReadonlySet<string>,
  { contents, check = { isReadingData: true } }: { contents?: Contents; check?: CheckOptions },
): Promise<Verdict & { readonly result: CheckResult | undefined }> {
  let crash: string | undefined;
  let result: CheckResult | undefined;
  let wrongCount = 0;
  try {
    result = await checkRepository(client, check);
    if (contents !== undefined) wrongCount = await countWrong(client, contents);
  } catch (error) {
    crash = crashOf(error);
  }
  const findings = result?.findings ?? [];
  const named = new Set(findings.map(({ object }) => object));
  const isNamed = [...damaged].every((name) => named.has(name));
  const isDetected = findings.length > 0 || (result === undefined && crash === undefined);
  return { isDetected, isNamed, wrongCount, crash, result };
}

function crashOf(error: unknown): string | undefined {
  return error instanceof VarveError ? undefined : String((error as Error).stack);
}

/** Snapshots that are read to their end and hold something else. */
async function countWrong(client: Repository, contents: Contents): Promise<number> {
  let wrongCount = 0;
  const access = await openReadAccess(client);
  for (const snapshot of access.view.snapshots) {
    try {
      const found = (await describeSnapshot(access, snapshot)).join('\n');
      if (found !== contents.get(snapshot.id)) wrongCount += 1;
    } catch (error) {
      if (!(error instanceof VarveError)) throw error;
    }
  }
  return wrongCount;
}

/** Tallies by kind of damage, in the order in which they come. */
export class DamageTallies {
  readonly #byDamage = new Map<string, DamageTally>();
  /** What must not be, one line each. */
  readonly losses: string[] = [];

  get all(): readonly DamageTally[] {
    return [...this.#byDamage.values()];
  }

  /**
   * @param mustName whether every damaged object has to be named by the check
   * @param place what was damaged, for whoever has to look at it
   */
  add(verdict: Verdict, of: { damage: string; mustName: boolean; place: string }): void {
    const { damage, mustName, place } = of;
    const { isDetected, isNamed, wrongCount, crash } = verdict;
    const empty = { damage, tried: 0, detected: 0, named: 0, wrongBytes: 0, crashes: 0 };
    const tally: DamageTally = this.#byDamage.get(damage) ?? empty;
    this.#byDamage.set(damage, tally);
    tally.tried += 1;
    if (isDetected) tally.detected += 1;
    if (isNamed) tally.named += 1;
    if (wrongCount > 0) tally.wrongBytes += 1;
    if (crash !== undefined) tally.crashes += 1;
    if (crash !== undefined) this.losses.push(`${place}: ${crash}`);
    if (wrongCount > 0) this.losses.push(`${place}: other bytes than were saved`);
    if (mustName && !isNamed) this.losses.push(`${place}: not named`);
  }

  table(title: string): string {
    const rows = this.all.map((tally) => [
      ...[tally.damage, tally.tried, tally.detected, tally.named],
      ...[tally.wrongBytes, tally.crashes],
    ]);
    return table([title, 'tried', 'detected', 'named right', 'wrong bytes', 'crashes'], rows);
  }
}

/** The directory that a name is in, which is what kind of object it is. */
export function kindOf(name: string): string {
  return name.split('/', 1)[0] as string;
}
