/**
 * Which packs index segments name, and what compaction of segments may take out of them
 * (docs/repository-format.md, sections 9 and 21). Pure: the product and the models of the protocol
 * (`test/model`) ask the same functions.
 *
 * - A segment counts while no present segment supersedes it.
 * - Compaction supersedes exactly the segments that were read, and takes out swept packs only: what
 *   a mark condemns may be rescued by its sweep.
 */

export interface SegmentSays<Name, Pack> {
  name: Name;
  packs: Iterable<Pack>;
  superseded: Iterable<Name>;
}

/** Packs that the segments of one listing name together. */
export function indexedPacks<Name, Pack>(segments: readonly SegmentSays<Name, Pack>[]): Set<Pack> {
  const superseded = new Set<Name>();
  for (const segment of segments) for (const name of segment.superseded) superseded.add(name);
  const packs = new Set<Pack>();
  for (const segment of segments) {
    if (superseded.has(segment.name)) continue;
    for (const pack of segment.packs) packs.add(pack);
  }
  return packs;
}

/** What the segment says that takes the place of those that were read. */
export function compactSegments<Name, Pack>(
  inputs: readonly Pick<SegmentSays<Name, Pack>, 'name' | 'packs'>[],
  swept: ReadonlySet<Pack>,
): { packs: Set<Pack>; superseded: Set<Name> } {
  const packs = new Set<Pack>();
  for (const input of inputs) {
    for (const pack of input.packs) if (!swept.has(pack)) packs.add(pack);
  }
  return { packs, superseded: new Set(inputs.map(({ name }) => name)) };
}
