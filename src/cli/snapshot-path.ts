/** `SNAPSHOT[:PATH]`: which snapshot, and what of it. */
import type { Command } from 'commander';
import { shortId } from '../id.ts';
import type { Repository, Snapshot } from '../index.ts';
import { encodeUtf8 } from '../util/bytes.ts';
import { UsageError } from './exit-code.ts';
import { type FilterOptions, filterOf } from './options.ts';
import { rawArgument } from './raw-argument.ts';
import type { Runtime } from './runtime.ts';

export interface SnapshotPathText {
  selector: string;
  /** Absolute, raw bytes. */
  path: Uint8Array | undefined;
}

/** Ends the help of every command that takes a snapshot. */
export function addSelectorHelp(command: Command): Command {
  return command.addHelpText(
    'after',
    `
SNAPSHOT is an id or at least its first 4 digits, "latest", "latest~2" for the
second before that, or "@2026-01-31T12:00" for the newest not after that time.
--host, --source, --path and --tag narrow what is looked at. PATH is absolute.`,
  );
}

/** A time has colons of its own, so after one only ":/" starts the path. @throws UsageError */
export function parseSnapshotPath(text: string): SnapshotPathText {
  const end = text.startsWith('@') ? text.indexOf(':/') : text.indexOf(':');
  if (end === -1) return { selector: text, path: undefined };
  const [selector, path] = [text.slice(0, end), text.slice(end + 1)];
  if (!path.startsWith('/')) {
    throw new UsageError(`the path in "${text}" is not absolute: expected "${selector}:/${path}"`);
  }
  return { selector, path: rawArgument(text).subarray(encodeUtf8(selector).length + 1) };
}

export async function selectSnapshotPath(
  repository: Repository,
  options: { output: Runtime['output']; text: SnapshotPathText; filter: FilterOptions },
): Promise<{ snapshot: Snapshot; path: Uint8Array | undefined }> {
  const { output, text, filter } = options;
  const snapshot = await repository.select(text.selector, filterOf(filter));
  output.detail(`snapshot ${shortId(snapshot.id)}`);
  return { snapshot, path: text.path };
}
