/** Collector records that are stored in a model, and what follows from them. */
import { collectorView } from '../../src/protocol/collector-view.ts';
import { maskOf, membersOf, replaced } from './masks.ts';

export interface Mark {
  readonly generation: number;
  /** Packs and snapshots, as bit masks. */
  readonly condemned: number;
  readonly counted: number;
}

/** One state of what lies below `gc/`; the same object whenever it is the same. */
export interface Records {
  /** Different for different records. */
  readonly key: number;
  /** By generation; generation 1 is in place 0. */
  readonly marks: readonly (Mark | undefined)[];
  /** Packs swept. */
  readonly sweeps: readonly (number | undefined)[];
  /** All packs that generations up to this one swept. */
  readonly merged: Merged | undefined;
  /** What a reader of all of it knows: the last generation swept, and packs. */
  readonly generation: number;
  readonly swept: number;
  readonly dead: number;
  readonly pendingMark: Mark | undefined;
}

interface Merged {
  readonly generation: number;
  readonly packs: number;
}

/** Generations a model may have, and bits that a mask of packs may have, so that keys differ. */
const GENERATIONS_MAX = 2;
const PACK_BITS = 8;
const SESSION_BITS = 5;

/** All states of the records that were met. */
export class RecordBook {
  readonly #known = new Map<number, Records>();
  readonly #generations: number;
  readonly #believesVoid: boolean;

  /** @param options.believesVoid Marks and sweeps that a merged sweep covers count all the same. */
  constructor(generations: number, options: { believesVoid?: boolean } = {}) {
    this.#generations = generations;
    this.#believesVoid = options.believesVoid ?? false;
  }

  get empty(): Records {
    const none = Array<undefined>(this.#generations).fill(undefined);
    return this.#of({ marks: none, sweeps: none, merged: undefined });
  }

  withMark(records: Records, generation: number, mark: Mark | undefined): Records {
    return this.#of({ ...records, marks: replaced(records.marks, generation - 1, mark) });
  }

  withSweep(records: Records, generation: number, packs: number | undefined): Records {
    return this.#of({ ...records, sweeps: replaced(records.sweeps, generation - 1, packs) });
  }

  withMerged(records: Records, generation: number, packs: number): Records {
    return this.#of({ ...records, merged: { generation, packs } });
  }

  #of(stored: Pick<Records, 'marks' | 'sweeps' | 'merged'>): Records {
    const key = keyOf(stored);
    let records = this.#known.get(key);
    if (records === undefined) {
      records = this.#describe(key, stored);
      this.#known.set(key, records);
    }
    return records;
  }

  #describe(key: number, stored: Pick<Records, 'marks' | 'sweeps' | 'merged'>): Records {
    const { marks, sweeps, merged } = stored;
    const mergedSweeps = merged === undefined ? [] : [sweepOf(merged.generation, merged.packs)];
    const ownSweeps = sweeps.flatMap((packs, i) =>
      packs === undefined ? [] : [sweepOf(i + 1, packs)],
    );
    const view = collectorView({
      merged: this.#believesVoid ? [] : mergedSweeps,
      sweeps: this.#believesVoid ? [...mergedSweeps, ...ownSweeps] : ownSweeps,
      marks: marks.flatMap((mark) =>
        mark === undefined ? [] : [{ ...mark, mark, condemned: membersOf(mark.condemned) }],
      ),
    });
    return {
      key,
      marks,
      sweeps,
      merged,
      generation: view.generation,
      swept: maskOf(view.sweptPacks),
      dead: maskOf(view.deadPacks),
      pendingMark: view.pendingMark?.mark,
    };
  }
}

function sweepOf(
  generation: number,
  packs: number,
): { generation: number; delete: readonly number[] } {
  return { generation, delete: membersOf(packs) };
}

function keyOf({ marks, sweeps, merged }: Pick<Records, 'marks' | 'sweeps' | 'merged'>): number {
  let key = 0;
  for (let i = 0; i < GENERATIONS_MAX; i++) {
    const mark = marks[i];
    const ofMark = mark === undefined ? 0 : 1 + ((mark.condemned << SESSION_BITS) | mark.counted);
    key = key * (2 ** (PACK_BITS + SESSION_BITS) + 1) + ofMark;
    key = key * (2 ** PACK_BITS + 1) + 1 + (sweeps[i] ?? -1);
  }
  const ofMerged = merged === undefined ? 0 : (merged.packs << 2) | merged.generation;
  return key * 2 ** 10 + ofMerged;
}
