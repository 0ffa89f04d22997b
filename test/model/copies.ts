/**
 * The packs of the models. There are two blobs: D, which every snapshot refers to, and X, which none
 * does and which lives only as the base of a delta. A pack holds one copy: `D` and `X` stored whole,
 * `d` is D as a delta on X, `x` is X as a delta on D, `-` is a pack that was never stored. What all packs
 * hold is one number, 3 bits for each pack.
 */
import {
  type Copy,
  decodableBlobs,
  deleteList,
  keepsDecodable,
  standingPacks,
} from '../../src/protocol/decode-rule.ts';
import { maskOf, membersOf, partsOf, remember } from './masks.ts';

const KINDS = ['-', 'D', 'd', 'X', 'x'] as const;
const PACKS_MAX = 10;

export type Kind = (typeof KINDS)[number];
type Blob = 'D' | 'X';
type TestCopy = Copy<Blob, number>;

export function kindIn(contents: number, pack: number): Kind {
  return KINDS[(contents >> (3 * pack)) & 7] as Kind;
}

export function withKind(contents: number, pack: number, kind: Kind): number {
  return (contents & ~(7 << (3 * pack))) | (KINDS.indexOf(kind) << (3 * pack));
}

/** What packs hold that were there from the beginning, the first letter in pack 0. */
export function contentsOf(kinds: string): number {
  return [...kinds].reduce((all, kind, pack) => withKind(all, pack, kind as Kind), 0);
}

function keyOf(packs: number, contents: number): number {
  return contents * 2 ** PACKS_MAX + packs;
}

export const kindsIn: (packs: number, contents: number) => ReadonlySet<Kind> = remember(
  keyOf,
  (packs, contents): ReadonlySet<Kind> =>
    new Set(membersOf(packs).map((pack) => kindIn(contents, pack))),
);

const copiesIn = remember(keyOf, (packs, contents): TestCopy[] =>
  membersOf(packs)
    .filter((pack) => kindIn(contents, pack) !== '-')
    .map((pack) => copyOf(kindIn(contents, pack), pack)),
);

function copyOf(kind: Kind, pack: number): TestCopy {
  if (kind === 'd') return { blob: 'D', pack, base: 'X' };
  if (kind === 'x') return { blob: 'X', pack, base: 'D' };
  return { blob: kind as Blob, pack };
}

/** Which blobs can be decoded from these packs. */
export const decodable: (packs: number, contents: number) => Record<Blob, boolean> = remember(
  keyOf,
  (packs, contents) => {
    const found = decodableBlobs(copiesIn(packs, contents));
    return { D: found.has('D'), X: found.has('X') };
  },
);

/**
 * Whether D can be read from these packs, said without the rule: by this it is judged what is lost, so
 * that a rule which is wrong is not judged by itself.
 */
export function isReadable(packs: number, contents: number): boolean {
  const kinds = kindsIn(packs, contents);
  return kinds.has('D') || (kinds.has('d') && kinds.has('X'));
}

/** Rule DECODE: whether these packs are enough, when D is live or nothing is. */
export function keepsLive(packs: number, contents: number, isAnyLive: boolean): boolean {
  return keepsDecodable(copiesIn(packs, contents), isAnyLive ? ['D'] : []);
}

/**
 * Every list that `deleteList()` gives by some order of the condemned packs; none where it aborts. It
 * takes those that stand first, if it can, so one order for each part of them will do.
 */
export const deleteListsOf: (
  condemned: number,
  standing: number,
  contents: number,
  isAnyLive: number,
) => readonly number[] = remember(
  (condemned: number, standing: number, contents: number, isAnyLive: number) =>
    keyOf(standing, contents * 2 + isAnyLive) * 2 ** PACKS_MAX + condemned,
  (condemned, standing, contents, isAnyLive): readonly number[] => {
    const copies = copiesIn(standing, contents);
    const live: Blob[] = isAnyLive === 1 ? ['D'] : [];
    const lists = new Set<number>();
    for (const first of partsOf(condemned)) {
      const order = [...membersOf(first), ...membersOf(condemned & ~first)];
      const list = deleteList({ condemned: order, copies, live });
      if (list !== undefined) lists.add(maskOf(list));
    }
    return [...lists];
  },
);

/** Packs that are indexed, stored and not swept. */
export const standing: (indexed: number, stored: number, swept: number) => number = remember(
  (indexed, stored, swept) => keyOf(indexed, keyOf(stored, swept)),
  (indexed, stored, swept) =>
    maskOf(
      standingPacks({
        indexed: membersOf(indexed),
        listed: new Set(membersOf(stored)),
        swept: new Set(membersOf(swept)),
      }),
    ),
);
