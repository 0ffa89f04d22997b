/**
 * A collection: packs that no snapshot needs are found, agreed upon with all other clients, and
 * deleted (docs/repository-format.md section 21, whose steps have their numbers here). Any number of
 * collectors and writers may be at work; whoever stops, wherever, leaves the repository as good as it
 * was, and the next collection goes on from there.
 *
 *   1 list · 2 live set · 3 repack · 4 mark · 5 sessions · 6 again · 7 sweep · 8 delete
 *
 * - Nothing is deleted that does not stand in a stored sweep, and nothing gets into a sweep unless every
 *   blob of the live set can be decoded without it, looked at after the last writer that could not know
 *   of the mark had ended.
 * - Whatever cannot be read or understood on the way ends the collection before that.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { BusyError, CorruptionError, NotFoundError } from '../../errors.ts';
import type { PackName, SessionId } from '../../id.ts';
import type { Progress } from '../../progress.ts';
import { isVoid } from '../../protocol/collector-view.ts';
import { encodeMark, encodeSweep, type Mark, type Sweep } from '../../record/collector-records.ts';
import { OBJECT_KIND } from '../../record/object-kind.ts';
import { beginSession } from '../../repository/begin-session.ts';
import { ChainWriter } from '../../repository/chain-writer.ts';
import {
  generationName,
  loadCollectorState,
  type Stored,
} from '../../repository/collector-state.ts';
import { demandCollectable } from '../../repository/open-repository.ts';
import { ReadAccess } from '../../repository/read-access.ts';
import { relyOn } from '../../repository/rely-on.ts';
import type { Repository } from '../../repository/repository.ts';
import { toHex } from '../../util/bytes.ts';
import { Turns } from '../../util/turns.ts';
import { carryOut } from './carry-out.ts';
import { compactIndex } from './compact-segments.ts';
import { pass } from './failpoints.ts';
import { LiveSet } from './live-set.ts';
import { isStanding, type Look, lookAt, refuseGone } from './look.ts';
import { mergeRecords } from './merge-records.ts';
import { collectToTheEnd } from './own-plan.ts';
import { type PlannedPack, type PrunePlan, packToGo } from './plan.ts';
import { planCollection } from './plan-collection.ts';
import {
  addTo,
  newResult,
  type PackTotals,
  type PruneOptions,
  type PruneResult,
} from './prune-result.ts';
import { repackPacks } from './repack.ts';
import { rescuedPacks } from './rescue.ts';
import {
  fenceDead,
  listOpenSessions,
  removeEnded,
  stillOpen,
  type WaitingFor,
} from './sessions.ts';
import { findRepeated } from './slot-set.ts';
import { walkSnapshot } from './walk-live.ts';

const pollMs = 2000;
/** Three heartbeats: who gave no sign for so long is not worth waiting for. */
const silentMs = 30 * 60 * 1000;
/** Fewer are not worth another index. */
const trimmedBlobsMin = 100_000;
const noHash = '0'.repeat(64);

/** @throws BusyError, CorruptionError, NotFoundError, StorageError, VersionError */
export async function pruneRepository(
  repository: Repository,
  options: PruneOptions = {},
): Promise<PruneResult> {
  demandCollectable(repository);
  return await collectToTheEnd(options, (one) => new Collection(repository, one).run());
}

class Collection {
  readonly #repository: Repository;
  readonly #options: PruneOptions;
  readonly #turns: Turns;
  #startedNs: bigint;
  readonly #result: PruneResult;
  #look!: Look;
  #live!: LiveSet;
  /** Snapshots that are in the live set. */
  readonly #walked = new Set<SessionId>();
  /** Numbers of condemned packs in the index. */
  #condemned: ReadonlySet<number> = new Set();
  #standing = new Uint8Array(0);
  /** Forgotten snapshots whose grace was over when this collection began. */
  #expired: readonly SessionId[] = [];
  /** Names of records that are known to be durable. */
  readonly #reliedOn = new Set<string>();
  #entries = 0;

