/** The command line that the benches of whole programs have in common, and what they save. */
import { execFileSync } from 'node:child_process';
import { accessSync, constants, existsSync, lstatSync, mkdirSync, readdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { type CorpusKind, corpusCounts, corpusKinds, corpusSizes, makeCorpus } from './corpus.ts';
import { parseCount, parseSize, UsageError } from './sizes.ts';
import type { Work } from './work-directory.ts';

export interface ProcessOptions {
  /** Undefined: only the directories given. */
  corpus: { kind: CorpusKind; size: number; count: number } | undefined;
  directories: readonly string[];
  /** Which of the bench's cases. */
  cases: readonly string[];
  runs: number;
  isCold: boolean;
  isComparing: boolean;
  jsonPath: string | undefined;
  /** Where the work directory is made. */
  parent: string | undefined;
}

/** One thing to save: a corpus, or the directories given, together. */
export interface Source {
  name: string;
  paths: readonly string[];
  /** Bytes of all regular files, each name counted. */
  size: number;
  fileCount: number;
}

const dropCaches = '/proc/sys/vm/drop_caches';

/** @throws UsageError */
export function parseProcessOptions(args: string[], cases: readonly string[]): ProcessOptions {
  const { values, positionals } = parseCommandLine(args);
  const { corpus, runs, only } = values;
  const isCold = values.cold === true;
  if (isCold && !canWrite(dropCaches)) throw new UsageError(`--cold has to write ${dropCaches}`);
  const directories = positionals.map((path) => resolve(path));
  for (const path of directories) {
    if (!existsSync(path)) throw new UsageError(`no such directory: "${path}"`);
  }
  const kind = corpus ?? (directories.length === 0 ? 'mixed' : undefined);
  return {
    corpus: kind === undefined ? undefined : corpusOf(kind, values),
    directories,
    cases: only === undefined ? cases : only.split(',').map((name) => caseOf(name, cases)),
    runs: parseCount(runs ?? '5'),
    isCold,
    isComparing: values.compare === true,
    jsonPath: values.json,
    parent: values.dir,
  };
}

interface Values {
  corpus?: string | undefined;
  size?: string | undefined;
  count?: string | undefined;
  only?: string | undefined;
  runs?: string | undefined;
  cold?: boolean | undefined;
  compare?: boolean | undefined;
  json?: string | undefined;
  dir?: string | undefined;
}

function parseCommandLine(args: string[]): { values: Values; positionals: string[] } {
  try {
    return parseArgs({
      args,
      allowPositionals: true,
      options: {
        corpus: { type: 'string' },
        size: { type: 'string' },
        count: { type: 'string' },
        only: { type: 'string' },
        runs: { type: 'string' },
        cold: { type: 'boolean' },
        compare: { type: 'boolean' },
        json: { type: 'string' },
        dir: { type: 'string' },
      },
    });
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

function corpusOf(name: string, values: Values): ProcessOptions['corpus'] {
  const kind = corpusKinds.find((known) => known === name);
  if (kind === undefined) {
    throw new UsageError(`no corpus "${name}", only ${corpusKinds.join(', ')}`);
  }
  const { [kind]: size = 0 } = corpusSizes;
  const { [kind]: count = 0 } = corpusCounts;
  return {
    kind,
    size: values.size === undefined ? size : parseSize(values.size),
    count: values.count === undefined ? count : parseCount(values.count),
  };
}

function caseOf(name: string, cases: readonly string[]): string {
  if (!cases.includes(name)) throw new UsageError(`no case "${name}", only ${cases.join(', ')}`);
  return name;
}

function canWrite(path: string): boolean {
  try {
    accessSync(path, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

/**
 * Makes the corpus, if one is wanted, and names what there is to save. Directories given are copied
 * first if a bench is going to change them.
 */
export async function prepareSources(
  work: Work,
  options: ProcessOptions,
  willChange: boolean,
): Promise<Source[]> {
  const { corpus, directories } = options;
  const sources: Source[] = [];
  if (corpus !== undefined) {
    console.error(`making the corpus "${corpus.kind}"`);
    const path = join(work.directory, corpus.kind);
    await makeCorpus(path, { ...corpus, signal: work.signal });
    sources.push({ name: `corpus ${corpus.kind}`, paths: [path], ...totalOf([path]) });
  }
  if (directories.length > 0) {
    const paths = willChange ? copyAll(work, directories) : directories;
    sources.push({ name: directories.join(' '), paths, ...totalOf(paths) });
  }
  return sources;
}

function copyAll(work: Work, directories: readonly string[]): string[] {
  const copies = join(work.directory, 'copies');
  mkdirSync(copies);
  return directories.map((directory, i) => {
    console.error(`copying ${directory}`);
    const copy = join(copies, `${i}`);
    execFileSync('cp', ['-a', '--', directory, copy]);
    return copy;
  });
}

function totalOf(paths: readonly string[]): { size: number; fileCount: number } {
  const total = { size: 0, fileCount: 0 };
  for (const path of paths) {
    addFiles(Buffer.from(path), ({ size }) => {
      total.size += size;
      total.fileCount++;
    });
  }
  return total;
}

/** Bytes of all files below a directory; 0 if there is none. */
export function sizeOf(directory: string): number {
  return existsSync(directory) ? totalOf([directory]).size : 0;
}

/** Names are bytes here: those of directories given need not be text. */
function addFiles(path: Buffer, add: (file: { size: number }) => void): void {
  const stat = lstatSync(path);
  if (stat.isFile()) add(stat);
  if (!stat.isDirectory()) return;
  for (const name of readdirSync(path, { encoding: 'buffer' })) {
    addFiles(Buffer.concat([path, Buffer.from('/'), name]), add);
  }
}
