/**
 * Paths as the bytes they were typed as. Node decodes arguments as UTF-8 and puts U+FFFD in place of
 * what is none; Linux still knows the bytes, so that a name in another encoding can be named.
 */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { bufferOf, encodeUtf8 } from '../util/bytes.ts';
import { UsageError } from './exit-code.ts';

const REPLACEMENT = '\uFFFD';

/** @throws UsageError when several arguments look like this one. */
export function rawArgument(text: string): Uint8Array {
  if (!text.includes(REPLACEMENT)) return encodeUtf8(text);
  // Of `--option=value` the value is meant.
  const typed = typedArguments().flatMap((raw) => [raw, raw.replace(/^--[^=]*=/, '')]);
  const found = new Set(typed.filter((raw) => decodeLossily(raw) === text));
  if (found.size > 1) throw new UsageError(`cannot tell which argument "${text}" is`);
  const [raw] = found;
  return raw === undefined ? encodeUtf8(text) : new Uint8Array(Buffer.from(raw, 'latin1'));
}

/** The argument as an absolute path. */
export function absoluteArgument(text: string): Uint8Array {
  const [directory, path] = [encodeUtf8(process.cwd()), rawArgument(text)].map((bytes) =>
    bufferOf(bytes).toString('latin1'),
  );
  return new Uint8Array(Buffer.from(resolve(directory as string, path as string), 'latin1'));
}

/** One character per byte; none where the system does not tell. */
function typedArguments(): string[] {
  try {
    return readFileSync('/proc/self/cmdline', 'latin1').split('\0');
  } catch {
    return [];
  }
}

function decodeLossily(raw: string): string {
  return Buffer.from(raw, 'latin1').toString('utf8');
}
