/**
 * The data sets of the savings bench: which there are, and the directory that keeps them between runs.
 *
 *     SETS/NAME/set.json           what it is, its versions in order, whether that is all of them
 *     SETS/NAME/versions/VERSION/  the files of one version
 *
 * A file that is the same in the version before is a hard link to it. A set is made under another
 * name and renamed when it is complete, so that what has a set.json can be used.
 */
import {
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { UsageError } from '../sizes.ts';
import { makeDatabaseDays } from './database-sets.ts';
import { type Day, daySets } from './day-sets.ts';
import { type GitSource, imageSource, makeImages, makeTrees } from './git-sets.ts';
import type { Maker } from './maker.ts';
import { filesOf, isSameFile } from './version-tree.ts';

export interface Version {
  name: string;
  /** Bytes of all files. */
  size: number;
  fileCount: number;
}

export interface DataSet {
  name: string;
  /** In a few words. */
  about: string;
  versions: readonly Version[];
  /** Of one of the versions. */
  directoryOf: (version: Version) => string;
}

/** How a set is made; the generator yields the name of each version as soon as it is there. */
export interface Recipe {
  name: string;
  about: string;
  make: (maker: Maker) => Generator<string>;
}

/** What set.json holds. */
interface Description {
  recipe: number;
  about: string;
  versions: readonly Version[];
  isComplete: boolean;
}

/** Counted up when a recipe changes what is made. */
const recipeVersion = 1;
const descriptionName = 'set.json';

/** All that can be made with these sources and words. */
export function recipesOf(
  sources: ReadonlyMap<string, GitSource>,
  words: readonly string[],
): Recipe[] {
  const recipes: Recipe[] = [];
  for (const [name, source] of sources) {
    const about = 'source trees out of a git repository';
    recipes.push({ name, about, make: (maker) => makeTrees(maker, source) });
    if (name !== imageSource) continue;
    const aboutImages = `ext4 images with trees of ${name}`;
    recipes.push({ name: 'vm', about: aboutImages, make: (maker) => makeImages(maker, source) });
  }
  for (const [name, about] of [
    ['sqlite', 'daily files of a database'],
    ['sqldump', 'daily dumps of a database'],
  ] as const) {
    recipes.push({ name, about, make: (maker) => makeDatabaseDays(maker, { kind: name, words }) });
  }
  for (const [name, { about, make }] of Object.entries(daySets)) {
    recipes.push({ name, about, make: (maker) => writeDays(maker, make(words)) });
  }
  return recipes;
}

function* writeDays(maker: Maker, days: Generator<Day>): Generator<string> {
  let count = 0;
  for (const day of days) {
    const name = `day${`${count++}`.padStart(2, '0')}`;
    const directory = maker.makeVersion(name);
    for (const [path, bytes] of day) {
      mkdirSync(dirname(join(directory, path)), { recursive: true });
      writeFileSync(join(directory, path), bytes);
    }
    yield name;
  }
}

/** Names of sets that are kept in the directory. */
export function keptSets(parent: string): string[] {
  if (!existsSync(parent)) return [];
  return readdirSync(parent)
    .filter((name) => existsSync(join(parent, name, descriptionName)))
    .sort();
}

export interface PrepareOptions {
  /** Undefined where the set can only be found, not made. */
  recipe: Recipe | undefined;
  /** The first so many versions; all by default. */
  versionCountMax?: number | undefined;
  signal: AbortSignal;
}

/**
 * Finds the set in `parent`, or makes it there.
 *
 * @throws UsageError if it cannot be made, or what has its name is no set of this recipe.
 */
export async function prepareDataSet(
  parent: string,
  name: string,
  options: PrepareOptions,
): Promise<DataSet> {
  const { recipe, versionCountMax = Infinity, signal } = options;
  const directory = join(parent, name);
  const found = readDescription(directory);
  const isEnough = found?.isComplete || (found?.versions.length ?? 0) >= versionCountMax;
  if (found !== undefined && isEnough) return openDataSet(directory, name, found, versionCountMax);
  if (recipe === undefined) throw new UsageError(`no recipe for the set "${name}" is there`);
  const making = `${directory}.making`;
  rmSync(making, { recursive: true, force: true });
  try {
    await make(making, recipe, { versionCountMax, signal });
    if (found !== undefined) rmSync(directory, { recursive: true });
    renameSync(making, directory);
  } finally {
    rmSync(making, { recursive: true, force: true });
  }
  return openDataSet(directory, name, readDescription(directory)!, versionCountMax);
}

function readDescription(directory: string): Description | undefined {
  if (!existsSync(directory)) return undefined;
  const path = join(directory, descriptionName);
  if (!existsSync(path)) throw new UsageError(`"${directory}" is there, but no data set`);
  const description = JSON.parse(readFileSync(path, 'utf8')) as Description;
  if (description.recipe !== recipeVersion) {
    throw new UsageError(`"${directory}" was made by another version: remove it`);
  }
  return description;
}

function openDataSet(
  directory: string,
  name: string,
  description: Description,
  versionCountMax: number,
): DataSet {
  return {
    name,
    about: description.about,
    versions: description.versions.slice(0, versionCountMax),
    directoryOf: (version) => join(directory, 'versions', version.name),
  };
}

async function make(
  directory: string,
  recipe: Recipe,
  { versionCountMax, signal }: { versionCountMax: number; signal: AbortSignal },
): Promise<void> {
  const scratch = join(directory, 'scratch');
  const pathOf = (name: string): string => join(directory, 'versions', name);
  mkdirSync(scratch, { recursive: true });
  const makeVersion = (name: string): string => {
    mkdirSync(pathOf(name), { recursive: true });
    return pathOf(name);
  };
  const names = recipe.make({ makeVersion, scratch });
  const versions: Version[] = [];
  let next = names.next();
  while (!next.done && versions.length < versionCountMax) {
    const former = versions.at(-1);
    const path = pathOf(next.value);
    if (former !== undefined) linkSameFiles(pathOf(former.name), path);
    const sizes = [...filesOf(path).values()].map(({ size }) => size);
    const size = sizes.reduce((sum, one) => sum + one, 0);
    versions.push({ name: next.value, size, fileCount: sizes.length });
    console.error(`made ${recipe.name} ${next.value}`);
    await setImmediate();
    signal.throwIfAborted();
    if (versions.length < versionCountMax) next = names.next();
  }
  rmSync(scratch, { recursive: true });
  const { about } = recipe;
  const isComplete = next.done === true;
  const description: Description = { recipe: recipeVersion, about, versions, isComplete };
  writeFileSync(join(directory, descriptionName), `${JSON.stringify(description, undefined, 2)}\n`);
}

/** Makes the files of a version that are the same in the former one one file with them. */
function linkSameFiles(former: string, version: string): void {
  const formerFiles = filesOf(former);
  for (const [path, file] of filesOf(version)) {
    const formerFile = formerFiles.get(path);
    if (formerFile === undefined) continue;
    const [from, to] = [join(former, path), join(version, path)];
    if (!isSameFile({ path: from, stat: formerFile }, { path: to, stat: file })) continue;
    rmSync(to);
    linkSync(from, to);
  }
}
