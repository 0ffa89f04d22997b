/** Random graphs of copies of blobs: whole ones, deltas on others, circles; and a local index of them. */
import type { BlobId } from '../../src/id.ts';
import { LocalIndex } from '../../src/index/local-index.ts';
import type { PackRecord } from '../../src/pack/pack-record.ts';
import {
  type BlobPlan,
  idOf,
  packOf,
  segmentName,
  segmentOf,
  testRepositoryId,
} from './index-packs.ts';
import { seededRandom } from './seeded-random.ts';
import { tempDir } from './temp-dir.ts';
import type { Scope } from './test-repository.ts';

const features = new Uint8Array(24).fill(1);

/** A copy of a blob; whole without a base. Both are numbers of blobs. */
export interface Copy {
  readonly blob: number;
  readonly base: number | undefined;
  readonly pack: number;
}

export interface Graph {
  readonly blobCount: number;
  readonly packCount: number;
  readonly copies: readonly Copy[];
}

/** Copies on anything: circles, second ways, and nothing at the end. */
export function thicket(salt: number): Graph {
  const random = seededRandom(salt);
  const [blobCount, packCount] = [14, 9];
  const copies = Array.from({ length: 36 }, (): Copy => {
    const [blob, base] = [random.below(blobCount), random.below(blobCount)];
    const isWhole = blob === base || random.below(8) === 0;
    return { blob, base: isWhole ? undefined : base, pack: random.below(packCount) };
  });
  return { blobCount, packCount, copies };
}

/** Long chains with a few short cuts and whole copies: some blobs are just too deep. */
export function ladder(salt: number): Graph {
  const random = seededRandom(salt);
  const [blobCount, packCount] = [60, 12];
  const copies: Copy[] = [{ blob: 0, base: undefined, pack: 0 }];
  for (let blob = 1; blob < blobCount; blob++) {
    copies.push({ blob, base: blob - 1, pack: random.below(packCount) });
  }
  for (let i = 0; i < 12; i++) {
    const [blob, base] = [random.below(blobCount), random.below(blobCount)];
    if (blob !== base) copies.push({ blob, base, pack: random.below(packCount) });
  }
  copies.push({ blob: 20 + random.below(30), base: undefined, pack: 1 });
  return { blobCount, packCount, copies };
}

export function blobId(blob: number): BlobId {
  return idOf(`blob ${blob}`);
}

export function packsOf({ copies, packCount }: Graph): PackRecord[] {
  return Array.from({ length: packCount }, (_, pack) => {
    const inside = copies.filter((copy) => copy.pack === pack);
    // What a directory says of depth was true once, at best.
    const plans = inside.map(({ blob, base }, i): BlobPlan => {
      const plan = { id: blobId(blob), features };
      return base === undefined ? plan : { ...plan, base: blobId(base), depth: 1 + (i % 32) };
    });
    return packOf(`pack ${pack}`, plans.length > 0 ? plans : [{ id: idOf(`filler ${pack}`) }]);
  });
}

/** An index with all packs of the graph in a segment. */
export async function openIndex(scope: Scope, packs: readonly PackRecord[]): Promise<LocalIndex> {
  const index = await LocalIndex.open({
    cacheDir: tempDir(scope),
    repositoryId: testRepositoryId,
  });
  scope.after(() => index.close());
  await index.applySegments([{ name: segmentName('all'), segment: segmentOf([...packs]) }]);
  return index;
}
