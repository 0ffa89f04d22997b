/**
 * Checking a repository: records, index against packs, packs against themselves, trees of all live
 * snapshots, and on demand all data. Damage is reported as findings, never thrown: `check` throws
 * only when it cannot look.
 *
 * While workers read the data, the trees are walked once by what the index says. Where that finds
 * anything, or the data turns out damaged, it does not count, and the trees are walked again when
 * all is known of the packs. So what is found depends neither on the number of workers nor on which
 * of them was first.
 */
import { errnoCode } from '../errors.ts';
import { blobKey, type PackName } from '../id.ts';
import type { PackInfo } from '../index/pack-states.ts';
import { directoryOf, packStorageName } from '../pack/pack-record.ts';
import type { LongCall } from '../progress.ts';
import { rollbackNotice } from '../repository/heads.ts';
import { indexFromPacks, verifySegments } from '../repository/index-sync.ts';
import { openReadAccess, ReadAccess } from '../repository/read-access.ts';
import type { Repository } from '../repository/repository.ts';
import type { DamagedObject } from '../repository/view.ts';
import { Turns } from '../util/turns.ts';
import { PackChecker } from './check-packs.ts';
import { TreeChecker } from './check-trees.ts';
import { type Finding, Findings } from './finding.ts';
import { readPacks } from './read-packs.ts';

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
  /** Entries below directories that were known to be good from another snapshot or path. */
  #repeatedEntries = 0;
  #bytesRead = 0;
  #bytesTotal = 0;
  #packsDone = 0;
  #packsTotal = 0;
  #isReading = false;

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
    const known = [...sync.index.packs()].filter(
      ({ name, isIndexed }) =>
        (isIndexed || unindexed.has(name)) && !view.collector.deadPacks.has(name),
    );
    const packs = sortedBy(known, packStorageName);
    this.#packsTotal = packs.length;
    const readable = await this.#checkPacks(packs);
    if (this.#options.isReadingData === true) await this.#checkDataAndTrees(readable);
    else await this.#checkTrees(this.#access, this.#findings);
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
    this.#addRecords([...view.damaged, ...sync.damaged]);
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

  /** In the order of their names: they were read as it happened. */
  #addRecords(damaged: readonly DamagedObject[]): void {
    for (const { name, error } of sortedBy(damaged, (one) => one.name)) {
      const kind = /^(data|meta)\//.test(name) ? 'pack-directory-damaged' : 'record-damaged';
      this.#findings.add({ kind, object: name, message: error.message });
    }
  }

  /** Packs that no segment names; what is in them is found all the same. Gives the readable ones. */
  async #checkUnindexed(): Promise<Set<PackName>> {
    const { sync, view } = this.#access;
    const damagedBefore = sync.damaged.length;
    const records = await indexFromPacks(this.#repository, sync, { signal: this.#options.signal });
    this.#addRecords(sync.damaged.slice(damagedBefore));
    for (const record of sortedBy(records, packStorageName)) {
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

  /** Gives the packs that can be read. */
  async #checkPacks(packs: readonly PackInfo[]): Promise<PackInfo[]> {
    const { isReadingData = false, signal } = this.#options;
    const checker = new PackChecker({
      repository: this.#repository,
      access: this.#access,
      findings: this.#findings,
      onBadBlob: (id) => this.#suspects.add(blobKey(id)),
      signal,
    });
    const readable: PackInfo[] = [];
    for (const pack of packs) {
      if (!isReadingData) this.#packsDone += 1;
      await this.#takeTurn('packs');
      if (!checker.checkListing(pack)) continue;
      await checker.checkDirectory(pack);
      readable.push(pack);
    }
    return readable;
  }

  async #checkDataAndTrees(packs: readonly PackInfo[]): Promise<void> {
    const { view, sync } = this.#access;
    const { signal } = this.#options;
    const suspectCount = this.#suspects.size;
    const found = new Findings();
    const asIndexed = new ReadAccess(this.#repository, { view, sync, signal, mayRebuild: false });
    const [data, trees] = await Promise.allSettled([
      this.#checkData(packs),
      this.#checkTrees(asIndexed, found),
    ]);
    if (data.status === 'rejected') throw data.reason;
    if (trees.status === 'rejected') throw trees.reason;
    if (found.all.length === 0 && this.#suspects.size === suspectCount) return;
    await this.#checkTrees(this.#access, this.#findings);
  }

  async #checkData(packs: readonly PackInfo[]): Promise<void> {
    this.#isReading = true;
    this.#packsTotal = packs.length;
    this.#bytesTotal = packs.reduce((sum, { length }) => sum + length, 0);
    const results = await readPacks({
      repository: this.#repository,
      access: this.#access,
      packs,
      signal: this.#options.signal,
      onRead: (bytes) => {
        this.#packsDone += 1;
        this.#bytesRead += bytes;
        this.#tell('packs');
      },
    });
    this.#isReading = false;
    for (const { findings, badBlobs } of results) {
      for (const finding of findings) this.#findings.add(finding);
      for (const id of badBlobs) this.#suspects.add(blobKey(id));
    }
  }

  async #checkTrees(access: ReadAccess, findings: Findings): Promise<void> {
    const { view } = access;
    this.#entries = 0;
    this.#repeatedEntries = 0;
    const turns = this.#turns;
    const trees = new TreeChecker({
      access,
      findings,
      isSuspect: (id) => this.#suspects.size > 0 && this.#suspects.has(blobKey(id)),
      onEntries: ({ count, isRepeated }) => {
        if (isRepeated) this.#repeatedEntries += count;
        else this.#entries += count;
      },
      turn: {
        get isOver() {
          return turns.isOver;
        },
        take: (path) => this.#takeTurn('trees', path),
      },
    });
    for (const snapshot of view.snapshots) await trees.check(snapshot);
  }

  async #takeTurn(phase: Phase, path?: Uint8Array): Promise<void> {
    if (phase === 'packs' || !this.#isReading) this.#tell(phase, path);
    if (this.#turns.isOver) await this.#turns.next();
  }

  #tell(phase: Phase, path?: Uint8Array): void {
    const { snapshots } = this.#access.view;
    const isPacks = phase === 'packs';
    const entriesTotal = snapshots.reduce((sum, { manifest }) => sum + manifest.root.entries, 0n);
    this.#options.onProgress?.({
      phase,
      filesDone: isPacks ? this.#packsDone : this.#entries + this.#repeatedEntries,
      filesTotal: isPacks ? this.#packsTotal : Number(entriesTotal),
      bytesDone: this.#bytesRead,
      ...(isPacks && this.#bytesTotal > 0 && { bytesTotal: this.#bytesTotal }),
      ...(path !== undefined && { currentPath: path }),
    });
  }
}

function sortedBy<T>(items: readonly T[], nameOf: (item: T) => string): T[] {
  return [...items].sort((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1));
}

/** Files are packs in one and entries in the other. */
type Phase = 'packs' | 'trees';
