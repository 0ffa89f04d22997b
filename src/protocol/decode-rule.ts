/**
 * Rule DECODE: which blobs can be decoded from a set of packs, and which condemned packs may go
 * (docs/repository-format.md, section 21). Pure, on plain sets and maps: a small statement of the
 * rule, for the models of the protocol (`test/model`) and as an oracle for the collector, which works
 * on bitmaps over the local index.
 *
 * Decoding is a *least* fixpoint: whole copies first, then deltas whose base is already decodable. That
 * every base has some copy left is not enough, since copies may depend on each other in a circle.
 */

/** Rounds of the fixpoint, which is also the longest chain of deltas that anyone decodes. */
const ROUNDS_MAX = 32;

/** One copy of a blob in one pack; stored whole when it has no base. */
export interface Copy<Blob, Pack> {
  blob: Blob;
  pack: Pack;
  base?: Blob | undefined;
}

/**
 * The blobs that can be decoded from these copies, each with the deltas on its shortest way down to a
 * whole copy: 0 for a blob with a whole copy, at most 32.
 */
export function decodableBlobs<Blob>(
  copies: Iterable<Pick<Copy<Blob, unknown>, 'blob' | 'base'>>,
): Map<Blob, number> {
  const lengths = new Map<Blob, number>();
  let rest: { blob: Blob; base: Blob }[] = [];
  for (const { blob, base } of copies) {
    if (base === undefined) lengths.set(blob, 0);
    else rest.push({ blob, base });
  }
  for (let round = 1; round <= ROUNDS_MAX && rest.length > 0; round++) {
    const found = rest.filter(({ base }) => lengths.has(base));
    if (found.length === 0) break;
    rest = rest.filter(({ base }) => !lengths.has(base));
    for (const { blob } of found) if (!lengths.has(blob)) lengths.set(blob, round);
  }
  return lengths;
}

/** Whether every live blob can be decoded from these copies. */
export function keepsDecodable<Blob>(
  copies: Iterable<Pick<Copy<Blob, unknown>, 'blob' | 'base'>>,
  live: Iterable<Blob>,
): boolean {
  const decodable = decodableBlobs(copies);
  for (const blob of live) if (!decodable.has(blob)) return false;
  return true;
}

/** The packs over which DECODE holds: indexed, listed with the right length, in no sweep. */
export function standingPacks<Pack>({
  indexed,
  listed,
  swept,
}: {
  indexed: Iterable<Pack>;
  listed: ReadonlySet<Pack>;
  swept: ReadonlySet<Pack>;
}): Set<Pack> {
  const standing = new Set<Pack>();
  for (const pack of indexed) if (listed.has(pack) && !swept.has(pack)) standing.add(pack);
  return standing;
}

/**
 * The delete list: a largest part of `condemned` without which every live blob can still be decoded.
 * There may be several; the packs that stand first go first. A part of it may be deleted too.
 * @param copies All copies in standing packs, condemned ones among them.
 * @returns undefined when a live blob cannot be decoded even from all of them: the collector aborts.
 */
export function deleteList<Blob, Pack>({
  condemned,
  copies,
  live,
}: {
  condemned: Iterable<Pack>;
  copies: readonly Copy<Blob, Pack>[];
  live: readonly Blob[];
}): Set<Pack> | undefined {
  if (!keepsDecodable(copies, live)) return undefined;
  const deleted = new Set<Pack>();
  for (const pack of condemned) {
    deleted.add(pack);
    const kept = copies.filter((copy) => !deleted.has(copy.pack));
    if (!keepsDecodable(kept, live)) deleted.delete(pack);
  }
  return deleted;
}
