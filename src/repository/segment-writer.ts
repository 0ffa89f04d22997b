/**
 * The index segments of a session (step 4): each names packs that are durable, and is durable itself when
 * its name is given. From then on only the name is kept, so a session takes no more memory the
 * more it has stored.
 */
import { createHash } from 'node:crypto';
import type { PackName, SegmentName, SessionId } from '../id.ts';
import { CacheFailed } from '../index/environment.ts';
import type { LocalIndex } from '../index/local-index.ts';
import { encodeSegment, type Segment } from '../index/segment.ts';
import type { SaltSource } from '../keys/salt-source.ts';
import type { PackRecord } from '../pack/pack-record.ts';
import { OBJECT_KIND } from '../record/object-kind.ts';
import { sealObject } from '../record/sealed-object.ts';
import { toHex } from '../util/bytes.ts';
import { nowMs } from '../util/clock.ts';
import { pass } from './failpoints.ts';
import type { Repository } from './repository.ts';

/** What a segment holds at most, but for one large pack: until it is written all is in memory. */
const PACK_COUNT_MAX = 64;
const BODY_SIZE_MAX = 2 ** 24;
const INTERVAL_NS = 15n * 60n * 1_000_000_000n;

interface SegmentWriterOptions {
  readonly sessionId: SessionId;
  readonly writerId: string;
  /** The newest sweep that the session knows. */
  readonly applied: number;
  readonly newSalt: SaltSource;
  readonly index: LocalIndex;
}

export class SegmentWriter {
  readonly #repository: Repository;
  readonly #options: SegmentWriterOptions;
  /** Durable packs that no segment of this session names yet, and the bytes of their directories. */
  readonly #packs: PackRecord[] = [];
  /** All packs that were handed in. */
  readonly #known = new Set<PackName>();
  #size = 0;
  #dueNs: bigint;
  /** Segments that were written, in order. */
  readonly names: SegmentName[] = [];

  constructor(repository: Repository, options: SegmentWriterOptions) {
    this.#repository = repository;
    this.#options = options;
    this.#dueNs = repository.clock.monotonicNs() + INTERVAL_NS;
  }

  /** A durable pack; it is named once. */
  add(record: PackRecord): void {
    if (this.#known.has(record.name)) return;
    this.#known.add(record.name);
    this.#packs.push(record);
    this.#size += record.body.length;
  }

  isDue(monotonicNs: bigint): boolean {
    if (this.#packs.length === 0) return false;
    const isFull = this.#packs.length >= PACK_COUNT_MAX || this.#size >= BODY_SIZE_MAX;
    return isFull || monotonicNs >= this.#dueNs;
  }

  /** Level-0 segments over the packs that no segment of this session names yet. */
  async publish(): Promise<void> {
    this.#dueNs = this.#repository.clock.monotonicNs() + INTERVAL_NS;
    while (this.#packs.length > 0) {
      const packs = this.#nextPacks();
      await this.#put(packs);
      this.#packs.splice(0, packs.length);
      for (const { body } of packs) this.#size -= body.length;
    }
  }

  /** As many as one segment holds. */
  #nextPacks(): PackRecord[] {
    let [count, size] = [0, 0];
    for (const { body } of this.#packs) {
      size += body.length;
      if (count === PACK_COUNT_MAX || (count > 0 && size > BODY_SIZE_MAX)) break;
      count += 1;
    }
    return this.#packs.slice(0, count);
  }

  async #put(packs: PackRecord[]): Promise<void> {
    const { keys, storage, clock, onNotice } = this.#repository;
    const { sessionId, writerId, applied, newSalt, index } = this.#options;
    const segment: Segment = {
      level: 0,
      sessionId,
      writerId,
      createdMs: nowMs(clock),
      applied,
      superseded: [],
      packs,
    };
    const payload = encodeSegment(segment);
    const file = sealObject(
      keys,
      { kind: OBJECT_KIND.segment, name: '' },
      { payload, salt: newSalt },
    );
    const name = toHex(createHash('sha256').update(file).digest()) as SegmentName;
    await pass('session.4.before');
    await storage.put(`index/0-${name}`, file);
    await storage.sync();
    await pass('session.4.after');
    this.names.push(name);
    try {
      await index.applySegments([{ name, segment }]);
    } catch (error) {
      if (!(error instanceof CacheFailed)) throw error;
      onNotice(`Cannot write the cache: ${error.message}`);
    }
  }
}
