/**
 * What varve would save here: all programs, one after the other, through all versions of some data,
 * with everything they make in one scratch directory.
 */
import { randomBytes } from 'node:crypto';
import { mkdirSync, realpathSync } from 'node:fs';
import { join } from 'node:path';
import { errnoCode, NotFoundError, SourceError } from '../../errors.ts';
import { PROGRAM } from '../../index.ts';
import type { LongCall } from '../../progress.ts';
import { assert } from '../../util/assert.ts';
import { bufferOf, decodeUtf8, toHex, toLatin1 } from '../../util/bytes.ts';
import { printable } from '../../util/printable.ts';
import { UsageError } from '../exit-code.ts';
import { formatBytes } from '../format.ts';
import type { Savings } from '../savings.ts';
import { BenchmarkError } from './benchmark-error.ts';
import { ChildFailed } from './child.ts';
import { type Contender, type History, runHistory } from './history.ts';
import { layVersion, sourceReason } from './lay-version.ts';
import { measureFiles } from './measure-files.ts';
import {
  borgProgram,
  ownArgv,
  type Program,
  resticProgram,
  varveProgram,
  versionOf,
  withSnapshotOptions,
} from './programs.ts';
import { freeSize, freeSpace, withScratch } from './scratch.ts';

export interface BenchmarkOptions extends LongCall {
  signal: AbortSignal;
  /** Each a version, oldest first. */
  paths: readonly Uint8Array[];
  /** Directory in which the scratch directory is made. */
  parent: string;
  isComparing: boolean;
  /** Further variables for varve. */
  varveSettings: Readonly<Record<string, string>>;
  /** Told of each entry that is not saved as it is. */
  onError: (error: SourceError) => void;
  /** Told of each step, in words. */
  onStep: (step: string) => void;
}

export interface BenchmarkResult {
  versionCount: number;
  /** Of varve, then of the others. */
  runs: BenchmarkRun[];
  /** Of varve with similarity. */
  savings: Savings;
  /** Programs that would have been compared. */
  notFound: string[];
}

export interface BenchmarkRun {
  name: string;
  /** As the program gives it. */
  version: string;
  /** Or why there are no figures. */
  outcome: History | ChildFailed;
}

const peers: readonly Program[] = [resticProgram, borgProgram];
const PASSPHRASE_SIZE = 16;

/**
 * @throws NotFoundError when none of the paths exists, UsageError when the scratch directory would be
 * in one of them, BenchmarkError, and the reason of the signal.
 */
export async function runBenchmark(options: BenchmarkOptions): Promise<BenchmarkResult> {
  const versions = findVersions(options);
  const parent = findParent(options.parent, versions);
  const { contenders, notFound } = findContenders(options.isComparing);
  return await withScratch(parent, 'varve-benchmark-', async (scratch) => {
    const data = await prepareData(versions, scratch, options);
    const runs: BenchmarkRun[] = [];
    let savings: Savings | undefined;
    for (const { version, ...contender } of contenders) {
      const { name, isVarve } = contender;
      // All of them see the same entries; once is enough to hear of one that cannot be read.
      const onError = runs.length === 0 ? options.onError : () => {};
      const historyOptions = {
        ...options,
        scratch,
        passphrase: toHex(randomBytes(PASSPHRASE_SIZE)),
        source: data.source,
        versionCount: versions.length,
        lay: (i: number) => data.lay(i, onError),
        onError,
      };
      const outcome = await runHistory(contender, historyOptions).catch((error: unknown) => {
        if (error instanceof ChildFailed && !isVarve) return error;
        throw error;
      });
      runs.push({ name, version, outcome });
      if (!(outcome instanceof ChildFailed)) savings ??= outcome.savings;
    }
    assert(savings !== undefined, 'varve is always among them');
    return { versionCount: versions.length, runs, savings, notFound };
  });
}

