/**
 * Random flips of single bits in a repository of more than 100 MB, with many packs, deltas, snapshots,
 * forgotten ones and a collection behind it. A flip is in what is read, the objects stay as they are. For each a
 * check reads the structure and the data of the one pack that was hit, as `check --read-data` does for all.
 */
import { VarveError } from '../../src/errors.ts';
import type { CheckOptions } from '../../src/maintain/check.ts';
import type { Finding } from '../../src/maintain/finding.ts';
import { openReadAccess, type ReadAccess } from '../../src/repository/read-access.ts';
import type { Repository } from '../../src/repository/repository.ts';
import type { Storage } from '../../src/storage/storage.ts';
import { DamageTallies, judgeDamage, kindOf, openMemoryClient } from './damage-judge.ts';
import { interceptStorage } from './fault-storage.ts';
import { forgetSnapshots, pruneNow } from './forget-snapshots.ts';
import type { SourceTree } from './memory-source.ts';
import { describeSnapshot, describeTree, SOURCE_ROOT, snapshotTree } from './repository-crash.ts';
import { type SeededRandom, seededRandom } from './seeded-random.ts';
import { edited, textOf } from './similar-versions.ts';
import { namesOf, newStorage, objects, type Scope } from './test-repository.ts';

const snapshotCount = 26;
/** Versions that are forgotten, and what is new in them with them. */
const forgottenVersions = [1, 2, 3];
/** Of what is new in each snapshot, and of the texts that are edited in each. */
const newFileSize = 900_000;
const newFileCount = 5;
const textSize = 20_000;
const textCount = 60;
/** Parts of all packs, of which a check reads the one with the pack that was hit. */
const partCount = 10_000;
const saltOfFlips = 700_000;
const progressEvery = 500;

/** Kinds of objects as often as they are to be hit; most bytes are in packs. */
const hitKinds = [
  'data',
  'data',
  'data',
  'meta',
  'meta',
  'index',
  'snapshots',
  'tombs',
  'gc',
  'config',
];

interface Flip {
  readonly name: string;
  readonly bit: number;
}

export interface LargeOptions {
  /** Numbers of flips, from the first to before the second. */
  readonly range: readonly [number, number];
  readonly onProgress?: (text: string) => void;
}

export async function flipLarge(
  scope: Scope,
  { range: [from, to], onProgress }: LargeOptions,
): Promise<{ tallies: DamageTallies; size: number }> {
  const { storage, trees } = await largeRepository(scope);
  const sizes = await objects(storage);
  const hurt: { flip?: Flip } = {};
  const client = await openMemoryClient(scope, flippingStorage(storage, hurt));
  const tallies = new DamageTallies();
  for (let number = from; number < to; number++) {
    // Each flip has randomness of its own, so that a run can be cut into pieces.
    const random = seededRandom(saltOfFlips + number);
    const flip = randomFlip(random, sizes);
    hurt.flip = flip;
    await judgeFlip(client, flip, { trees, random, tallies });
    delete hurt.flip;
    if ((number + 1) % progressEvery === 0) {
      onProgress?.(`${number + 1} flips, ${tallies.losses.length} losses`);
    }
  }
  const { result } = await judgeDamage(client, new Set(), {});
  for (const { message } of result?.findings ?? []) tallies.losses.push(`at the end: ${message}`);
  return { tallies, size: [...sizes.values()].reduce((sum, size) => sum + size, 0) };
}

async function judgeFlip(
  client: Repository,
  flip: Flip,
  by: { trees: ReadonlyMap<string, SourceTree>; random: SeededRandom; tallies: DamageTallies },
): Promise<void> {
  const { name, bit } = flip;
  const check = checkOf(name);
  const { result, ...verdict } = await judgeDamage(client, new Set([name]), { check });
  const place = `${name} bit ${bit}`;
  let wrongCount = 0;
  let { crash } = verdict;
  try {
    const access = await openReadAccess(client);
    wrongCount = await countWrong(access, result?.findings ?? [], by);
  } catch (error) {
    if (!(error instanceof VarveError)) crash = String((error as Error).stack);
  }
  const of = { damage: `flip, ${kindOf(name)}`, mustName: true, place };
  by.tallies.add({ ...verdict, wrongCount, crash }, of);
}

