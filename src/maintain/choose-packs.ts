/**
 * Which packs a check reads: all, a part of them, or those longest not read. Packs that are known to
 * be damaged are read every time, so that damage is told until it is gone.
 */
import type { PackName } from '../id.ts';
import type { PackInfo } from '../index/pack-states.ts';
import type { ReadTimes } from '../repository/pack-ledger.ts';

/**
 * A part of all packs. `part` of `of`, from 1, by the names of the packs: `of` runs read every pack
 * once, whoever runs them. `percent` of all bytes, above 0: the packs longest not read.
 */
export type DataSubset = { part: number; of: number } | { percent: number };

const PART_COUNT_MAX = 10_000;

/** @throws RangeError */
export function checkDataSubset(subset: DataSubset): void {
  if ('percent' in subset) {
    const { percent } = subset;
    if (!(percent > 0 && percent <= 100)) throw new RangeError(`Not a share: ${percent} percent`);
    return;
  }
  const { part, of } = subset;
  const isPart = Number.isInteger(part) && Number.isInteger(of) && part >= 1 && part <= of;
  if (!isPart || of > PART_COUNT_MAX) throw new RangeError(`Not a part: ${part} of ${of}`);
}

/** @param subset undefined: all of them; 'none': only those known to be damaged. */
export function choosePacks(
  packs: readonly PackInfo[],
  subset: DataSubset | 'none' | undefined,
  known: { times: ReadTimes; damaged: ReadonlyMap<PackName, unknown> },
): PackInfo[] {
  const { times, damaged } = known;
  if (subset === undefined) return [...packs];
  const chosen = new Set<PackInfo>(packs.filter(({ name }) => damaged.has(name)));
  if (subset === 'none') return [...chosen];
  if ('of' in subset) {
    const { part, of } = subset;
    for (const pack of packs) if (partOf(pack.name, of) === part) chosen.add(pack);
  } else {
    const wantedSize = (subset.percent / 100) * packs.reduce((sum, { length }) => sum + length, 0);
    let size = 0;
    for (const pack of longestUnread(packs, times)) {
      if (size >= wantedSize) break;
      size += pack.length;
      chosen.add(pack);
    }
  }
  return packs.filter((pack) => chosen.has(pack));
}

/** From 1: names are hashes, so that all parts have about as many. */
function partOf(name: PackName, of: number): number {
  return (Number.parseInt(name.slice(0, 8), 16) % of) + 1;
}

function longestUnread(packs: readonly PackInfo[], times: ReadTimes): PackInfo[] {
  const timeOf = ({ name }: PackInfo): number => times.get(name) ?? 0;
  return [...packs].sort((a, b) => timeOf(a) - timeOf(b) || (a.name < b.name ? -1 : 1));
}
