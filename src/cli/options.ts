/**
 * Options that several commands have, how their values are read, and the variables of the
 * environment that stand in for them: `VARVE_` and the name of the flag in capitals. A flag goes
 * before a variable, a variable before a default; a variable that makes no sense is an error.
 */
import { type Command, InvalidArgumentError, Option } from 'commander';
import type { SnapshotFilter } from '../index.ts';
import { UsageError } from './exit-code.ts';
import { parseJobs, parseSize } from './parse-values.ts';
import type { PassphraseOptions } from './passphrase.ts';
import { absoluteArgument, rawArgument } from './raw-argument.ts';

/** What every command takes. */
export interface CommonOptions extends PassphraseOptions {
  repo?: string;
  cacheDir?: string;
  jobs?: number;
  /** Bytes. */
  memory?: number;
  json?: boolean;
  quiet?: boolean;
  verbose?: number;
  progress: boolean;
}

export interface FilterOptions {
  host?: string;
  source?: string;
  path?: string;
  tag?: string;
}

/** Passphrases have rules of their own (`passphrase.ts`); `--version` does nothing to a command. */
const withoutVariable = new Set([
  'passwordFile',
  'passwordCommand',
  'newPasswordFile',
  'newPasswordCommand',
  'fromPasswordFile',
  'fromPasswordCommand',
  'version',
]);

/** Options that exclude each other; a flag goes before the variable of the other one. */
const rivals: readonly (readonly [string, string])[] = [
  ['quiet', 'verbose'],
  ['parent', 'force'],
];

const yes = /^(1|true|yes)$/i;
const no = /^(0|false|no)$/i;

export function addCommonOptions(program: Command): void {
  program
    .option('-r, --repo <location>', 'the repository: a directory')
    .addOption(
      new Option('--password-file <file>', 'read the passphrase from a file').conflicts(
        'passwordCommand',
      ),
    )
    .option('--password-command <command>', 'run a command that prints the passphrase')
    .option('--cache-dir <directory>', 'keep the local index here')
    .option('--jobs <n>', 'threads to work with, beside the main one', parseJobs)
    .option('--memory <size>', 'memory to stay below, such as 512M', parseSize)
    .option('-q, --quiet', 'print results and errors only')
    .option('-v, --verbose', 'print more, and each path saved; twice: stack traces')
    .option('--json', 'print JSON lines')
    .option('--no-progress', 'show no progress');
}

export function addFilterOptions(command: Command): Command {
  return command
    .option('--host <name>', 'only snapshots of this host')
    .option('--source <name>', 'only snapshots of this source')
    .option('--path <path>', 'only snapshots of this file or directory')
    .option('--tag <tag>', 'only snapshots with this tag');
}

export function filterOf(options: FilterOptions): SnapshotFilter {
  const { host, source, path, tag } = options;
  return {
    host: host === undefined ? undefined : rawArgument(host),
    source: source === undefined ? undefined : rawArgument(source),
    path: path === undefined ? undefined : absoluteArgument(path),
    tag,
  };
}

export function collect(value: string, previous: readonly string[] = []): string[] {
  return [...previous, value];
}

/**
 * Takes from the environment what the command line does not say.
 * @throws UsageError also when an option is empty (no name, place or tag is), and when two that
 * exclude each other are given in the same way.
 */
export function completeOptions(command: Command, environment: NodeJS.ProcessEnv): void {
  for (const option of command.options) {
    const key = option.attributeName();
    const given: unknown = command.getOptionValue(key);
    if (given === '' || (Array.isArray(given) && given.includes(''))) {
      throw new UsageError(`${option.long} is empty`);
    }
    const variable = variableOf(option);
    const text = environment[variable];
    const isGiven = [key, rivalOf(key)].some((name) => isFlagged(command, name));
    if (withoutVariable.has(key) || text === undefined || isGiven) continue;
    command.setOptionValueWithSource(key, readVariable(option, { variable, text }), 'env');
  }
  for (const pair of rivals) {
    if (!pair.every((name) => Boolean(command.getOptionValue(name)))) continue;
    throw new UsageError(`${pair.map((name) => `--${name}`).join(' cannot be used with ')}`);
  }
}

function rivalOf(key: string): string {
  return rivals.find((pair) => pair.includes(key))?.find((name) => name !== key) ?? key;
}

function isFlagged(command: Command, key: string): boolean {
  return command.getOptionValueSource(key) === 'cli';
}

/** Whether errors of the command line itself are to be JSON: before it could be understood. */
export function isJsonWanted(argv: readonly string[], environment: NodeJS.ProcessEnv): boolean {
  return argv.includes('--json') || yes.test(environment['VARVE_JSON'] ?? '');
}

function variableOf(option: Option): string {
  const name = option.long === '--repo' ? 'repository' : (option.long as string).slice(2);
  return `VARVE_${name.replaceAll('-', '_').toUpperCase()}`;
}

function readVariable(option: Option, { variable, text }: { variable: string; text: string }) {
  if (text === '') throw new UsageError(`${variable} is empty`);
  if (option.attributeName() === 'verbose') return readVerbosity(variable, text);
  if (option.isBoolean() || option.negate) {
    return readSwitch(variable, text) !== option.negate;
  }
  try {
    return option.parseArg === undefined ? text : option.parseArg(text, undefined);
  } catch (error) {
    if (!(error instanceof InvalidArgumentError)) throw error;
    throw new UsageError(`${variable} is "${text}". ${error.message}`);
  }
}

function readSwitch(variable: string, text: string): boolean {
  if (yes.test(text)) return true;
  if (no.test(text)) return false;
  throw new UsageError(`${variable} is "${text}", expected 1 or 0`);
}

function readVerbosity(variable: string, text: string): number {
  if (/^[012]$/.test(text)) return Number(text);
  throw new UsageError(`${variable} is "${text}", expected 0, 1 or 2`);
}
