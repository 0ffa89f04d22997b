/**
 * Checking a repository: records, index against packs, packs against themselves, trees of all live
 * snapshots, and on demand all data. Damage is reported as findings, never thrown: `check` throws
 * only when it cannot look.
 */
import { errnoCode, type VarveError } from '../errors.ts';
import { type BlobId, blobKey, type PackName } from '../id.ts';
import type { PackInfo } from '../index/pack-states.ts';
import { directoryOf, packStorageName } from '../pack/pack-record.ts';
import type { LongCall } from '../progress.ts';
import { rollbackNotice } from '../repository/heads.ts';
import { indexFromPacks, verifySegments } from '../repository/index-sync.ts';
import { openReadAccess, type ReadAccess } from '../repository/read-access.ts';
import type { Repository } from '../repository/repository.ts';
import { Turns } from '../util/turns.ts';
import { PackChecker } from './check-packs.ts';
import { TreeChecker } from './check-trees.ts';
import { type Finding, Findings } from './finding.ts';

export interface CheckOptions extends LongCall {
  /** Read every pack and decode every blob. */
  isReadingData?: boolean | undefined;
}

export interface CheckResult {
  findings: Finding[];
  /** True when any finding is damage. */
  isDamaged: boolean;
  snapshots: number;
  packs: number;
  entries: number;
  bytesRead: number;
  durationNs: bigint;
}

/** @throws StorageError when the repository cannot be listed. */
export async function checkRepository(
  repository: Repository,
  options: CheckOptions = {},
): Promise<CheckResult> {
  const access = await openReadAccess(repository, {
    signal: options.signal,
    onProgress: options.onProgress,
  });
  return await new Run(repository, access, options).execute();
}

class Run {
  readonly #repository: Repository;
  readonly #access: ReadAccess;
  readonly #options: CheckOptions;
  readonly #findings = new Findings();
  readonly #turns: Turns;
  readonly #suspects = new Set<string>();
  #entries = 0;
  #bytesRead = 0;
  #packsDone = 0;

  constructor(repository: Repository, access: ReadAccess, options: CheckOptions) {
    this.#repository = repository;
    this.#access = access;
    this.#options = options;
    this.#turns = new Turns(repository.clock, options.signal);
  }

  async execute(): Promise<CheckResult> {
    const startedNs = this.#repository.clock.monotonicNs();
    const { view, sync } = this.#access;
    await this.#checkRecords();
    const unindexed = await this.#checkUnindexed();
    const packs = [...sync.index.packs()].filter(
      ({ name, isIndexed }) =>
        (isIndexed || unindexed.has(name)) && !view.collector.deadPacks.has(name),
    );
    await this.#checkPacks(packs);
    await this.#checkTrees();
    const findings = this.#findings.all;
    return {
      findings,
      isDamaged: findings.some(({ severity }) => severity === 'damage'),
      snapshots: view.snapshots.length,
      packs: packs.length,
      entries: this.#entries,
      bytesRead: this.#bytesRead,
      durationNs: this.#repository.clock.monotonicNs() - startedNs,
    };
  }

  async #checkRecords(): Promise<void> {
    const { view, sync } = this.#access;
    await verifySegments(this.#repository, sync, { signal: this.#options.signal });
    for (const { name, error } of [...view.damaged, ...sync.damaged]) {
      this.#addRecord(name, error);
    }
    const notice = await this.#rollbackNotice();
    if (notice === undefined) return;
    const object = this.#repository.storage.location;
    this.#findings.add({ kind: 'repository-rolled-back', object, message: notice });
  }

  async #rollbackNotice(): Promise<string | undefined> {
    const { writerStates, onNotice } = this.#repository;
    try {
      const state = await writerStates.peek();
      return state && rollbackNotice(this.#repository, { state, view: this.#access.view });
    } catch (error) {
      if (errnoCode(error) === undefined) throw error;
      onNotice(`Cannot read the writer state: ${(error as Error).message}`);
      return undefined;
    }
  }

  #addRecord(name: string, error: VarveError): void {
    const kind = /^(data|meta)\//.test(name) ? 'pack-directory-damaged' : 'record-damaged';
    this.#findings.add({ kind, object: name, message: error.message });
  }

  /** Packs that no segment names; what is in them is found all the same. Gives the readable ones. */
  async #checkUnindexed(): Promise<Set<PackName>> {
    const { sync, view } = this.#access;
    const damagedBefore = sync.damaged.length;
    const records = await indexFromPacks(this.#repository, sync, { signal: this.#options.signal });
    for (const { name, error } of sync.damaged.slice(damagedBefore)) this.#addRecord(name, error);
    for (const record of records) {
      const object = packStorageName(record);
      const found = { kind: 'pack-unindexed', object } as const;
      const { sessionId } = directoryOf(record);
      const committed = view.snapshots.find(({ id }) => id === sessionId);
      if (committed === undefined) {
        const message = `${object} is in no index segment: its writer is running or was killed`;
        this.#findings.add({ ...found, severity: 'note', message });
      } else {
        const message = `${object} is in no index segment: the one that named it is lost`;
        this.#findings.add({ ...found, message }, { snapshot: committed.id });
      }
    }
    return new Set(records.map(({ name }) => name));
  }

  async #checkPacks(packs: readonly PackInfo[]): Promise<void> {
    const { isReadingData = false, signal } = this.#options;
    const checker = new PackChecker({
      repository: this.#repository,
      access: this.#access,
      findings: this.#findings,
      onBadBlob: (id: BlobId) => this.#suspects.add(blobKey(id)),
      signal,
    });
    for (const pack of packs) {
      this.#packsDone += 1;
      await this.#takeTurn({ phase: 'packs', total: packs.length });
      if (!checker.checkListing(pack)) continue;
      await checker.checkDirectory(pack);
      if (isReadingData) this.#bytesRead += await checker.checkData(pack);
    }
  }

  async #checkTrees(): Promise<void> {
    const trees = new TreeChecker({
      access: this.#access,
      findings: this.#findings,
      isSuspect: (id) => this.#suspects.has(blobKey(id)),
      onEntry: (path) => this.#onEntry(path),
    });
    for (const snapshot of this.#access.view.snapshots) await trees.check(snapshot);
  }

  async #onEntry(path: Uint8Array): Promise<void> {
    this.#entries += 1;
    if (this.#turns.isOver) await this.#takeTurn({ phase: 'trees', path });
  }

  async #takeTurn(at: { phase: string; total?: number; path?: Uint8Array }): Promise<void> {
    this.#options.onProgress?.({
      phase: at.phase,
      filesDone: at.phase === 'packs' ? this.#packsDone : this.#entries,
      bytesDone: this.#bytesRead,
      ...(at.total !== undefined && { filesTotal: at.total }),
      ...(at.path !== undefined && { currentPath: at.path }),
    });
    if (this.#turns.isOver) await this.#turns.next();
  }
}
