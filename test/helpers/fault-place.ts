/**
 * One client with one repository on a real disk, for tests that kill the command, fail its system
 * calls or cut its power. A place is prepared once and put back to that state before each fault:
 *
 *   <root>/source                            what is saved; not part of the state
 *   <root>/prepared                          the state to go back to
 *   <root>/client/{repository,cache,state,target}   what the command works on
 *
 * Beside the files a place has a ledger: what was acknowledged, and must be found whatever comes.
 */
import { type SpawnOptions, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  type BigIntStats,
  cpSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { mainPath } from './run-varve.ts';
import { seededRandom } from './seeded-random.ts';

/** The command as modules of their own, into which tests can reach (`fault-preload.ts`). */
const modulesPath = fileURLToPath(new URL('../../src/cli/main.js', import.meta.url));
const seedPath = fileURLToPath(new URL('./fault-seed.js', import.meta.url));
const preloadPath = fileURLToPath(new URL('./fault-preload.js', import.meta.url));

/** Times are those of the storage, by which a collection goes. */
const COPY = { recursive: true, verbatimSymlinks: true, preserveTimestamps: true } as const;

/** What is known of a repository from outside. */
export interface FaultLedger {
  isInitialised: boolean;
  /** What each acknowledged snapshot must hold, by its id (`describeDirectory`). */
  readonly kept: Map<string, string>;
  /** The same of snapshots that were acknowledged as lacking some of it. */
  readonly partial: Map<string, string>;
  /** What any snapshot may hold that was not acknowledged. */
  readonly possible: Set<string>;
  /** Acknowledged snapshots that a command was told to remove: they may be there or not. */
  readonly forgotten: Set<string>;
  /** Those of which that was acknowledged: they are not there any more. */
  readonly gone: Set<string>;
  /** Objects that were damaged on purpose before the command: findings about them are expected. */
  readonly damaged: Set<string>;
  /** Snapshots that cannot be restored any more, as was told. */
  readonly broken: Set<string>;
  /** What snapshots may hold that were not acknowledged, or a part of it: they are made of broken ones. */
  readonly rescued: Set<string>;
  /** One of these opens the repository; undefined is none at all. */
  passphrases: (string | undefined)[];
}

export interface CommandEnded {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CommandOptions {
  /** Put before the command, such as a tracer with its arguments. */
  readonly prefix?: readonly string[];
  /** Variables for `fault-preload.ts`, which is loaded first when there are any. */
  readonly preload?: Readonly<Record<string, string>> | undefined;
  /** Randomness and clocks are the same in every run (`fault-seed.ts`), from this time on, in ms. */
  readonly seededNowMs?: number | undefined;
  readonly env?: Readonly<Record<string, string>>;
  readonly onSpawn?: (pid: number) => void;
}

export class FaultPlace {
  readonly source: string;
  readonly repository: string;
  readonly cache: string;
  readonly state: string;
  readonly target: string;
  /** The directory that all these are in, but the source. */
  readonly client: string;
  ledger: FaultLedger = newLedger();
  /** SHA-256 of every object by its name, where others have changed them since the last reset. */
  changed: ReadonlyMap<string, string> | undefined;
  /** Objects that the command may delete, beside records of sessions: some plan names them. */
  deletable: ReadonlySet<string> = new Set();
  /** What another client has begun and ends before the place is judged. */
  meanwhile: (() => Promise<void>) | undefined;
  readonly #prepared: string;
  #preparedLedger: FaultLedger = newLedger();

  /**
   * `client` may be a directory elsewhere, such as on another file system; `home`, where cache and
   * writer state are, another one.
   */
  constructor(root: string, client: string = join(root, 'client'), home: string = client) {
    this.source = join(root, 'source');
    this.#prepared = join(root, 'prepared');
    this.client = client;
    this.repository = join(client, 'repository');
    this.cache = join(home, 'cache');
    this.state = join(home, 'state');
    this.target = join(client, 'target');
    mkdirSync(this.source, { recursive: true });
    mkdirSync(client, { recursive: true });
  }

  /** Makes the present state the one to go back to. */
  keepState(): void {
    rmSync(this.#prepared, { recursive: true, force: true });
    cpSync(this.client, this.#prepared, COPY);
    this.#preparedLedger = copyLedger(this.ledger);
  }

  reset(): void {
    rmSync(this.client, { recursive: true, force: true });
    cpSync(this.#prepared, this.client, COPY);
    markCachesClean(this.cache);
    this.ledger = copyLedger(this.#preparedLedger);
    this.changed = undefined;
    this.meanwhile = undefined;
  }

  /** The cache and the writer state of this client are lost. */
  removeClient(): void {
    for (const path of [this.cache, this.state]) rmSync(path, { recursive: true, force: true });
  }

  /** Runs the command. What it acknowledges is noted. */
  async run(args: readonly string[], options: CommandOptions = {}): Promise<CommandEnded> {
    const tree = this.#treeOf(args);
    this.expectSnapshotOf(args);
    const { prefix = [], preload, seededNowMs } = options;
    const node = [process.execPath];
    if (seededNowMs !== undefined) node.push('--import', seedPath);
    if (preload === undefined) node.push(mainPath);
    else node.push('--import', preloadPath, modulesPath);
    const [program = '', ...rest] = [...prefix, ...node, '--json', '--jobs', '0', ...args];
    const env = {
      ...this.#environment,
      ...preload,
      ...(seededNowMs !== undefined && { VARVE_TEST_NOW: String(seededNowMs) }),
      ...options.env,
    };
    const ended = await spawned(program, rest, { env, cwd: this.source }, options.onSpawn);
    const said = tree === undefined ? undefined : acknowledgement(ended.stdout);
    if (said?.code === 0) this.ledger.kept.set(said.id, tree ?? '');
    if (said?.code === 3) this.ledger.partial.set(said.id, tree ?? '');
    return ended;
  }

  /** What the snapshot holds that the command makes, if it makes one. */
  #treeOf([command, selector = '']: readonly string[]): string | undefined {
    if (command === 'snapshot') return describeDirectory(this.source);
    return command === 'undelete' ? this.ledger.kept.get(selector) : undefined;
  }

  /** Runs a command that must end well. */
  async ok(...args: string[]): Promise<CommandEnded> {
    const ended = await this.run(args);
    if (ended.code !== 0) throw new Error(`${args.join(' ')}: ${ended.stdout}${ended.stderr}`);
    return ended;
  }

  /** Runs a command that is killed at a failpoint. */
  async killAt(point: string, args: readonly string[], env = {}): Promise<void> {
    const ended = await this.run(args, { preload: { VARVE_TEST_FAILPOINT: point }, env });
    if (ended.signal !== 'SIGKILL') throw new Error(`not killed at ${point}: ${ended.stderr}`);
  }

  async init(): Promise<void> {
    await this.ok('init', '--insecure-no-password');
    this.ledger.isInitialised = true;
  }

  /** The snapshot that a command makes may be found from now on, acknowledged or not. */
  expectSnapshotOf(args: readonly string[]): void {
    const tree = this.#treeOf(args);
    if (tree !== undefined) this.ledger.possible.add(tree);
  }

  get snapshotArgs(): string[] {
    return ['snapshot', '--similarity', 'local', this.source];
  }

  /** Strings in the environment that make a process use one thread for its system calls. */
  get #environment(): Record<string, string> {
    return {
      PATH: process.env['PATH'] ?? '',
      TZ: 'UTC',
      HOME: this.client,
      VARVE_REPOSITORY: this.repository,
      VARVE_CACHE_DIR: this.cache,
      XDG_STATE_HOME: this.state,
      UV_THREADPOOL_SIZE: '1',
      UV_USE_IO_URING: '0',
    };
  }
}

/** Copies of caches that were closed in order are as good as those. */
export function markCachesClean(directory: string): void {
  if (!existsSync(directory)) return;
  for (const name of readdirSync(directory)) {
    const mark = join(directory, name, 'clean');
    if (!existsSync(mark)) continue;
    const data = join(directory, name, 'data.mdb');
    const { size, mtimeNs, ino } = statSync(data, { bigint: true });
    writeFileSync(mark, `${size} ${mtimeNs} ${ino}\n`, { mode: 0o600 });
  }
}

function newLedger(): FaultLedger {
  return {
    isInitialised: false,
    kept: new Map(),
    partial: new Map(),
    possible: new Set(),
    forgotten: new Set(),
    gone: new Set(),
    damaged: new Set(),
    broken: new Set(),
    rescued: new Set(),
    passphrases: [undefined],
  };
}

export function copyLedger(ledger: FaultLedger): FaultLedger {
  return {
    isInitialised: ledger.isInitialised,
    kept: new Map(ledger.kept),
    partial: new Map(ledger.partial),
    possible: new Set(ledger.possible),
    forgotten: new Set(ledger.forgotten),
    gone: new Set(ledger.gone),
    damaged: new Set(ledger.damaged),
    broken: new Set(ledger.broken),
    rescued: new Set(ledger.rescued),
    passphrases: [...ledger.passphrases],
  };
}

/** The last line says so, if the command lived to say it. */
function acknowledgement(stdout: string): { id: string; code: number } | undefined {
  const line = stdout.split('\n').find((text) => text.includes('"message_type":"summary"'));
  if (line === undefined || !line.endsWith('}')) return undefined;
  const { snapshot_id: id = '', code } = JSON.parse(line) as { snapshot_id?: string; code: number };
  return id === '' ? undefined : { id, code };
}

export function spawned(
  program: string,
  args: readonly string[],
  options: SpawnOptions,
  onSpawn?: (pid: number) => void,
): Promise<CommandEnded> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] });
    let [stdout, stderr] = ['', ''];
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
    });
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    child.on('error', reject);
    child.on('close', (code, signal) => resolve({ code, signal, stdout, stderr }));
    if (child.pid !== undefined) onSpawn?.(child.pid);
  });
}

