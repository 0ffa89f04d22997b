/** The options of `varve snapshot` that say what to leave out, and the files of patterns they name. */
import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { checkExcludes, type ExcludeOptions } from '../index.ts';
import { UsageError } from './exit-code.ts';
import { collect } from './options.ts';
import { rawArgument } from './raw-argument.ts';

export interface ExcludeFlags {
  exclude?: string[];
  excludeFile?: string[];
  excludeCaches?: boolean;
  excludeIfPresent?: string[];
  oneFileSystem?: boolean;
}

export function addExcludeOptions(command: Command): Command {
  return command
    .option('-e, --exclude <pattern>', 'leave out what fits; may be repeated', collect)
    .option('--exclude-file <file>', 'read patterns from a file; may be repeated', collect)
    .option('--exclude-caches', 'leave out what is in directories with a CACHEDIR.TAG')
    .option(
      '--exclude-if-present <name[:header]>',
      'leave out what is in directories with such a file; may be repeated',
      collect,
    )
    .option('-x, --one-file-system', 'do not enter other file systems');
}

/**
 * Patterns of files come before those of the command line, which can so bring back what they exclude.
 * @throws UsageError
 */
export function excludesOf(flags: ExcludeFlags): ExcludeOptions {
  const { exclude = [], excludeFile = [], excludeIfPresent = [] } = flags;
  const excludes = {
    patterns: [...excludeFile.flatMap(readPatterns), ...exclude.map(rawArgument)],
    isSkippingCaches: flags.excludeCaches,
    markers: excludeIfPresent.map(markerOf),
    isOneFileSystem: flags.oneFileSystem,
  };
  try {
    checkExcludes(excludes);
  } catch (error) {
    if (error instanceof RangeError) throw new UsageError(error.message);
    throw error;
  }
  return excludes;
}

/** `NAME` or `NAME:HEADER`. */
function markerOf(argument: string): { name: Uint8Array; header?: Uint8Array } {
  const bytes = rawArgument(argument);
  const colon = bytes.indexOf(0x3a);
  if (colon === -1) return { name: bytes };
  return { name: bytes.subarray(0, colon), header: bytes.subarray(colon + 1) };
}

/** One pattern a line; comments and lines without anything are no patterns. */
function readPatterns(file: string): Uint8Array[] {
  return readText(file)
    .split('\n')
    .map((line) => line.replace(/^[ \t]+|(?<!\\)[ \t\r]+$/g, ''))
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => new Uint8Array(Buffer.from(line, 'latin1')));
}

/** As latin1 text, one character per byte, without the mark that some editors begin UTF-8 with. */
function readText(file: string): string {
  try {
    return readFileSync(Buffer.from(rawArgument(file)), 'latin1').replace(/^\xef\xbb\xbf/, '');
  } catch (error) {
    throw new UsageError(`cannot read exclude file "${file}": ${(error as Error).message}`);
  }
}
