/**
 * Checking a repository: records, index against packs, packs against themselves, trees of all live
 * snapshots, and on demand all data or a part of it. Damage is reported as findings, never thrown: `check` throws
 * only when it cannot look.
 *
 * While workers read the data, the trees are walked once by what the index says. Where that finds
 * anything, or the data turns out damaged, it does not count, and the trees are walked again when
 * all is known of the packs. So what is found depends neither on the number of workers nor on which
 * of them was first.
 */
import { BLOB_TYPE } from '../blob/blob-type.ts';
import { errnoCode, VarveError } from '../errors.ts';
import type { PackName } from '../id.ts';
import type { PackInfo } from '../index/pack-states.ts';
import { sessionIdOf } from '../pack/directory.ts';
import { type PackRecord, packStorageName } from '../pack/pack-record.ts';
import type { LongCall } from '../progress.ts';
import { rollbackNotice } from '../repository/heads.ts';
import { indexFromPacks, readNamedPacks, verifySegments } from '../repository/index-sync.ts';
import { openReadAccess, ReadAccess } from '../repository/read-access.ts';
import type { Repository } from '../repository/repository.ts';
import type { DamagedObject } from '../repository/view.ts';
import { toHex } from '../util/bytes.ts';
import { nowMs } from '../util/clock.ts';
import { Turns } from '../util/turns.ts';
import { checkObjects } from './check-objects.ts';
import { PackChecker } from './check-packs.ts';
import { TreeChecker } from './check-trees.ts';
import { checkDataSubset, choosePacks, type DataSubset } from './choose-packs.ts';
import { type Finding, Findings } from './finding.ts';
import { judgeFindings } from './judge-findings.ts';
import { type Loss, Losses } from './losses.ts';
import { PackVerdicts } from './pack-verdicts.ts';
import { type PackResult, readPacks } from './read-packs.ts';

export interface CheckOptions extends LongCall {
  /** Read every pack and decode every blob. */
  isReadingData?: boolean | undefined;
  /** Read these packs only; with it `isReadingData` makes no difference. */
  dataSubset?: DataSubset | undefined;
}

export interface CheckResult {
  findings: Finding[];
  /** True when any finding is damage. */
  isDamaged: boolean;
  snapshots: number;
  packs: number;
  entries: number;
  /** Packs whose data was read this time, and their bytes. */
  packsRead: number;
  bytesRead: number;
  /** Packs that this client has never read and found good. */
  packsUnread: number;
  /** When the pack was read that was not read for longest, ms since 1970; of those read at all. */
  oldestReadMs: number | undefined;
  durationNs: bigint;
}

/** @throws StorageError when the repository cannot be listed, RangeError on a subset of nothing. */
export async function checkRepository(
  repository: Repository,
  options: CheckOptions = {},
): Promise<CheckResult> {
  return (await inspectRepository(repository, options)).result;
}

/** A check, with all that cannot be read, for whoever is to heal it. */
export async function inspectRepository(
  repository: Repository,
  options: CheckOptions = {},
): Promise<{ result: CheckResult; losses: readonly Loss[] }> {
  if (options.dataSubset !== undefined) checkDataSubset(options.dataSubset);
  const access = await openReadAccess(repository, {
    signal: options.signal,
    onProgress: options.onProgress,
  });
  const verdicts = await PackVerdicts.load(repository.ledger);
  return await new Run(repository, { access, verdicts }, options).execute();
}

class Run {
  readonly #repository: Repository;
  readonly #access: ReadAccess;
  readonly #options: CheckOptions;
  readonly #findings = new Findings();
  readonly #turns: Turns;
  readonly #verdicts: PackVerdicts;
  #isTreeLost = false;
  #losses = new Losses();
  #entries = 0;
  /** Entries below directories that were known to be good from another snapshot or path. */
  #repeatedEntries = 0;
  #bytesRead = 0;
  #bytesTotal = 0;
  #packsDone = 0;
  #packsTotal = 0;
  #isReading = false;