  constructor(repository: Repository, options: PruneOptions) {
    this.#repository = repository;
    this.#options = options;
    this.#turns = new Turns(repository.clock, options.signal);
    this.#startedNs = repository.clock.monotonicNs();
    this.#result = newResult();
  }

  async run(): Promise<PruneResult> {
    await pass('prune.1.before');
    await this.#lookAgain();
    this.#expired = this.#look.expired;
    this.#result.inGrace = this.#look.view.hidden.length - this.#expired.length;
    this.#countPacks();
    if (this.#options.isDryRun !== true) await this.#finishEarlier();
    this.#result.outcome = await this.#walkAndCollect().catch((error) =>
      this.#tellOvertaken(error),
    );
    this.#result.durationNs = this.#repository.clock.monotonicNs() - this.#startedNs;
    return this.#result;
  }

  /** What another collector has deleted meanwhile is missed, and is no damage. @throws always */
  async #tellOvertaken(error: unknown): Promise<never> {
    const { generation } = this.#look.view.collector;
    const isMissing = error instanceof NotFoundError || error instanceof CorruptionError;
    if (!isMissing) throw error;
    const now = await loadCollectorState(this.#repository);
    throw now.generation > generation ? overtaken(now.generation) : error;
  }

  async #walkAndCollect(): Promise<PruneResult['outcome']> {
    await this.#walkKept();
    await pass('prune.2.after');
    return await this.#collect();
  }

  async #collect(): Promise<PruneResult['outcome']> {
    const pending = this.#look.view.collector.pendingMark;
    if (pending !== undefined) {
      if (!(await this.#isWanted())) return 'planned';
      this.#result.isAdopted = true;
      return await this.#withWriter((writer) => this.#sweepMark(pending, writer));
    }
    const { plan, unindexed } = await planCollection({
      repository: this.#repository,
      look: this.#look,
      live: this.#live,
      turns: this.#turns,
      repackSizeMax: this.#options.repackSizeMax,
      signal: this.#options.signal,
    });
    this.#notePlan(plan);
    for (const name of unindexed) this.#count(this.#result.unindexed, name);
    if (this.#options.isDryRun === true) return 'planned';
    if (plan.dead.length + plan.repack.length + unindexed.length === 0) {
      // Only for the next collection: what dead sessions left is garbage from now on.
      await this.#fenceDead();
      this.#result.waitingFor = [];
      await this.#withWriter((writer) => this.#tidy(writer));
      return 'nothing';
    }
    if (!(await this.#isWanted())) return 'planned';
    if (!(await this.#fenceDead())) return 'waiting';
    const repacked = await this.#repack(plan.repack);
    this.#noteRepacked(plan, repacked);
    const gone = [...plan.dead, ...repacked].map(({ pack }) => pack.packNo);
    // One writer for both: the next one would miss the mark in the view it has from before.
    return await this.#withWriter(async (writer) => {
      const mark = await this.#putMark({ gone: new Set(gone), unindexed }, writer);
      return mark === undefined ? 'nothing' : await this.#sweepMark(mark, writer);
    });
  }

  /** The time it takes somebody to decide is none of the collection's. */
  async #isWanted(): Promise<boolean> {
    const { isDryRun = false, confirm } = this.#options;
    if (isDryRun) return false;
    if (confirm === undefined) return true;
    const { clock } = this.#repository;
    const askedNs = clock.monotonicNs();
    const isWanted = await confirm({ ...this.#result, outcome: 'planned' });
    this.#startedNs += clock.monotonicNs() - askedNs;
    return isWanted;
  }

  /** Steps 1 and 6: records, snapshots and packs as they are now. */
  async #lookAgain(): Promise<void> {
    const { graceMs = this.#repository.config.gc.graceMs, isDryRun = false } = this.#options;
    const { signal, onProgress } = this.#options;
    const look = await lookAt(this.#repository, {
      graceMs,
      canWrite: !isDryRun,
      signal,
      onProgress,
    });
    refuseGone(look.view, this.#walked);
    const isSameIndex = this.#look !== undefined && this.#look.index === look.index;
    this.#look = look;
    let last = 0;
    for (const { packNo } of look.index.packs()) last = Math.max(last, packNo);
    this.#standing = new Uint8Array(last + 1);
    for (const pack of look.index.packs()) {
      if (isStanding(look, pack)) this.#standing[pack.packNo] = 1;
    }
    if (isSameIndex) return;
    // Numbers of packs mean something else now.
    this.#walked.clear();
    this.#condemned = new Set();
    this.#live = new LiveSet({
      index: look.index,
      isThere: (packNo) => this.#standing[packNo] === 1,
      isCondemned: (packNo) => this.#condemned.has(packNo),
      repeated: await findRepeated(look.index),
    });
  }

  /** Step 2: what the snapshots reach that are to be kept and have not been walked. */
  async #walkKept(): Promise<void> {
    const { kept, access } = this.#look;
    for (const snapshot of kept) {
      if (this.#walked.has(snapshot.id)) continue;
      await walkSnapshot(snapshot, {
        access,
        live: this.#live,
        turns: this.#turns,
        onEntries: (count) => {
          this.#entries += count;
          this.#tell({ phase: 'mark', filesDone: this.#entries, bytesDone: 0 });
        },
      });
      this.#walked.add(snapshot.id);
    }
    this.#result.snapshots = kept.length;
    this.#result.blobs = this.#live.count;
  }

  #countPacks(): void {
    const { sync, view } = this.#look;
    const { pendingMark, sweeps, done } = view.collector;
    const { before, earlier } = this.#result;
    for (const { size } of sync.listed.values()) addTo(before, size);
    const unfinished = sweeps.filter(({ generation }) => !done.has(generation));
    const named = new Set(unfinished.flatMap((sweep) => sweep.delete));
    for (const name of pendingMark?.condemned ?? []) named.add(name);
    for (const name of named) this.#count(earlier, name as PackName);
  }

  #count(totals: PackTotals, name: PackName): void {
    const size = this.#look.sync.listed.get(name)?.size;
    if (size !== undefined) addTo(totals, size);
  }

  #notePlan(plan: PrunePlan): void {
    const { dead, repack } = plan;
    this.#result.plan = [...dead, ...repack].map(packToGo);
    for (const { pack } of dead) addTo(this.#result.dead, pack.length);
    this.#noteRepacked(plan, repack);
  }

  /** @param repacked the first ones of those that were planned. */
  #noteRepacked(plan: PrunePlan, repacked: readonly PlannedPack[]): void {
    const result = this.#result;
    result.repacked = { packs: 0, size: 0, liveSize: 0 };
    for (const { pack, liveSize } of repacked) {
      addTo(result.repacked, pack.length);
      result.repacked.liveSize += liveSize;
    }
    const left = plan.repack.slice(repacked.length);
    result.isLimited = plan.isLimited || left.length > 0;
    result.wasteLeft = plan.wasteLeft;
    for (const { frameSize, liveSize } of left) result.wasteLeft += frameSize - liveSize;
  }

  /** Whether it makes sense to mark: a session that will neither end nor be fenced soon is told. */
  async #fenceDead(): Promise<boolean> {
    const open = await listOpenSessions(this.#repository);
    if (open.length === 0) return true;
    const { silent } = await this.#withWriter((writer) => this.#fence(open, writer));
    this.#result.waitingFor = silent;
    return silent.length === 0;
  }

  /** Gives those that are left, and which of them are not worth waiting for. */
  async #fence(
    open: readonly WaitingFor[],
    writer: ChainWriter,
  ): Promise<{ left: WaitingFor[]; silent: WaitingFor[] }> {
    const { sessionTtlMs: ttlMs = this.#repository.config.gc.sessionTtlMs } = this.#options;
    const { newSalt, writerId: ownWriterId } = writer;
    const { fenced, left, nowMs } = await fenceDead(this.#repository, open, {
      ttlMs,
      ownWriterId,
      newSalt,
    });
    this.#result.fenced.push(...fenced);
    const silent = left.filter(({ lastSignMs }) => nowMs - lastSignMs > silentMs);
    return { left, silent };
  }

  /** Step 3. Gives the packs whose live blobs were written again. */
  async #repack(planned: readonly PlannedPack[]): Promise<PlannedPack[]> {
    if (planned.length === 0 || this.#isTimeUp) return [];
    await pass('prune.3.before');
    const { signal } = this.#options;
    const session = await beginSession(this.#repository, { purpose: 'repack', signal });
    const { index } = this.#look;
    try {
      if (session.sync.index !== index) throw indexChanged();
      const { view, sync } = session;
      const access = new ReadAccess(this.#repository, { view, sync, signal, mayRebuild: false });
      let size = 0;
      const packs = await repackPacks(planned, {
        repository: this.#repository,
        session,
        access,
        live: this.#live,
        turns: this.#turns,
        signal,
        isTimeUp: () => this.#isTimeUp,
        onPack: (liveSize) => {
          size += liveSize;
          const { liveSize: bytesTotal } = this.#result.repacked;
          this.#tell({ phase: 'repack', filesDone: 0, bytesDone: size, bytesTotal });
        },
      });
      await session.close();
      await pass('prune.3.after');
      await this.#lookAgain();
      // What was planned are numbers of packs in the index from before.
      if (this.#look.index !== index) throw indexChanged();
      return packs;
    } catch (error) {
      const refusal = await session.refusalBehind(error);
      await session.abort();
      throw refusal ?? error;
    }
  }

  /**
   * Step 4. Gives the stored mark, which may be another collector's; undefined when nothing is left to
   * condemn.
   */
  async #putMark(
    { gone, unindexed }: { gone: ReadonlySet<number>; unindexed: readonly PackName[] },
    writer: ChainWriter,
  ): Promise<Stored<Mark> | undefined> {
    const { view } = this.#look;
    if (view.collector.pendingMark !== undefined) {
      this.#result.isAdopted = true;
      return view.collector.pendingMark;
    }
    const condemned = await this.#condemn(gone);
    const names = [...condemned, ...unindexed].sort();
    if (names.length === 0) return undefined;
    const { collector } = view;
    const generation = collector.generation + 1;
    const lastSwept = collector.sweeps.at(-1) ?? collector.merged.at(-1);
    const counted = this.#look.kept
      .filter(({ id }) => this.#walked.has(id))
      .map(({ id, manifest }) => ({ sessionId: id, root: toHex(manifest.root.id) }));
    const identity = { kind: OBJECT_KIND.mark, name: generationName(generation, 'mark') };
    await pass('prune.4.before');
    const { isStored } = await writer.putIfAbsent(identity, (chain) => {
      const previousSweep = lastSwept?.hash ?? noHash;
      return encodeMark({ chain, generation, previousSweep, counted, condemned: names }, 0);
    });
    this.#result.isAdopted = !isStored;
    await pass('prune.4.after');
    // Whoever lost adopts the stored one; whoever won reads back what all others will act on.
    const state = await loadCollectorState(this.#repository);
    if (state.pendingMark?.generation === generation) return state.pendingMark;
    throw new BusyError(
      identity.name,
      `Cannot collect: another collector has ended generation ${generation}`,
    );
  }

  /** Names of those packs that can go by rule DECODE. */
  async #condemn(packNos: ReadonlySet<number>): Promise<PackName[]> {
    this.#condemned = packNos;
    const rescued = await rescuedPacks(this.#live, packNos, this.#turns);
    const names: PackName[] = [];
    for (const packNo of packNos) {
      const name = this.#look.index.pack(packNo)?.name;
      if (name !== undefined && !rescued.has(packNo)) names.push(name);
    }
    return names;
  }

  /** Steps 5 to 8 for a stored mark. */
  async #sweepMark(mark: Stored<Mark>, writer: ChainWriter): Promise<'waiting' | 'swept'> {
    if (!(await this.#awaitSessions(writer))) return 'waiting';
    await this.#lookAgain();
    writer.see(this.#look.view);
    const { collector } = this.#look.view;
    if (collector.pendingMark?.hash !== mark.hash) throw overtaken(mark.generation);
    this.#condemned = this.#numbersOf(mark.condemned);
    await this.#walkKept();
    await pass('prune.6.after');
    const sweep = await this.#putSweep(mark, writer);
    if (sweep === undefined) throw overtaken(mark.generation);
    await this.#carryOut(sweep, writer);
    await this.#tidy(writer);
    return 'swept';
  }

  /** What nobody needs any more besides packs, and what became too many. */
  async #tidy(writer: ChainWriter): Promise<void> {
    const { graceMs = this.#repository.config.gc.graceMs } = this.#options;
    await this.#deleteExpired();
    await removeEnded(this.#repository);
    const { nowMs, view } = this.#look;
    const repository = this.#repository;
    const { sweptPacks: swept, generation } = await loadCollectorState(repository);
    await compactIndex({ repository, writer, swept, generation, nowMs });
    await mergeRecords({ repository, writer, view, nowMs, graceMs });
    await this.#trimCache(swept);
  }

  /** A local index that is mostly of packs which are gone is made anew by the next command. */
  async #trimCache(swept: ReadonlySet<PackName>): Promise<void> {
    let [blobs, gone] = [0, 0];
    for (const { name, blobCount } of this.#look.index.packs()) {
      blobs += blobCount;
      if (swept.has(name)) gone += blobCount;
    }
    if (gone >= trimmedBlobsMin && 2 * gone > blobs) await this.#repository.index.discard();
  }

  /** Step 5. False when a session has no outcome yet and will not be waited for. */
  async #awaitSessions(writer: ChainWriter): Promise<boolean> {
    await pass('prune.5.before');
    const { signal, wait = waitMs } = this.#options;
    let open = await listOpenSessions(this.#repository);
    for (;;) {
      const { left, silent } = await this.#fence(open, writer);
      this.#result.waitingFor = left;
      if (left.length === 0) break;
      if (silent.length > 0 || this.#isTimeUp) return false;
      this.#tell({ phase: 'sessions', filesDone: left.length, bytesDone: 0 });
      await pass('prune.5.waiting');
      await wait(pollMs, signal);
      open = await stillOpen(this.#repository, left);
    }
    await pass('prune.5.after');
    return true;
  }

  /** Step 7. Gives the stored sweep; undefined when a merged one covers its generation. */
  async #putSweep(mark: Stored<Mark>, writer: ChainWriter): Promise<Stored<Sweep> | undefined> {
    const { sync, view, index } = this.#look;
    const rescued = await rescuedPacks(this.#live, this.#condemned, this.#turns);
    const isRescued = (name: string): boolean => {
      const packNo = index.packNo(name as PackName);
      return packNo !== undefined && rescued.has(packNo);
    };
    const there = mark.condemned.filter((name) => sync.listed.has(name as PackName));
    const content: Omit<Sweep, 'chain'> = {
      generation: mark.generation,
      mark: mark.hash,
      delete: there.filter((name) => !isRescued(name)),
      rescued: mark.condemned.filter(isRescued),
      fenced: this.#result.fenced,
      liveSnapshots: view.snapshots.map(({ id }) => id).sort(),
    };
    const identity = { kind: OBJECT_KIND.sweep, name: generationName(mark.generation, 'sweep') };
    await this.#relyOnRecords(generationName(mark.generation, 'mark'));
    await pass('prune.7.before');
    await writer.putIfAbsent(identity, (chain) => encodeSweep({ chain, ...content }));
    await pass('prune.7.after');
    // The stored list alone counts, and not even that if its generation was merged meanwhile.
    const state = await loadCollectorState(this.#repository);
    const merged = state.merged.map(({ generation }) => generation);
    if (isVoid(mark.generation, merged)) return undefined;
    return state.sweeps.find(({ generation }) => generation === mark.generation);
  }

  /** Step 8. */
  async #carryOut(sweep: Stored<Sweep>, { newSalt }: ChainWriter): Promise<void> {
    const { listed } = this.#look.sync;
    await carryOut(this.#repository, sweep, {
      listed,
      newSalt,
      signal: this.#options.signal,
      onDeleted: (name) => {
        const { deleted } = this.#result;
        addTo(deleted, listed.get(name)?.size ?? 0);
        this.#tell({ phase: 'delete', filesDone: deleted.packs, bytesDone: deleted.size });
      },
    });
    this.#result.generation = sweep.generation;
  }

  /** Sweeps whose collectors stopped before they had deleted everything. */
  async #finishEarlier(): Promise<void> {
    const { sweeps, done } = this.#look.view.collector;
    const unfinished = sweeps.filter(({ generation }) => !done.has(generation));
    if (unfinished.length === 0) return;
    await this.#withWriter(async (writer) => {
      for (const sweep of unfinished) await this.#carryOut(sweep, writer);
    });
  }

  /** Whatever says that something is needed by nobody. */
  async #relyOnRecords(...more: string[]): Promise<void> {
    const { tombs, fences } = this.#look.view;
    const names = [...tombs.map(({ hash }) => `tombs/${hash}`), ...more];
    for (const { id } of fences) names.push(`snapshots/${id}`);
    const added = names.filter((name) => !this.#reliedOn.has(name));
    await relyOn(this.#repository.storage, added);
    for (const name of added) this.#reliedOn.add(name);
  }

  /** Manifests of snapshots that were forgotten long enough ago; their tombs stay. */
  async #deleteExpired(): Promise<void> {
    const { storage } = this.#repository;
    if (this.#expired.length === 0) return;
    await this.#relyOnRecords();
    for (const id of this.#expired) await storage.delete(`snapshots/${id}`);
    await storage.sync();
  }

  #numbersOf(names: readonly string[]): Set<number> {
    const numbers = new Set<number>();
    for (const name of names) {
      const packNo = this.#look.index.packNo(name as PackName);
      if (packNo !== undefined) numbers.add(packNo);
    }
    return numbers;
  }

  async #withWriter<T>(action: (writer: ChainWriter) => Promise<T>): Promise<T> {
    const writer = await ChainWriter.open(this.#repository, this.#look.view);
    try {
      return await action(writer);
    } finally {
      await writer.close();
    }
  }

  get #isTimeUp(): boolean {
    const { durationMaxMs } = this.#options;
    if (durationMaxMs === undefined) return false;
    const elapsedNs = this.#repository.clock.monotonicNs() - this.#startedNs;
    return elapsedNs >= BigInt(Math.ceil(durationMaxMs)) * 1_000_000n;
  }

  #tell(progress: Progress): void {
    this.#options.onProgress?.(progress);
  }
}

async function waitMs(ms: number, signal: AbortSignal | undefined): Promise<void> {
  await delay(ms, undefined, { signal });
}

function overtaken(generation: number): BusyError {
  const message = `Cannot collect: another collector has ended generation ${generation}; run it again`;
  return new BusyError(`gc/${generation}`, message);
}

function indexChanged(): BusyError {
  const message = 'Cannot collect: segments were compacted meanwhile; run it again';
  return new BusyError('index/', message);
}
