/**
 * The deltas of an opened frame, each decoded with the base that a plan names and compared with its
 * id. What fails here need not be damage: another copy of the base may be good. So nothing is told
 * but which ones are to be looked at by whoever knows all copies, and which bases turned out good on
 * the way.
 */
import { VarveError } from '../errors.ts';
import type { BlobEntry } from '../pack/directory.ts';
import { encodedDelta } from '../pack/pack-reader.ts';
import { baseRow, type PackBases } from '../repository/base-plan.ts';
import { BaseReader } from '../repository/base-reader.ts';
import type { WorkerCore } from '../repository/repository.ts';
import { Malformed } from '../util/byte-reader.ts';
import { equalBytes } from '../util/bytes.ts';
import type { DeltaFrame } from './check-frames.ts';

/** What is known of the deltas of a pack. */
export interface DeltaVerdict {
  /** Slots of those that the plan did not make right. */
  readonly unverified: number[];
  /** Rows of the plan whose deltas were decoded and have their ids. */
  readonly verifiedRows: number[];
}

export class DeltaVerifier {
  readonly #core: WorkerCore;
  readonly #bases: BaseReader;
  #raw = new Uint8Array(0);

  constructor(core: WorkerCore) {
    this.#core = core;
    this.#bases = new BaseReader(core);
  }

  /** Begins a pack, whose deltas are then verified frame by frame. */
  begin(plan: PackBases): void {
    const rows = [...plan.baseRows].filter((row) => row >= 0);
    this.#bases.expect(plan, rows);
  }

  /** @throws the signal's reason */
  async verify(
    { content, blobs, slot }: DeltaFrame,
    plan: PackBases | undefined,
    to: { verdict: DeltaVerdict; signal: AbortSignal },
  ): Promise<void> {
    const { verdict, signal } = to;
    const onVerified = (row: number): void => {
      verdict.verifiedRows.push(row);
    };
    for (const [i, blob] of blobs.entries()) {
      const row = plan?.baseRows[slot + i] ?? baseRow.none;
      if (row === baseRow.notWanted) continue;
      const options = { type: blob.type, signal, onVerified };
      const isGood =
        plan !== undefined &&
        row !== baseRow.none &&
        (await this.#isGood(blob, content, () => this.#bases.read(plan, row, options)));
      if (!isGood) verdict.unverified.push(slot + i);
    }
  }

  async #isGood(
    blob: BlobEntry,
    content: Uint8Array,
    readBase: () => Promise<Uint8Array>,
  ): Promise<boolean> {
    const { id, type, rawSize } = blob;
    try {
      const base = await readBase();
      if (this.#raw.length < rawSize) this.#raw = new Uint8Array(rawSize);
      const raw = this.#raw.subarray(0, rawSize);
      this.#core.codec.decompressInto(raw, encodedDelta(blob, content), base);
      return equalBytes(this.#core.identify(type, raw), id);
    } catch (error) {
      if (error instanceof VarveError || error instanceof Malformed) return false;
      throw error;
    }
  }
}
