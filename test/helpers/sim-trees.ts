/** The small trees that simulated clients save: some files alike, some the same, some new in each. */
import type { SnapshotResult } from '../../src/backup/take-snapshot.ts';
import type { Repository } from '../../src/repository/repository.ts';
import type { SourceTree } from './memory-source.ts';
import { describeTree, SOURCE_ROOT, snapshotTree } from './repository-crash.ts';
import { seededRandom } from './seeded-random.ts';
import { edited, textOf } from './similar-versions.ts';

const trees = new Map<number, SourceTree>();
const alike = textOf(1, 6000);

export function versionTree(version: number): SourceTree {
  let tree = trees.get(version);
  if (tree === undefined) {
    tree = {
      [`${SOURCE_ROOT}/d/alike`]: version === 0 ? alike : edited(alike, 40 + version),
      [`${SOURCE_ROOT}/e/own-${version}`]: seededRandom(300 + version).bytes(900),
      [`${SOURCE_ROOT}/link`]: { target: `e/own-${version}` },
      [`${SOURCE_ROOT}/shared-${version % 3}`]: textOf(2 + (version % 3), 2500),
    };
    trees.set(version, tree);
  }
  return tree;
}

const texts = new Map<number, string>();

/** What a snapshot of it must hold, as `describeSnapshot` gives it. */
export function versionText(version: number): string {
  let text = texts.get(version);
  if (text === undefined) {
    text = describeTree(versionTree(version)).join('\n');
    texts.set(version, text);
  }
  return text;
}

export async function saveVersion(
  repository: Repository,
  version: number,
): Promise<SnapshotResult> {
  return await snapshotTree(repository, versionTree(version));
}
