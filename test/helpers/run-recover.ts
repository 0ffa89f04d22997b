/** `recover.mjs` as a process, as it is shipped, knowing nothing but a directory. */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

export const recoverPath: string = fileURLToPath(import.meta.resolve('varve/recover.mjs'));

/** Takes zstd out of Node, where it has it, so that the program is used. */
const withoutOwnZstd = `data:text/javascript,
  import zlib from 'node:zlib';
  import { syncBuiltinESMExports } from 'node:module';
  zlib.zstdDecompressSync = undefined;
  syncBuiltinESMExports();`;

export interface Recovered {
  readonly code: number | null;
  readonly stdout: string;
  /** Lines. */
  readonly stderr: string[];
}

export interface RecoverOptions {
  /** Default: that beside the built program. */
  readonly program?: string;
  readonly env?: Record<string, string>;
  /** Whether the program zstd must be used, whatever Node has. */
  readonly isOwnZstdHidden?: boolean;
}

export function recover(args: readonly string[], options: RecoverOptions = {}): Recovered {
  const { program = recoverPath, env = {}, isOwnZstdHidden = false } = options;
  const flags = isOwnZstdHidden ? ['--import', withoutOwnZstd] : [];
  const { status, stdout, stderr } = spawnSync(process.execPath, [...flags, program, ...args], {
    env: { PATH: process.env['PATH'], ...env },
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  return { code: status, stdout, stderr: stderr.split('\n').slice(0, -1) };
}

interface RecoverKeys {
  readonly generations: ReadonlyMap<number, { readonly enc: Buffer[]; readonly header: Buffer }>;
  readonly id: ReadonlyMap<number, Buffer>;
}

interface RecoverRepository {
  readonly directory: string;
  readonly keys: RecoverKeys;
  readonly table: unknown;
  readonly frames: Map<string, Buffer>;
  readonly framesSize: number;
}

/** What the program exports, so that it can be looked into. */
export interface RecoverProgram {
  keyedHash(key: Buffer, input: Buffer): Buffer;
  deriveKey(purpose: string, material: Buffer): Buffer;
  openSlot(file: Buffer, passphrase: string): string | undefined;
  keysOf(ring: string): RecoverKeys;
  readPacks(keys: RecoverKeys, directory: string): unknown[];
  buildTable(packs: unknown[]): unknown;
  readBlobs(
    repository: RecoverRepository,
    ids: Buffer[],
    type: number,
  ): Map<string, Buffer | Error>;
}

export async function loadRecover(): Promise<RecoverProgram> {
  return await import(recoverPath);
}
