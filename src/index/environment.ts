/**
 * The LMDB environment of the local index: which databases there are, and the one way to write.
 *
 * Transactions are synchronous, because only those abort as a whole when something inside them
 * fails; they are short (one pack, a few segments, 8 MiB of a merge). `overlappingSync` is off: a commit is on disk
 * when it returns, and a power cut leaves the last commit. The map is left to grow by itself: LMDB
 * dies where it cannot map, and a large map made in advance fails sooner than a small one that grows.
 */
import { closeSync, openSync } from 'node:fs';
import { type Database, open, type RootDatabase } from 'lmdb';
import { demand, Malformed } from '../util/byte-reader.ts';
import { bufferOf, encodeUtf8, fromAscii } from '../util/bytes.ts';
import { checkCrc, withCrc } from './cache-rows.ts';

/** One more than it keeps, for what the system opens meanwhile. */
const LMDB_DESCRIPTOR_COUNT = 5;

/** A database of byte strings. */
export type Table = Database<Uint8Array, Uint8Array>;

export interface Environment {
  root: RootDatabase<Uint8Array, Uint8Array>;
  base: Table;
  packs: Table;
  packid: Table;
  features: Table;
  segments: Table;
  meta: Table;
}

/**
 * The cache cannot be written, or what it holds is damaged. Nothing of the failed call was
 * recorded. The caller goes on with a temporary cache (`cacheDir: undefined`).
 */
export class CacheFailed extends Error {
  constructor(cause: unknown) {
    super('Cannot write the local index', { cause });
    this.name = 'CacheFailed';
  }
}

/** Opens what a claim found fit to map; read-only for the probe. */
export async function openEnvironment(
  path: string,
  access: { readOnly: boolean } = { readOnly: false },
): Promise<Environment> {
  demandDescriptors();
  const root = open<Uint8Array, Uint8Array>({
    ...access,
    path,
    noSubdir: false,
    overlappingSync: false,
    maxDbs: 8,
    encoding: 'binary',
    keyEncoding: 'binary',
  });
  try {
    return {
      root,
      base: openTable(root, 'base'),
      packs: openTable(root, 'packs'),
      packid: openTable(root, 'packid'),
      features: openTable(root, 'features'),
      segments: openTable(root, 'segments'),
      meta: openTable(root, 'meta'),
    };
  } catch (error) {
    await root.close();
    throw error;
  }
}

/**
 * LMDB opens four files, and kills the process when only the first of them can be opened.
 * @throws what the system says of too many open files
 */
function demandDescriptors(): void {
  const taken: number[] = [];
  try {
    for (let i = 0; i < LMDB_DESCRIPTOR_COUNT; i++) taken.push(openSync(process.execPath, 'r'));
  } finally {
    for (const fd of taken) closeSync(fd);
  }
}

function openTable(root: Environment['root'], name: string): Table {
  const table: Table | undefined = root.openDB(name, {
    encoding: 'binary',
    keyEncoding: 'binary',
  });
  demand(table !== undefined, `no database "${name}"`);
  return table;
}

/** Runs `action` in one transaction, all of it or nothing. */
export function writeAll<T>(environment: Environment, action: () => T): T {
  const { root } = environment;
  try {
    // A process that was killed while it read would keep every page that is written over from now on.
    root.readerCheck();
    return root.transactionSync(action);
  } catch (error) {
    if (isDamage(error) || errorNumber(error) > 0) throw new CacheFailed(error);
    throw error;
  } finally {
    // What was open for reading goes on with its snapshot; the next read sees what was written.
    root.resetReadTxn();
  }
}

/** The file holds what was never written: a row with a wrong check sum, or LMDB's own complaint. */
export function isDamage(error: unknown): boolean {
  return error instanceof Malformed || errorNumber(error) < 0;
}

/** LMDB's own codes are negative, the system's are errno. */
function errorNumber(error: unknown): number {
  const { code } = error as { code?: unknown };
  return typeof code === 'number' ? code : 0;
}

export function readMeta(environment: Environment, key: string): string | undefined {
  const keyBytes = fromAscii(key);
  const value = environment.meta.get(keyBytes);
  if (value === undefined) return undefined;
  return bufferOf(checkCrc(keyBytes, value).rest()).toString('utf8');
}

/** Inside a transaction. */
export function putMeta(environment: Environment, key: string, text: string): void {
  const keyBytes = fromAscii(key);
  environment.meta.putSync(keyBytes, withCrc(keyBytes, encodeUtf8(text)));
}