/** Where the versions really are; each counts once. */
function findVersions({ paths, onError }: BenchmarkOptions): Uint8Array[] {
  const versions = new Map<string, Uint8Array>();
  for (const path of paths) {
    try {
      const found = realpathSync.native(bufferOf(path), 'buffer');
      versions.set(toLatin1(found), found);
    } catch (error) {
      const code = errnoCode(error);
      if (code === undefined) throw error;
      const reason = code === 'ENOENT' ? 'missing' : sourceReason(code);
      const message = `Cannot find source "${printable(path)}": ${code}`;
      onError(new SourceError(path, 'find', reason, message, error));
    }
  }
  if (versions.size > 0) return [...versions.values()];
  const names = paths.map(printable).join(', ');
  throw new NotFoundError('source', names, `Cannot find any source: ${names}`);
}

/** A repository of data that it is in itself would have no end. */
function findParent(given: string, versions: readonly Uint8Array[]): string {
  const parent = resolveParent(given);
  const inside = `${toLatin1(Buffer.from(parent))}/`;
  for (const version of versions) {
    if (!inside.startsWith(`${toLatin1(version)}/`.replace('//', '/'))) continue;
    const which = printable(version);
    throw new UsageError(`the scratch directory "${parent}" is in "${which}": name another one`);
  }
  return parent;
}

function resolveParent(given: string): string {
  try {
    return realpathSync.native(given);
  } catch (error) {
    throw new UsageError(`cannot use scratch directory "${given}": ${errnoCode(error)}`);
  }
}

function findContenders(isComparing: boolean): {
  contenders: (Contender & { version: string })[];
  notFound: string[];
} {
  const withSimilarity = (when: string) =>
    withSnapshotOptions(varveProgram(ownArgv), ['--similarity', when]);
  const isVarve = true;
  const version = PROGRAM;
  const contenders = [
    { name: 'varve', program: withSimilarity('on'), isVarve, version },
    { name: 'varve_similarity_off', program: withSimilarity('off'), isVarve, version },
  ];
  const notFound: string[] = [];
  for (const program of isComparing ? peers : []) {
    const { name } = program;
    const version = versionOf(program);
    if (version === undefined) notFound.push(name);
    else contenders.push({ name, program, isVarve: false, version });
  }
  return { contenders, notFound };
}

interface Data {
  /** Absolute path of what is saved. */
  source: string;
  lay: (version: number, onError: (error: SourceError) => void) => Promise<void>;
}

/** One version is saved where it is; several take turns at one place in the scratch directory. */
async function prepareData(
  versions: readonly Uint8Array[],
  scratch: string,
  options: BenchmarkOptions,
): Promise<Data> {
  const [first, second] = versions as [Uint8Array, Uint8Array?];
  const path = decodeUtf8(first);
  // Arguments of programs are text.
  const isInPlace = second === undefined && path !== undefined;
  options.onStep('looking at what there is');
  let largest = 0;
  for (const version of versions) {
    const size = await measureFiles(version, { ...options, isReading: isInPlace });
    largest = Math.max(largest, size);
  }
  demandSpace(scratch, isInPlace ? largest : 2 * largest);
  if (isInPlace) return { source: path, lay: async () => {} };
  const directory = join(scratch, 'data');
  mkdirSync(directory);
  const source = join(directory, path?.split('/').at(-1) || 'data');
  const lay: Data['lay'] = async (i, onError) => {
    options.onStep(`copying version ${i + 1}`);
    try {
      await layVersion(source, versions[i] as Uint8Array, { ...options, onError });
    } catch (error) {
      if (errnoCode(error) === undefined) throw error;
      const found = `no space left on device, ${freeSpace(scratch)}`;
      throw new BenchmarkError('no_space', `Cannot copy a version: ${found}`, error);
    }
  };
  return { source, lay };
}

/** What is known beforehand: a version is restored, and where there are several, copied. */
function demandSpace(scratch: string, size: number): void {
  if (freeSize(scratch) >= size) return;
  const needed = `needed more than ${formatBytes(size)}`;
  throw new BenchmarkError('no_space', `Cannot benchmark: ${freeSpace(scratch)}, ${needed}`);
}
