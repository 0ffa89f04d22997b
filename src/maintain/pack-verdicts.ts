/**
 * What a check learns of packs, on top of what this client knew: which were read and are good, which
 * blobs of which cannot be used. It outlives the check, also one that is stopped (`pack-ledger.ts`).
 */
import { errnoCode } from '../errors.ts';
import { type BlobId, blobKey, type PackName } from '../id.ts';
import type { DistrustedCopies } from '../index/distrusted-copies.ts';
import { packStorageName } from '../pack/pack-record.ts';
import type { PackLedger, ReadTimes } from '../repository/pack-ledger.ts';
import type { OnNotice } from '../repository/repository.ts';
import { fromAscii, toHex } from '../util/bytes.ts';

/** A pack by its names. */
type Pack = Parameters<typeof packStorageName>[0];

export class PackVerdicts {
  /** When packs were last read and found good; of packs that are gone, too, until `save`. */
  readonly times: ReadTimes;
  /** What was known to be damaged before. */
  readonly damagedBefore: DistrustedCopies;
  readonly #good = new Set<PackName>();
  /** Keys of blobs; none where only the pack itself is wrong. */
  readonly #bad = new Map<PackName, { pack: Pack; keys: Set<string> }>();
  readonly #suspects = new Set<string>();

  constructor(times: ReadTimes, damagedBefore: DistrustedCopies) {
    this.times = times;
    this.damagedBefore = damagedBefore;
  }

  static async load(ledger: PackLedger): Promise<PackVerdicts> {
    return new PackVerdicts(await ledger.readTimes(), await ledger.damage());
  }

  /** @param id undefined: of the pack as a whole. */
  addBad(pack: Pack, id?: BlobId): void {
    const known = this.#bad.get(pack.name) ?? { pack, keys: new Set() };
    this.#bad.set(pack.name, known);
    if (id === undefined) return;
    known.keys.add(blobKey(id));
    this.#suspects.add(blobKey(id));
  }

  /** A blob with a copy that cannot be read at the moment. */
  addSuspect(id: BlobId): void {
    this.#suspects.add(blobKey(id));
  }

  /** Nothing is wrong with what was read of the pack, which was all of it. */
  addRead({ name }: Pack, nowMs: number): void {
    if (this.#bad.has(name)) return;
    this.#good.add(name);
    this.times.set(name, nowMs);
  }

  /** Blobs with a copy that cannot be used. */
  get suspectCount(): number {
    return this.#suspects.size;
  }

  isSuspect(id: BlobId): boolean {
    return this.#suspects.size > 0 && this.#suspects.has(blobKey(id));
  }

  /** Of damaged packs, by storage name: ids (hex) of the blobs that cannot be used. */
  get badBlobs(): Map<string, Set<string>> {
    return new Map(
      [...this.#bad.values()].map(({ pack, keys }) => [
        packStorageName(pack),
        new Set([...keys].map((key) => toHex(fromAscii(key)))),
      ]),
    );
  }

  /**
   * Keeps what was learned, and gives the copies that are not to be relied on.
   * @param packs that are there; of others the listing says all.
   */
  async save(
    { ledger, onNotice }: { ledger: PackLedger; onNotice: OnNotice },
    packs: readonly Pack[],
  ): Promise<DistrustedCopies> {
    const names = new Set(packs.map(({ name }) => name));
    const damaged = this.#damagedAmong(names);
    for (const name of this.times.keys()) if (!names.has(name)) this.times.delete(name);
    try {
      await ledger.saveDamage(damaged);
      if (this.#good.size > 0) await ledger.saveTimes(this.times);
    } catch (error) {
      if (errnoCode(error) === undefined) throw error;
      onNotice(`Cannot remember what was read: ${(error as Error).message}`);
    }
    return damaged;
  }

  #damagedAmong(names: ReadonlySet<PackName>): DistrustedCopies {
    const damaged: DistrustedCopies = new Map();
    for (const [name, keys] of this.damagedBefore) {
      if (names.has(name) && !this.#good.has(name)) damaged.set(name, keys);
    }
    for (const [name, { keys }] of this.#bad) {
      if (names.has(name)) damaged.set(name, keys.size === 0 ? 'all' : keys);
    }
    return damaged;
  }
}