/** Files, one name more for one of them, a symlink, directories; versions share most of it. */
export function writeSource(directory: string, version: number, size = 40_000): void {
  rmSync(directory, { recursive: true, force: true });
  const random = (salt: number, length: number): Uint8Array => seededRandom(salt).bytes(length);
  const files: Record<string, Uint8Array> = {
    'shared/a': random(100, size),
    'shared/b': random(101, size / 4),
    'shared/empty': new Uint8Array(0),
    'shared/below/text': Buffer.from('the same words again and again\n'.repeat(200)),
    changing: random(200 + version, size / 2),
    [`new-${version}`]: random(300 + version, 3000),
  };
  for (const [name, bytes] of Object.entries(files)) {
    mkdirSync(dirname(join(directory, name)), { recursive: true });
    writeFileSync(join(directory, name), bytes);
  }
  linkSync(join(directory, 'shared/b'), join(directory, 'another-b'));
  symlinkSync('shared/a', join(directory, 'link'));
  mkdirSync(join(directory, 'empty'));
  for (const name of ['empty', 'shared/below', 'shared/a', 'shared']) {
    utimesSync(join(directory, name), 1_600_000_000, 1_600_000_000 + version);
  }
}

/** Everything below a directory as text: names, types, modes, owners, times, links and content. */
export function describeDirectory(directory: string): string {
  const lines: string[] = [];
  const firstNames = new Map<bigint, string>();
  const visit = (below: string): void => {
    for (const name of readdirSync(join(directory, below)).sort()) {
      const relative = join(below, name);
      const path = join(directory, relative);
      const stat = lstatSync(path, { bigint: true });
      if (!firstNames.has(stat.ino)) firstNames.set(stat.ino, relative);
      const { mode, uid, gid, mtimeNs } = stat;
      const linkedTo = stat.isDirectory() ? '' : firstNames.get(stat.ino);
      lines.push(
        `${relative} ${mode.toString(8)} ${uid}:${gid} ${mtimeNs} ${linkedTo} ${contentOf(path, stat)}`,
      );
      if (stat.isDirectory()) visit(relative);
    }
  };
  visit('');
  return lines.join('\n');
}

function contentOf(path: string, stat: BigIntStats): string {
  if (stat.isFile()) return createHash('sha256').update(readFileSync(path)).digest('hex');
  return stat.isSymbolicLink() ? readlinkSync(path) : '';
}
