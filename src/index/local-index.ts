/**
 * The local index: which packs hold which blobs, as far as the segments applied so far and the packs
 * of this session say. A view of the repository in LMDB, disposable at any time: what is in it can
 * always be read again from the index segments.
 *
 * Invariants:
 * - A pack's record and its row are written in one transaction, and its blobs follow from the record
 *   (`blob-table.ts`); a segment's row is written with the last of its packs. So a recorded segment is
 *   complete.
 * - What mirrors a row in memory changes only after the transaction was committed. What this session
 *   knows by itself (its view, its uploads) counts at once, whether or not it can be written.
 * - Answers are hints: "no copy" may be wrong after damage (the blob is stored again), a copy may be
 *   another blob with the same first 16 bytes. Whoever reads compares the full id (`presence.ts`).
 *
 * A session calls `updateStates` with its view before it asks what is present.
 */
import { type BlobId, blobKey, type PackName, type SegmentName, type SessionId } from '../id.ts';
import { blobCountOf, type PackDirectory, sessionIdOf } from '../pack/directory.ts';
import { blobTableOf, directoryOf, type PackRecord } from '../pack/pack-record.ts';
import { fromHex, toHex } from '../util/bytes.ts';
import { BlobTable, type LookUp, type MergeBounds, mergeBounds } from './blob-table.ts';
import {
  type CacheHome,
  discardCache,
  type LocalIndexOptions,
  openCacheHome,
} from './cache-home.ts';
import {
  type BlobCopy,
  decodePack,
  decodePackRow,
  decodeSegmentRow,
  encodePack,
  encodePackRow,
  encodeSegmentRow,
  lastPackNo,
  PACK_STATE,
  packKey,
  type SegmentRow,
  supersededLevel,
} from './cache-rows.ts';
import { DirectoryCache, type OpenedDirectory } from './directory-cache.ts';
import type { DistrustedCopies } from './distrusted-copies.ts';
import { CacheFailed, type Environment, isDamage, writeAll } from './environment.ts';
import { FeaturePages, type FeatureStore } from './feature-pages.ts';
import { type PackInfo, PackStates, type PackView } from './pack-states.ts';
import type { Segment } from './segment.ts';

export interface IndexCounts {
  packs: number;
  /** Copies of blobs, in all packs. */
  blobs: number;
  segments: number;
}

type Notice = (text: string) => void;

const supersededRow: SegmentRow = {
  level: supersededLevel,
  packCount: 0,
  blobCount: 0,
  createdMs: 0,
};

export class LocalIndex {
  readonly #home: CacheHome;
  readonly #environment: Environment;
  readonly #onNotice: Notice | undefined;
  readonly #states = new PackStates();
  readonly #directories = new DirectoryCache();
  /** Undefined when what stands in LMDB was damaged when it was opened. */
  readonly #blobs: BlobTable | undefined;
  #features: FeaturePages | undefined;
  #isDamaged = false;
  readonly #sessions = new Map<number, SessionId>();
  #distrustedNames: DistrustedCopies = new Map();
  /** The same by number, as far as the packs are known. */
  #distrusted = new Map<number, Set<string> | 'all'>();
  /** Delta chains found present, by `blobKey` of the id (`presence.ts`); empty after a new view. */
  readonly chainLengths: Map<string, number> = new Map();

