/** The command line of the savings bench. */
import { existsSync, readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { parseCount, UsageError } from '../sizes.ts';
import { defaultWords, wordsOf } from './dice.ts';
import { type GitSource, parseGitSource } from './git-sets.ts';

export interface SavingsOptions {
  /** Names of sets; undefined: all there are. */
  only: readonly string[] | undefined;
  /** Of each set the first so many. */
  versionCountMax: number | undefined;
  /** Names of programs; undefined: all there are. */
  tools: readonly string[] | undefined;
  runs: number;
  sources: ReadonlyMap<string, GitSource>;
  words: readonly string[];
  /** Where sets are kept; undefined: nowhere. */
  setsDirectory: string | undefined;
  /** Where the work directory is made. */
  parent: string | undefined;
  resultsDirectory: string;
}

const defaultResults = 'bench-results';

/** @throws UsageError */
export function parseSavingsOptions(args: string[]): SavingsOptions {
  const values = parseCommandLine(args);
  const { versions } = values;
  return {
    only: values.only?.split(','),
    versionCountMax: versions === undefined ? undefined : parseCount(versions),
    tools: values.tools?.split(','),
    runs: parseCount(values.runs ?? '1'),
    sources: new Map((values.git ?? []).map(parseGitSource)),
    words: values.words === undefined ? defaultWords() : readWords(values.words),
    setsDirectory: values.sets,
    parent: values.dir,
    resultsDirectory: values.out ?? defaultResults,
  };
}

function readWords(path: string): string[] {
  const words = existsSync(path) ? wordsOf(readFileSync(path, 'utf8')) : [];
  if (words.length === 0) throw new UsageError(`no words in "${path}"`);
  return words;
}

interface Values {
  only?: string | undefined;
  versions?: string | undefined;
  tools?: string | undefined;
  runs?: string | undefined;
  git?: string[] | undefined;
  words?: string | undefined;
  sets?: string | undefined;
  dir?: string | undefined;
  out?: string | undefined;
}

function parseCommandLine(args: string[]): Values {
  try {
    const { values } = parseArgs({
      args,
      options: {
        only: { type: 'string' },
        versions: { type: 'string' },
        tools: { type: 'string' },
        runs: { type: 'string' },
        git: { type: 'string', multiple: true },
        words: { type: 'string' },
        sets: { type: 'string' },
        dir: { type: 'string' },
        out: { type: 'string' },
      },
    });
    return values;
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}
