/**
 * The command as a process: spawned as it is shipped, with a home of its own, so that no
 * test sees the cache, state or settings of another, or of whoever runs the tests.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, type StdioOptions, spawn } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { commandOf, lineFaults } from './json-lines.ts';
import { tempDir } from './temp-dir.ts';

export const mainPath: string = fileURLToPath(new URL('../../command/main.js', import.meta.url));

export interface Ended {
  code: number | null;
  stdout: string;
  stderr: string;
}

export interface RunOptions {
  env?: Record<string, string>;
  /** A command that runs the rest of its arguments as one. */
  prefix?: readonly string[];
  /** Default: no input, both outputs gathered. */
  stdio?: StdioOptions;
  /** Called once the process runs. */
  onSpawn?: (child: ChildProcess) => void;
}

export interface JsonLine {
  v: number;
  message_type: string;
  [field: string]: unknown;
}

export interface VarveHome {
  dir: string;
  /** Location of the repository, which is also in the environment of every run. */
  repo: string;
  path(...names: string[]): string;
  run(args: readonly string[], options?: RunOptions): Promise<Ended>;
  /** Runs with `--json`; every line of the output must be as described, and the last one end it. */
  runJson(
    args: readonly string[],
    options?: RunOptions,
  ): Promise<{ code: number; lines: JsonLine[] }>;
  /** A run that must end with 0. */
  ok(...args: string[]): Promise<Ended>;
}

export function varveHome(t: Pick<TestContext, 'after'>): VarveHome {
  const dir = tempDir(t);
  const repo = join(dir, 'repo');
  const run: VarveHome['run'] = (args, options = {}) => runVarve(dir, args, options);
  mkdirSync(join(dir, 'source'));
  return {
    dir,
    repo,
    path: (...names) => join(dir, ...names),
    run,
    runJson: async (args, options) => {
      const { code, stdout, stderr } = await run(['--json', ...args], options);
      assert.ok(stdout.endsWith('\n'), `no JSON lines: ${stderr}`);
      const lines = stdout
        .slice(0, -1)
        .split('\n')
        .map((line) => JSON.parse(line) as JsonLine);
      const command = commandOf(args);
      for (const line of lines) assert.deepEqual(lineFaults(command, line), []);
      const last = lines.at(-1) as JsonLine;
      assert.match(last.message_type, /^(summary|exit_error)$/);
      assert.equal(last['code'], code);
      return { code: code as number, lines };
    },
    ok: async (...args) => {
      const ended = await run(args);
      assert.equal(ended.code, 0, ended.stderr);
      return ended;
    },
  };
}

/** A home whose repository exists and opens without a passphrase. */
export async function homeWithRepository(t: Pick<TestContext, 'after'>): Promise<VarveHome> {
  const home = varveHome(t);
  await home.ok('init', '--insecure-no-password');
  return home;
}

/** Names and contents of everything below a directory, to see that nothing was written. */
export function contentOf(directory: string): Map<string, string> {
  const names = readdirSync(directory, { recursive: true, encoding: 'utf8', withFileTypes: true });
  const files = names.filter((entry) => entry.isFile());
  const paths = files.map((entry) => join(entry.parentPath, entry.name)).sort();
  return new Map(paths.map((path) => [path, readFileSync(path, 'base64')]));
}

function runVarve(dir: string, args: readonly string[], options: RunOptions): Promise<Ended> {
  const { env = {}, prefix = [], stdio = ['ignore', 'pipe', 'pipe'], onSpawn } = options;
  const [program, ...rest] = [...prefix, process.execPath, mainPath, ...args] as [string];
  const environment = {
    PATH: process.env['PATH'],
    TZ: 'UTC',
    HOME: dir,
    XDG_CACHE_HOME: join(dir, 'cache'),
    XDG_STATE_HOME: join(dir, 'state'),
    VARVE_REPOSITORY: join(dir, 'repo'),
    ...env,
  };
  return new Promise((resolve, reject) => {
    const child = spawn(program, rest, {
      cwd: dir,
      env: environment,
      stdio,
    });
    const ended: Ended = { code: null, stdout: '', stderr: '' };
    child.stdout?.setEncoding('utf8').on('data', (text: string) => (ended.stdout += text));
    child.stderr?.setEncoding('utf8').on('data', (text: string) => (ended.stderr += text));
    child.on('error', reject);
    child.on('close', (code) => resolve({ ...ended, code }));
    onSpawn?.(child);
  });
}
