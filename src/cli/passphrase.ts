/**
 * Where a passphrase comes from: a file, a command, the environment, an inherited descriptor, or the
 * terminal. Never an argument, which every user of the machine could read. A flag goes before the
 * environment; two sources of the same rank are a mistake, not a choice.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { errnoCode, KeyError } from '../errors.ts';
import { decodeUtf8 } from '../util/bytes.ts';
import { UsageError } from './exit-code.ts';
import { splitWords } from './split-words.ts';
import { askHidden } from './terminal.ts';

const PASSPHRASE_SIZE_MAX = 2 ** 16;

export interface PassphraseOptions {
  passwordFile?: string | undefined;
  passwordCommand?: string | undefined;
}

/** The passphrase that a key slot is to get, beside the one that opens the repository. */
export interface NewPassphraseOptions {
  newPasswordFile?: string | undefined;
  newPasswordCommand?: string | undefined;
}

/** Of another repository, from which something is taken. */
export interface FromPassphraseOptions {
  fromPasswordFile?: string | undefined;
  fromPasswordCommand?: string | undefined;
}

export type PassphraseSource =
  | { kind: 'file'; path: string }
  | { kind: 'command'; command: string }
  | { kind: 'value'; passphrase: string }
  | { kind: 'descriptor'; descriptor: number };

/**
 * Which source is named, if any. Nothing is read yet: a repository may open without.
 * @throws UsageError when two are named, or a variable is malformed.
 */
export function findPassphraseSource(
  options: PassphraseOptions,
  environment: NodeJS.ProcessEnv,
): PassphraseSource | undefined {
  const { passwordFile: file, passwordCommand: command } = options;
  return flagSource({ file, command }) ?? variableSource('VARVE_PASSWORD', environment);
}

/** The same for a new passphrase. @throws UsageError */
export function findNewPassphraseSource(
  options: NewPassphraseOptions,
  environment: NodeJS.ProcessEnv,
): PassphraseSource | undefined {
  const { newPasswordFile: file, newPasswordCommand: command } = options;
  return flagSource({ file, command }) ?? variableSource('VARVE_NEW_PASSWORD', environment);
}

/** The same for the other repository. @throws UsageError */
export function findFromPassphraseSource(
  options: FromPassphraseOptions,
  environment: NodeJS.ProcessEnv,
): PassphraseSource | undefined {
  const { fromPasswordFile: file, fromPasswordCommand: command } = options;
  return flagSource({ file, command }) ?? variableSource('VARVE_FROM_PASSWORD', environment);
}

interface Flags {
  file: string | undefined;
  command: string | undefined;
}

function flagSource({ file, command }: Flags): PassphraseSource | undefined {
  if (file !== undefined) return { kind: 'file', path: file };
  return command === undefined ? undefined : { kind: 'command', command };
}

/** `stem` is the variable that holds the passphrase itself. */
function variableSource(
  stem: string,
  environment: NodeJS.ProcessEnv,
): PassphraseSource | undefined {
  const named = ['', '_FILE', '_COMMAND', '_FD']
    .map((suffix) => stem + suffix)
    .filter((name) => environment[name] !== undefined);
  if (named.length > 1) throw new UsageError(`${named.join(' and ')} are both set`);
  const name = named[0];
  if (name === undefined) return undefined;
  const value = environment[name] as string;
  if (value === '') throw new UsageError(`${name} is empty`);
  if (name.endsWith('_FILE')) return { kind: 'file', path: value };
  if (name.endsWith('_COMMAND')) return { kind: 'command', command: value };
  return name.endsWith('_FD')
    ? descriptorSource(name, value)
    : { kind: 'value', passphrase: value };
}

function descriptorSource(name: string, value: string): PassphraseSource {
  if (!/^\d{1,6}$/.test(value)) {
    throw new UsageError(`${name} is "${value}", expected the number of a descriptor`);
  }
  return { kind: 'descriptor', descriptor: Number(value) };
}

/**
 * The passphrase to open with.
 * @returns undefined when there is neither a source nor a terminal.
 * @throws KeyError when the source gives none.
 */
export async function readPassphrase(
  source: PassphraseSource | undefined,
  question = 'Passphrase: ',
): Promise<string | undefined> {
  if (source !== undefined) return readSource(source);
  return process.stdin.isTTY ? await askHidden(question) : undefined;
}

/** What a new passphrase is for. */
export interface NewPassphraseUse {
  /** Of messages: "create repository". */
  action: string;
  /** Of the question on a terminal: "Passphrase of the new repository". */
  question: string;
}

/**
 * A new passphrase, asked for twice on a terminal.
 * @throws KeyError when there is none, or the two differ.
 */
export async function readNewPassphrase(
  source: PassphraseSource | undefined,
  { action, question }: NewPassphraseUse,
): Promise<string> {
  const demand = (isFine: boolean, found: string): void => {
    if (!isFine) throw new KeyError(`Cannot ${action}: ${found}`);
  };
  demand(source !== undefined || process.stdin.isTTY, 'no passphrase given');
  const passphrase = source === undefined ? await askHidden(`${question}: `) : readSource(source);
  demand(passphrase !== '', 'the passphrase is empty');
  if (source !== undefined) return passphrase;
  const repeated = await askHidden('The same again: ');
  demand(repeated === passphrase, 'the two passphrases differ');
  return passphrase;
}

function readSource(source: PassphraseSource): string {
  switch (source.kind) {
    case 'value':
      return source.passphrase;
    case 'file':
      return passphraseOf(readContent(source.path, `file "${source.path}"`));
    case 'descriptor': {
      const { descriptor } = source;
      return passphraseOf(readContent(descriptor, `descriptor ${descriptor}`));
    }
    case 'command':
      return passphraseOf(runCommand(source.command));
  }
}

function readContent(file: string | number, which: string): Uint8Array {
  try {
    return readFileSync(file);
  } catch (error) {
    const found = errnoCode(error) ?? (error as Error).message;
    throw new KeyError(`Cannot read passphrase from ${which}: ${found}`, error);
  }
}

/** Split into words and run as it is: whoever wants a shell names one. */
function runCommand(command: string): Uint8Array {
  const [file, ...words] = splitWords(command);
  if (file === undefined) throw new UsageError('the password command is empty');
  const result = spawnSync(file, words, {
    stdio: ['inherit', 'pipe', 'inherit'],
    maxBuffer: PASSPHRASE_SIZE_MAX,
  });
  const failed = (found: string) =>
    new KeyError(`Cannot get passphrase from command "${file}": ${found}`, result.error);
  if (result.error !== undefined) throw failed(errnoCode(result.error) ?? result.error.message);
  if (result.status !== 0) throw failed(`it ended with ${result.status ?? result.signal}`);
  return result.stdout;
}

/** One line end at the end is how the file was written, not part of the passphrase. */
function passphraseOf(content: Uint8Array): string {
  const text = decodeUtf8(content);
  if (text === undefined) throw new KeyError('Cannot use passphrase: it is not valid UTF-8');
  return text.replace(/\r?\n$/, '');
}