  constructor(
    repository: Repository,
    parts: { access: ReadAccess; verdicts: PackVerdicts },
    options: CheckOptions,
  ) {
    this.#repository = repository;
    this.#access = parts.access;
    this.#verdicts = parts.verdicts;
    this.#options = options;
    this.#turns = new Turns(repository.clock, options.signal);
  }

  async execute(): Promise<{ result: CheckResult; losses: readonly Loss[] }> {
    const startedNs = this.#repository.clock.monotonicNs();
    const { view, sync } = this.#access;
    await checkObjects(this.#repository, {
      findings: this.#findings,
      signal: this.#options.signal,
    });
    await this.#checkRecords();
    const unindexed = await this.#checkUnindexed();
    const counted = [...sync.index.packs()].filter(
      ({ name, isIndexed }) =>
        (isIndexed || unindexed.has(name)) && !view.collector.deadPacks.has(name),
    );
    const packs = sortedBy(counted, packStorageName);
    this.#packsTotal = packs.length;
    const readable = await this.#checkPacks(packs);
    const verdicts = this.#verdicts;
    const { times, damagedBefore: damaged } = verdicts;
    const chosen = choosePacks(readable, this.#subset, { times, damaged });
    try {
      if (chosen.length > 0) await this.#checkDataAndTrees(chosen);
      else await this.#checkTrees(this.#access, this.#findings);
    } finally {
      const distrusted = await verdicts.save(this.#repository, readable);
      this.#access.sync.index.distrust(distrusted);
    }
    const findings = this.#findings.all;
    await this.#judge(findings);
    const readMs = packs.map(({ name }) => times.get(name)).filter((ms) => ms !== undefined);
    const result = {
      findings,
      isDamaged: findings.some(({ severity }) => severity === 'damage'),
      snapshots: view.snapshots.length,
      packs: packs.length,
      entries: this.#entries,
      packsRead: chosen.length,
      bytesRead: this.#bytesRead,
      packsUnread: packs.length - readMs.length,
      oldestReadMs: readMs.length === 0 ? undefined : readMs.reduce((a, b) => Math.min(a, b)),
      durationNs: this.#repository.clock.monotonicNs() - startedNs,
    };
    return { result, losses: this.#losses.all };
  }

  get #subset(): DataSubset | 'none' | undefined {
    const { isReadingData = false, dataSubset } = this.#options;
    return dataSubset ?? (isReadingData ? undefined : 'none');
  }

  async #judge(findings: Finding[]): Promise<void> {
    const { view, sync } = this.#access;
    const { signal } = this.#options;
    const asKnown = new ReadAccess(this.#repository, { view, sync, signal, mayRebuild: false });
    await judgeFindings({
      findings,
      index: sync.index,
      isTreeLost: this.#isTreeLost || findings.some(({ kind }) => kind === 'tree-malformed'),
      badBlobs: this.#verdicts.badBlobs,
      canRead: async (id, type) => {
        try {
          await asKnown.read(id, type);
          return true;
        } catch (error) {
          if (error instanceof VarveError && error.code !== 'STORAGE') return false;
          throw error;
        }
      },
    });
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
      // Its records have been looked at one by one.
      if (name === 'gc/' && this.#findings.all.some(({ object }) => object.startsWith(name)))
        continue;
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
    const lost = [...records, ...(await this.#cachedOnly())];
    for (const record of sortedBy(lost, packStorageName)) {
      const object = packStorageName(record);
      const found = { kind: 'pack-unindexed', object } as const;
      const sessionId = sessionIdOf(record.body);
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

  /**
   * Packs that this client alone still knows from a segment that has been damaged since. Where there
   * are none, and no others without a segment, nothing needs the damaged segments any more.
   */
  async #cachedOnly(): Promise<PackRecord[]> {
    const { sync, view } = this.#access;
    const segments = this.#findings.all.filter(({ object }) => object.startsWith('index/'));
    if (segments.length === 0) return [];
    const { signal } = this.#options;
    const { named } = await readNamedPacks(this.#repository, { signal });
    const isLost = (name: PackName): boolean =>
      sync.listed.has(name) && !named.has(name) && !view.collector.deadPacks.has(name);
    if (![...sync.listed.keys()].some(isLost)) {
      for (const finding of segments) finding.severity = 'note';
    }
    const cached = [...sync.index.packs()].filter((pack) => pack.isIndexed && isLost(pack.name));
    return cached.flatMap(({ packNo }) => sync.index.record(packNo) ?? []);
  }

  /** Gives the packs that can be read. */
  async #checkPacks(packs: readonly PackInfo[]): Promise<PackInfo[]> {
    const { signal } = this.#options;
    const checker = new PackChecker({
      repository: this.#repository,
      access: this.#access,
      findings: this.#findings,
      onBadBlob: (id, pack) => this.#verdicts.addBad(pack, id),
      signal,
    });
    const readable: PackInfo[] = [];
    for (const pack of packs) {
      if (this.#subset === 'none') this.#packsDone += 1;
      await this.#takeTurn('packs');
      if (!checker.checkListing(pack)) continue;
      if (!(await checker.checkDirectory(pack))) this.#verdicts.addBad(pack);
      readable.push(pack);
    }
    return readable;
  }

  async #checkDataAndTrees(packs: readonly PackInfo[]): Promise<void> {
    const { view, sync } = this.#access;
    const { signal } = this.#options;
    const { suspectCount } = this.#verdicts;
    const found = new Findings();
    const asIndexed = new ReadAccess(this.#repository, { view, sync, signal, mayRebuild: false });
    const [data, trees] = await Promise.allSettled([
      this.#checkData(packs),
      this.#checkTrees(asIndexed, found),
    ]);
    if (data.status === 'rejected') throw data.reason;
    if (trees.status === 'rejected') throw trees.reason;
    if (found.all.length === 0 && this.#verdicts.suspectCount === suspectCount) return;
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
      onResult: (pack, result) => this.#noteResult(pack, result),
    });
    this.#isReading = false;
    for (const { findings } of results) {
      for (const finding of findings) this.#findings.add(finding);
    }
  }

  #noteResult(pack: PackInfo, { findings, badBlobs, isTransient }: PackResult): void {
    if (isTransient) {
      for (const id of badBlobs) this.#verdicts.addSuspect(id);
      return;
    }
    // A delta without its base is as it was written, and counts again when the base is there.
    const isStranded = ({ kind }: Pick<Finding, 'kind'>): boolean => kind === 'delta-stranded';
    const stranded = new Set(findings.filter(isStranded).map(({ object }) => object));
    for (const id of badBlobs) {
      if (stranded.has(toHex(id))) this.#verdicts.addSuspect(id);
      else this.#verdicts.addBad(pack, id);
    }
    if (findings.length > stranded.size) this.#verdicts.addBad(pack);
    else this.#verdicts.addRead(pack, nowMs(this.#repository.clock));
  }

  async #checkTrees(access: ReadAccess, findings: Findings): Promise<void> {
    const { view } = access;
    this.#entries = 0;
    this.#repeatedEntries = 0;
    this.#losses = new Losses();
    this.#isTreeLost = view.damaged.some(({ name }) => name.startsWith('snapshots/'));
    const turns = this.#turns;
    const trees = new TreeChecker({
      access,
      findings,
      isSuspect: (id) => this.#verdicts.isSuspect(id),
      onLost: (loss) => {
        this.#losses.add(loss);
        const isTree = loss.type === BLOB_TYPE.treePage || loss.type === BLOB_TYPE.chunkList;
        if (isTree) this.#isTreeLost = true;
      },
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