/** Reads a file that the check says is hurt, as far as that goes, and one that may be. */
async function countWrong(
  access: ReadAccess,
  findings: readonly Finding[],
  { trees, random }: { trees: ReadonlyMap<string, SourceTree>; random: SeededRandom },
): Promise<number> {
  const { snapshots } = access.view;
  const hurtIds = new Set(findings.flatMap((finding) => finding.snapshots));
  const hurtPaths = findings.flatMap(({ paths }) => paths.slice(0, 1));
  const hurtPath = Buffer.from(hurtPaths[0] ?? []).toString('utf8');
  const isHurt = (path: string): boolean => path === hurtPath || path.startsWith(`${hurtPath}/`);
  let wrongCount = 0;
  for (const isWanted of [isHurt, () => true]) {
    const among = snapshots.filter(({ id }) => isWanted !== isHurt || hurtIds.has(id));
    const snapshot = among[random.below(among.length)];
    const tree = trees.get(snapshot?.id ?? '') ?? {};
    const paths = Object.keys(tree).filter(isWanted);
    const path = paths[random.below(paths.length)];
    if (snapshot === undefined || path === undefined) continue;
    try {
      const found = await describeSnapshot(access, snapshot, namesOf(path));
      const expected = describeTree({ [path]: tree[path] as SourceTree[string] });
      if (found.join('\n') !== expected.join('\n')) wrongCount += 1;
    } catch (error) {
      if (!(error instanceof VarveError)) throw error;
    }
  }
  return wrongCount;
}

/** Of packs the data of the one; records are read by every check. */
function checkOf(name: string): CheckOptions {
  const hash = /^(?:data|meta)\/.*\/([0-9a-f]{8})[0-9a-f]{56}$/.exec(name)?.[1];
  if (hash === undefined) return {};
  return { dataSubset: { part: (Number.parseInt(hash, 16) % partCount) + 1, of: partCount } };
}

function randomFlip(random: SeededRandom, sizes: ReadonlyMap<string, number>): Flip {
  const kind = hitKinds[random.below(hitKinds.length)] as string;
  const names = [...sizes.keys()].filter((name) => kindOf(name) === kind).sort();
  const name = names[random.below(names.length)] as string;
  return { name, bit: random.below(8 * (sizes.get(name) as number)) };
}

/** One bit of one object is the other way round whenever it is read. */
function flippingStorage(storage: Storage, hurt: { readonly flip?: Flip }): Storage {
  const flipped = (bytes: Uint8Array, name: string, offset: number): Uint8Array => {
    if (hurt.flip?.name !== name) return bytes;
    const { bit } = hurt.flip;
    const at = (bit >> 3) - offset;
    if (at < 0 || at >= bytes.length) return bytes;
    const copy = bytes.slice();
    copy[at] = (copy[at] as number) ^ (1 << (bit & 7));
    return copy;
  };
  const calls: Pick<Storage, 'get' | 'getRange'> = {
    get: async (name, options) => flipped(await storage.get(name, options), name, 0),
    getRange: async (name, range, options) =>
      flipped(await storage.getRange(name, range, options), name, range.offset),
  };
  return Object.assign(
    interceptStorage(storage, (_call, run) => run()),
    calls,
  );
}

/** What the snapshots that are left hold, by their ids. */
async function largeRepository(
  scope: Scope,
): Promise<{ storage: Storage; trees: Map<string, SourceTree> }> {
  const storage = await newStorage();
  const client = await openMemoryClient(scope, storage);
  const trees = new Map<string, SourceTree>();
  let tree: SourceTree = {};
  for (let i = 0; i < textCount; i++) {
    tree = { ...tree, [`${SOURCE_ROOT}/texts/${i % 7}/${i}`]: textOf(1000 + i, textSize) };
  }
  for (let version = 0; version < snapshotCount; version++) {
    const next: Record<string, SourceTree[string]> = { ...tree };
    for (let i = 0; i < newFileCount; i++) {
      const path = `${SOURCE_ROOT}/new/${version}/${i}`;
      next[path] = seededRandom(2000 + version * newFileCount + i).bytes(newFileSize);
    }
    for (const path of Object.keys(tree).filter((one) => one.includes('/texts/'))) {
      const salt = 5000 + version * textCount + Number(path.split('/').at(-1));
      next[path] = edited(next[path] as Uint8Array, salt, 2);
    }
    const { id } = await snapshotTree(client, next, { similarity: 'local' });
    trees.set(id, next);
    if (!forgottenVersions.includes(version)) tree = next;
  }
  // Of some there are tombs, a sweep and no packs; the others stay the many packs they were.
  const ids = [...trees.keys()];
  const forgotten = forgottenVersions.map((version) => ids[version] as string);
  await forgetSnapshots(client, forgotten);
  for (const id of forgotten) trees.delete(id);
  await pruneNow(client, { repackSizeMax: 0 });
  return { storage, trees };
}
