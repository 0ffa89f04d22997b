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