  constructor(home: CacheHome, options: { onNotice?: Notice; mergeBounds?: MergeBounds }) {
    this.#home = home;
    this.#environment = home.environment;
    this.#onNotice = options.onNotice;
    const bounds = options.mergeBounds ?? mergeBounds;
    this.#blobs = this.#reading(undefined, () => {
      for (const { key, value } of this.#environment.packid.getRange()) {
        this.#states.set(toPackInfo(key, value));
      }
      return new BlobTable(this.#environment, {
        bounds,
        isUsable: (packNo) => this.isUsable(packNo),
        countAfter: (packNo) => this.#states.blobCountAfter(packNo),
        onDamage: (error) => this.#noteDamage(error, undefined),
      });
    });
  }

  /** Opens the cache of a repository; it may turn out empty (`segmentNames`). */
  static async open(options: LocalIndexOptions): Promise<LocalIndex> {
    const { cacheDir } = options;
    const index = new LocalIndex(await openCacheHome(options), options);
    if (!index.isDamaged || cacheDir === undefined) return index;
    await index.close();
    await discardCache({ ...options, cacheDir });
    return new LocalIndex(await openCacheHome(options), options);
  }

  /** Throws the cache of a repository away: a segment it was made of no longer exists. */
  static discard(options: Parameters<typeof discardCache>[0]): Promise<void> {
    return discardCache(options);
  }

  /** Damage was met while reading: answers may lack copies, and the next `open` begins anew. */
  get isDamaged(): boolean {
    return this.#isDamaged;
  }

  get counts(): IndexCounts {
    const { count: packs, blobCount: blobs } = this.#states;
    return { packs, blobs, segments: entryCount(this.#environment.segments.getStats()) };
  }

  /** Segments that need not be read: their packs are all in here, or they are superseded. */
  segmentNames(): Set<SegmentName> {
    const names = new Set<SegmentName>();
    for (const key of this.#environment.segments.getKeys()) names.add(toHex(key) as SegmentName);
    return names;
  }

  /** Those among them that a segment which is in here has taken the place of. */
  supersededNames(): Set<SegmentName> {
    const names = new Set<SegmentName>();
    this.#reading(undefined, () => {
      for (const { key, value } of this.#environment.segments.getRange()) {
        const { level } = decodeSegmentRow(key, value);
        if (level === supersededLevel) names.add(toHex(key) as SegmentName);
      }
    });
    return names;
  }

  /** Superseded segments are gone from the repository. @throws CacheFailed */
  dropSegments(names: readonly SegmentName[]): void {
    this.#write(() => {
      for (const name of names) this.#environment.segments.removeSync(fromHex(name));
    });
  }

  /**
   * Takes over parsed segments, in one transaction. Packs already known keep their number. Memory
   * is proportional to what is given: a few segments at a time.
   * @throws CacheFailed when it cannot be written; nothing was.
   */
  async applySegments(segments: readonly { name: SegmentName; segment: Segment }[]): Promise<void> {
    const records = segments.flatMap(({ segment }) => segment.packs);
    const { segments: table } = this.#environment;
    this.#addPacks(records, { isIndexed: true }, () => {
      for (const { name, segment } of segments) {
        const key = fromHex(name);
        table.putSync(key, encodeSegmentRow(key, this.#describeSegment(segment)));
      }
      // Last: a segment may come together with the one that supersedes it.
      for (const { segment } of segments) {
        for (const name of segment.superseded) {
          const key = fromHex(name);
          table.putSync(key, encodeSegmentRow(key, supersededRow));
        }
      }
    });
  }

  /** A pack that this session made durable (or adopted) and that is in no segment yet. */
  async addPack(record: PackRecord): Promise<void> {
    this.#states.addOwn(record.name);
    const [pack] = this.#addPacks([record], { isIndexed: false }, () => {});
    if (pack !== undefined) this.#features?.add(pack.packNo, record.body);
    await this.#mergeIfDue();
  }

  /**
   * Sets the states of all packs by the view of this session. After many new packs this, like
   * `addPack`, also writes a new base.
   * @throws CacheFailed when it cannot be written; answers are as before then.
   */
  async updateStates(view: PackView): Promise<void> {
    this.chainLengths.clear();
    this.#states.setView(view);
    const packs: PackInfo[] = [];
    const changed: PackInfo[] = [];
    this.#write(() => {
      for (const { key, value } of this.#environment.packid.getRange()) {
        const row = toPackInfo(key, value);
        const pack = { ...row, state: this.#states.stateOf(row) };
        packs.push(pack);
        if (pack.state !== row.state) changed.push(pack);
      }
      for (const pack of changed) this.#putRow(pack);
    });
    // Another process may have added packs since, or packs known here to a segment.
    const known = this.#states.count;
    for (const pack of packs) this.#states.set(pack);
    if (this.#states.count > known) this.#blobs?.unsettle();
    await this.#mergeIfDue();
  }

  /** Copies that are known to be damaged: from now on nothing relies on them. */
  distrust(copies: DistrustedCopies): void {
    this.chainLengths.clear();
    this.#distrustedNames = copies;
    this.#distrusted = new Map();
    for (const name of copies.keys()) {
      const packNo = this.packNo(name);
      if (packNo !== undefined) this.#applyDistrust(name, packNo);
    }
  }

  /** Also packs that become known later. */
  #applyDistrust(name: PackName, packNo: number): void {
    const keys = this.#distrustedNames.get(name);
    if (keys !== undefined) this.#distrusted.set(packNo, keys);
  }

  /** Whether any copy is distrusted. */
  get isDistrusting(): boolean {
    return this.#distrusted.size > 0;
  }

  /** Packs with copies that are distrusted. */
  distrustedPacks(): Iterable<number> {
    return this.#distrusted.keys();
  }

  isDistrusted(packNo: number, id: BlobId): boolean {
    const keys = this.#distrusted.get(packNo);
    return keys !== undefined && (keys === 'all' || keys.has(blobKey(id)));
  }

  /** The question whether a chunk is a duplicate; asked for every one. */
  lookUp(id: BlobId): LookUp {
    try {
      return this.#blobs?.lookUp(id) ?? 'none';
    } catch (error) {
      return this.#noteDamage(error, 'none');
    }
  }

  /** The same for whoever has a view of its own and needs the place; as a rule the first copy is it. */
  wholeCopy(id: BlobId, isWanted: (packNo: number) => boolean): BlobCopy | undefined {
    try {
      return this.#blobs?.wholeCopy(id, isWanted);
    } catch (error) {
      return this.#noteDamage(error, undefined);
    }
  }

  /** Copies in all known packs whatever their state, whole ones first, then by depth. */
  copies(id: BlobId): BlobCopy[] {
    try {
      const copies = this.#blobs?.copies(id) ?? [];
      const known = copies.every(({ packNo }) => this.pack(packNo) !== undefined)
        ? copies
        : copies.filter(({ packNo }) => this.pack(packNo) !== undefined);
      return known.length < 2 ? known : known.sort((a, b) => a.depth - b.depth);
    } catch (error) {
      return this.#noteDamage(error, []);
    }
  }

  /**
   * Calls back with every copy of blobs that have several, in all known packs. Reads all entries.
   * @returns false when that could not be found out.
   */
  async visitRepeated(visit: (copy: BlobCopy) => void): Promise<boolean> {
    if (this.#blobs === undefined) return false;
    try {
      await this.#blobs.visitRepeated(visit);
      return true;
    } catch (error) {
      return this.#noteDamage(error, false);
    }
  }

  /** Whether a whole copy in this pack counts as present. */
  isUsable(packNo: number): boolean {
    if (this.#states.isUsable(packNo)) return true;
    return this.pack(packNo) !== undefined && this.#states.isUsable(packNo);
  }

  pack(packNo: number): PackInfo | undefined {
    return this.#states.get(packNo) ?? this.#loadPack(packNo);
  }

  packs(): Iterable<PackInfo> {
    return this.#states.all();
  }

  packNo(name: PackName): number | undefined {
    return this.#reading(undefined, () => this.#readRow(name)?.packNo);
  }

  /** The whole record of a pack, for a segment that is to name it. */
  record(packNo: number): PackRecord | undefined {
    return this.#reading(undefined, () => {
      const key = packKey(packNo);
      const value = this.#environment.packs.get(key);
      return value === undefined ? undefined : decodePack(key, value);
    });
  }

  /** The session that wrote a pack; the second time without reading its record. */
  sessionOf(packNo: number): SessionId | undefined {
    const known = this.#sessions.get(packNo);
    const body = known === undefined ? this.record(packNo)?.body : undefined;
    if (body === undefined) return known;
    const id = sessionIdOf(body) as SessionId;
    this.#sessions.set(packNo, id);
    return id;
  }

  /** The whole directory, parsed; for questions about single blobs `openDirectory` is cheaper. */
  directory(packNo: number): PackDirectory | undefined {
    return this.#reading(undefined, () => {
      const record = this.record(packNo);
      return record === undefined ? undefined : directoryOf(record);
    });
  }

  /** The blobs of a pack by slot, with what is needed to read its frames. */
  openDirectory(packNo: number): OpenedDirectory | undefined {
    const kept = this.#directories.get(packNo);
    if (kept !== undefined) return kept;
    return this.#reading(undefined, () => {
      const record = this.record(packNo);
      if (record === undefined) return undefined;
      const { body, ...pack } = record;
      const opened = { pack, blobs: blobTableOf({ ...pack, body }) };
      this.#directories.set(packNo, opened);
      return opened;
    });
  }

  /**
   * Fills a table with what is kept of it; whatever it held belonged to another index. From here on
   * `addPack` enters the features of its pack. What other packs have is missing until `refillFeatures`.
   */
  loadFeatures(store: FeatureStore): void {
    const features = new FeaturePages(this.#environment, store, {
      countAfter: (packNo) => this.#states.blobCountAfter(packNo),
      isThere: (packNo) => this.#isThere(packNo),
      onDamage: (error) => this.#noteDamage(error, undefined),
    });
    // What the one before has under way ends at its next pause.
    void this.#features?.close();
    this.#features = features;
    this.#reading(undefined, () => features.load());
  }

  /** Enters the features of all packs that the table lacks, newest first, with pauses for other work. */
  async refillFeatures(): Promise<void> {
    await this.#features?.takeIn();
  }

  /**
   * Writes the table, if enough was stored since the last time; takes in before what it lacks.
   * @throws CacheFailed when it cannot be written.
   */
  saveFeatures(): Promise<void> {
    return this.#writing(async () => this.#features?.save());
  }

  async close(): Promise<void> {
    await this.#features?.close();
    await this.#blobs?.close();
    await this.#home.close(!this.#isDamaged);
  }

  /** False for packs that were swept, or not found in a listing. */
  #isThere(packNo: number): boolean {
    const state = this.pack(packNo)?.state;
    return state === PACK_STATE.live || state === PACK_STATE.unindexed;
  }

  #addPacks(
    records: readonly PackRecord[],
    options: { isIndexed: boolean },
    finish: () => void,
  ): PackInfo[] {
    const changed: PackInfo[] = [];
    this.#write(() => {
      for (const record of records) {
        const row = this.#readRow(record.name) ?? this.#insert(record);
        const isIndexed = row.isIndexed || options.isIndexed;
        const pack = { ...row, isIndexed, state: this.#states.stateOf({ ...row, isIndexed }) };
        this.#putRow(pack);
        changed.push(pack);
      }
      finish();
    });
    for (const pack of changed) {
      this.#states.set(pack);
      if (this.#distrustedNames.size > 0) this.#applyDistrust(pack.name, pack.packNo);
    }
    this.#blobs?.unsettle();
    return changed;
  }

  /** Puts the record of a pack that is not known yet; its row is left to the caller. */
  #insert(record: PackRecord): PackInfo {
    const { packs } = this.#environment;
    const packNo = lastPackNo(packs) + 1;
    const key = packKey(packNo);
    packs.putSync(key, encodePack(key, record));
    const { name, length, kind, body } = record;
    const blobCount = blobCountOf(body);
    return { packNo, name, length, blobCount, kind, isIndexed: false, state: PACK_STATE.missing };
  }

  #readRow(name: PackName): PackInfo | undefined {
    const key = fromHex(name);
    const value = this.#environment.packid.get(key);
    return value === undefined ? undefined : toPackInfo(key, value);
  }

  #putRow(pack: PackInfo): void {
    const key = fromHex(pack.name);
    this.#environment.packid.putSync(key, encodePackRow(key, pack));
  }

  #describeSegment({ level, createdMs, packs }: Segment): SegmentRow {
    let blobCount = 0;
    for (const { name } of packs) blobCount += this.#readRow(name)?.blobCount ?? 0;
    return { level, packCount: packs.length, blobCount, createdMs };
  }

  /** Takes in a pack that another process has added since. */
  #loadPack(packNo: number): PackInfo | undefined {
    const name = this.record(packNo)?.name;
    const row = name && this.#reading(undefined, () => this.#readRow(name));
    if (row === undefined || row.packNo !== packNo) return undefined;
    const pack = { ...row, state: this.#states.stateOf(row) };
    this.#states.set(pack);
    return pack;
  }

  #mergeIfDue(): Promise<void> {
    return this.#writing(async () => this.#blobs?.mergeIfDue());
  }

  async #writing(action: () => Promise<void>): Promise<void> {
    try {
      await action();
    } catch (error) {
      if (error instanceof CacheFailed) this.#isDamaged = true;
      throw error;
    }
  }

  #write(action: () => void): void {
    try {
      writeAll(this.#environment, action);
    } catch (error) {
      if (error instanceof CacheFailed) this.#isDamaged = true;
      throw error;
    }
  }

  #reading<T>(otherwise: T, read: () => T): T {
    try {
      return read();
    } catch (error) {
      return this.#noteDamage(error, otherwise);
    }
  }

  /** Damage means "not found": whoever writes stores again, and the next run rebuilds. */
  #noteDamage<T>(error: unknown, otherwise: T): T {
    if (!isDamage(error) && !(error instanceof CacheFailed)) throw error;
    if (!this.#isDamaged) this.#onNotice?.(`The cache "${this.#home.path}" is damaged`);
    this.#isDamaged = true;
    return otherwise;
  }
}

function toPackInfo(key: Uint8Array, value: Uint8Array): PackInfo {
  return { ...decodePackRow(key, value), name: toHex(key) as PackName };
}

function entryCount(stats: object): number {
  return (stats as { entryCount: number }).entryCount;
}
