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
  const { passwordFile, passwordCommand } = options;
  if (passwordFile !== undefined) return { kind: 'file', path: passwordFile };
  if (passwordCommand !== undefined) return { kind: 'command', command: passwordCommand };
  const named = [...sourceByVariable.keys()].filter((name) => environment[name] !== undefined);
  if (named.length > 1) throw new UsageError(`${named.join(' and ')} are both set`);
  const name = named[0];
  if (name === undefined) return undefined;
  const value = environment[name] as string;
  if (value === '') throw new UsageError(`${name} is empty`);
  return sourceByVariable.get(name)?.(value);
}

const sourceByVariable: ReadonlyMap<string, (value: string) => PassphraseSource> = new Map([
  ['VARVE_PASSWORD', (passphrase: string) => ({ kind: 'value', passphrase }) as const],
  ['VARVE_PASSWORD_FILE', (path: string) => ({ kind: 'file', path }) as const],
  ['VARVE_PASSWORD_COMMAND', (command: string) => ({ kind: 'command', command }) as const],
  ['VARVE_PASSWORD_FD', descriptorSource],
]);

function descriptorSource(value: string): PassphraseSource {
  if (!/^\d{1,6}$/.test(value)) {
    throw new UsageError(`VARVE_PASSWORD_FD is "${value}", expected the number of a descriptor`);
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
): Promise<string | undefined> {
  if (source !== undefined) return readSource(source);
  return process.stdin.isTTY ? await askHidden('Passphrase: ') : undefined;
}

/**
 * The passphrase of a new repository, asked for twice on a terminal.
 * @throws KeyError when there is none, or the two differ.
 */
export async function readNewPassphrase(source: PassphraseSource | undefined): Promise<string> {
  if (source !== undefined) return demandPassphrase(readSource(source));
  if (!process.stdin.isTTY) throw new KeyError('Cannot create repository: no passphrase given');
  const passphrase = demandPassphrase(await askHidden('Passphrase of the new repository: '));
  const repeated = await askHidden('The same again: ');
  if (repeated !== passphrase) {
    throw new KeyError('Cannot create repository: the two passphrases differ');
  }
  return passphrase;
}

function demandPassphrase(passphrase: string): string {
  if (passphrase === '') throw new KeyError('Cannot create repository: the passphrase is empty');
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
