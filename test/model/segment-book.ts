/** Index segments that are stored in a model, and the packs they name. */
import { indexedPacks } from '../../src/protocol/segments.ts';
import { has, maskOf, membersOf, replaced } from './masks.ts';

/** One state of what lies below `index/`; the same object whenever it is the same. */
export interface Segments {
  /** Different for different segments. */
  readonly key: number;
  /** By place: packs that the segment names; undefined where there is none. */
  readonly packs: readonly (number | undefined)[];
  /** By place: places of the segments it takes the place of. */
  readonly superseded: readonly number[];
  /** Places where there is a segment. */
  readonly present: number;
  /** Packs that are named by those segments that a reader knows, which may be some of these only. */
  indexed(known: number): number;
}

export const SEGMENTS_MAX = 5;
const PACK_BITS = 4;

/** All states of the segments that were met. */
export class SegmentBook {
  readonly #known = new Map<number, Segments>();

  /** One segment, in place 0. */
  first(packs: number): Segments {
    const none = Array<undefined>(SEGMENTS_MAX - 1).fill(undefined);
    return this.#of([packs, ...none], Array<number>(SEGMENTS_MAX).fill(0));
  }

  /** With a segment put in that place, or deleted. What it superseded once stays known. */
  with(
    segments: Segments,
    place: number,
    { packs, superseded }: { packs: number | undefined; superseded?: number },
  ): Segments {
    const all = segments.superseded;
    return this.#of(
      replaced(segments.packs, place, packs),
      superseded === undefined ? all : replaced(all, place, superseded),
    );
  }

  #of(packs: readonly (number | undefined)[], superseded: readonly number[]): Segments {
    let key = 0;
    for (const [place, named] of packs.entries()) {
      const ofPlace = ((superseded[place] as number) << (PACK_BITS + 1)) | ((named ?? -1) + 1);
      key = key * 2 ** (PACK_BITS + 1 + SEGMENTS_MAX) + ofPlace;
    }
    let segments = this.#known.get(key);
    if (segments === undefined) {
      segments = describe(key, packs, superseded);
      this.#known.set(key, segments);
    }
    return segments;
  }
}

function describe(
  key: number,
  packs: readonly (number | undefined)[],
  superseded: readonly number[],
): Segments {
  const present = maskOf([...packs.keys()].filter((place) => packs[place] !== undefined));
  const indexedBy = Array.from({ length: 2 ** SEGMENTS_MAX }, (_, known) => {
    const places = [...packs.keys()].filter((place) => has(present & known, place));
    const segments = places.map((place) => ({
      name: place,
      packs: membersOf(packs[place] as number),
      superseded: membersOf(superseded[place] as number),
    }));
    return maskOf(indexedPacks(segments));
  });
  return { key, packs, superseded, present, indexed: (known) => indexedBy[known] as number };
}
