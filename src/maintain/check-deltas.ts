/**
 * The deltas of an opened frame, each decoded with the base that a plan names and compared with its
 * id. What fails here need not be damage: another copy of the base may be good. So nothing is told
 * but which ones are to be looked at by whoever knows all copies.
 */
import { VarveError } from '../errors.ts';
import type { BlobEntry } from '../pack/directory.ts';
import { encodedDelta } from '../pack/pack-reader.ts';
import type { BasePlan } from '../repository/base-plan.ts';
import { BaseReader } from '../repository/base-reader.ts';
import type { WorkerCore } from '../repository/repository.ts';
import { Malformed } from '../util/byte-reader.ts';
import { equalBytes } from '../util/bytes.ts';
import type { DeltaFrame } from './check-frames.ts';

export class DeltaVerifier {
  readonly #core: WorkerCore;
  readonly #bases: BaseReader;
  #raw = new Uint8Array(0);

  constructor(core: WorkerCore) {
    this.#core = core;
    this.#bases = new BaseReader(core);
  }

  /**
   * Slots of the deltas that the plan does not make right.
   * @throws the signal's reason
   */
  async unverified(
    { content, blobs, slot }: DeltaFrame,
    plan: BasePlan | undefined,
    signal: AbortSignal,
  ): Promise<number[]> {
    const left: number[] = [];
    for (const [i, blob] of blobs.entries()) {
      const row = plan?.baseRows[slot + i] ?? -1;
      if (plan === undefined || row < 0) left.push(slot + i);
      else if (!(await this.#isGood(blob, content, { plan, row, signal }))) left.push(slot + i);
    }
    return left;
  }

  async #isGood(
    blob: BlobEntry,
    content: Uint8Array,
    { plan, row, signal }: { plan: BasePlan; row: number; signal: AbortSignal },
  ): Promise<boolean> {
    const { id, type, rawSize } = blob;
    try {
      const base = await this.#bases.read(plan, row, signal);
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
