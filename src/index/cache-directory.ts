/**
 * The directory of the local index: may its LMDB file be mapped? A file shorter than LMDB believes
 * kills the process that maps it (SIGBUS), other damage crashes it or gives wrong answers, and LMDB
 * checks nothing. So a directory is claimed before LMDB opens it:
 *
 *   data.mdb, lock.mdb    LMDB's own
 *   process-…             one per open index: pid, start of the process, boot id
 *   clean                 size, time and inode of data.mdb when its last user closed it in order
 *   CACHEDIR.TAG          tells programs that save files that there is nothing to save here
 *
 * 1. `clean` describes the file exactly: it may be mapped. `clean` is removed by the claim, so a
 *    process that dies leaves none.
 * 2. Otherwise the file must be as long as its newest meta page says; this takes plain reads.
 * 3. A process that still lives has it open: it was good when that one opened it.
 * 4. Otherwise a child process reads every record and writes it into a new file, which takes the
 *    place of the old one: what can be read may still kill whoever writes into it. If the child dies
 *    or complains, the new file is an empty one.
 *
 * A directory that is given up is renamed aside as a whole, LMDB's lock with it, and then removed.
 * Whoever still has it open goes on with it undisturbed.
 */
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { BOOT_ID } from '../util/boot-id.ts';
import { viewOf } from '../util/bytes.ts';
import type { CacheFs, FileState } from './cache-fs.ts';

const DATA_FILE = 'data.mdb';
const CLEAN_FILE = 'clean';
const TAG_FILE = 'CACHEDIR.TAG';
/** By the Cache Directory Tagging Specification; the first line is what counts. */
const TAG = `Signature: 8a477f597d28d172789f06886806bc55
# This is the local index of a varve repository. It can be made again at any time.
# About such files see https://bford.info/cachedir/
`;
const CLAIM_PREFIX = 'process-';
/** Directories given up, and copies being made, until they are removed or renamed. */
const ASIDE_MARK = '.aside-';
const CLEAN_SIZE_MAX = 256;
const PROBE_TIMEOUT_MS = 600_000;

/** LMDB's two meta pages: 24 bytes of page header, then the fields at these offsets. */
const META = { magic: 24, pageSize: 48, lastPage: 144, transaction: 152, size: 160 } as const;
const META_MAGIC = 0xbeefc0de;
const PAGE_SIZE_MAX = 65_536;

export interface CacheClaim {
  path: string;
  /** Name of this claim's `process-…` file. */
  token: string;
}

/** Claims `path` for this process and leaves nothing in it that must not be mapped. */
export async function claimDirectory(fs: CacheFs, path: string): Promise<CacheClaim> {
  await sweepAside(fs, path);
  const claim = { path, token: await newToken(fs) };
  await enter(fs, claim);
  const trust = await judge(fs, claim);
  if (trust !== 'fit') {
    const copy = trust === 'doubtful' ? await copyByProbe(fs, path) : undefined;
    await discardDirectory(fs, path);
    if (copy !== undefined) await takePlace(fs, { copy, path });
    await enter(fs, claim);
  }
  await fs.remove(join(path, CLEAN_FILE));
  return claim;
}

/**
 * Gives a claim back after LMDB has closed the file.
 * @param inode of the file this claim had open; another one there now is none of our business.
 */
export async function releaseDirectory(
  fs: CacheFs,
  claim: CacheClaim,
  opened: { isIntact: boolean; inode: bigint | undefined },
): Promise<void> {
  await fs.remove(claimFile(claim));
  if (!opened.isIntact || (await hasLiveUser(fs, claim))) return;
  const state = await fs.stat(join(claim.path, DATA_FILE));
  if (state !== undefined && state.inode === opened.inode) {
    await fs.write(join(claim.path, CLEAN_FILE), describe(state));
  }
}

/** The file that says that this claim is open. */
export function claimFile(claim: CacheClaim): string {
  return join(claim.path, claim.token);
}

export async function dataFileInode(fs: CacheFs, path: string): Promise<bigint | undefined> {
  return (await fs.stat(join(path, DATA_FILE)))?.inode;
}

/** Takes the directory out of the way in one step, then removes it. */
export async function discardDirectory(fs: CacheFs, path: string): Promise<void> {
  const away = asideName(path);
  await fs.rename(path, away);
  await removeAside(fs, away);
}

/** Nobody opens it any more: where it cannot be removed now, another claim tries again. */
async function removeAside(fs: CacheFs, away: string): Promise<void> {
  await fs.remove(away).catch(() => {});
}

function asideName(path: string): string {
  return `${path}${ASIDE_MARK}${randomBytes(4).toString('hex')}`;
}

async function enter(fs: CacheFs, claim: CacheClaim): Promise<void> {
  await fs.makeDirectory(claim.path);
  await fs.write(claimFile(claim), '');
  await markAsCache(fs, join(claim.path, TAG_FILE));
}

/** For the convenience of others: a full disk is no reason to fail here, nor to leave half a tag. */
async function markAsCache(fs: CacheFs, tag: string): Promise<void> {
  if ((await fs.stat(tag)) !== undefined) return;
  await fs.write(tag, TAG).catch(() => fs.remove(tag).catch(() => {}));
}

async function sweepAside(fs: CacheFs, path: string): Promise<void> {
  const parent = dirname(path);
  for (const name of await fs.list(parent)) {
    if (name.startsWith(basename(path) + ASIDE_MARK)) await removeAside(fs, join(parent, name));
  }
}

/** `doubtful`: nothing speaks against it but that nobody closed it. */
async function judge(fs: CacheFs, claim: CacheClaim): Promise<'fit' | 'doubtful' | 'lost'> {
  const dataPath = join(claim.path, DATA_FILE);
  const state = await fs.stat(dataPath);
  if (state === undefined) return 'fit';
  const clean = await fs.readHead(join(claim.path, CLEAN_FILE), CLEAN_SIZE_MAX);
  if (clean !== undefined && Buffer.from(clean).toString('latin1') === describe(state))
    return 'fit';
  if (!(await isLongEnough(fs, dataPath))) return 'lost';
  return (await hasLiveUser(fs, claim)) ? 'fit' : 'doubtful';
}

function describe(state: FileState): string {
  return `${state.size} ${state.mtimeNs} ${state.inode}\n`;
}

/** Whether the file holds the last page of its newest meta page. */
async function isLongEnough(fs: CacheFs, dataPath: string): Promise<boolean> {
  const head = (await fs.readHead(dataPath, 2 * PAGE_SIZE_MAX)) ?? new Uint8Array(0);
  if (head.length < META.size) return false;
  const view = viewOf(head);
  const pageSize = view.getUint32(META.pageSize, true);
  let newest = -1n;
  let needed = 0n;
  for (const page of [0, pageSize]) {
    if (page + META.size > head.length) return false;
    if (view.getUint32(page + META.magic, true) !== META_MAGIC) return false;
    const transaction = view.getBigUint64(page + META.transaction, true);
    if (transaction <= newest) continue;
    newest = transaction;
    needed = (view.getBigUint64(page + META.lastPage, true) + 1n) * BigInt(pageSize);
  }
  const state = await fs.stat(dataPath);
  return state !== undefined && BigInt(state.size) >= needed;
}

/** Path of a copy of all that is there, made by a child process; undefined when it did not live. */
async function copyByProbe(fs: CacheFs, path: string): Promise<string | undefined> {
  const copy = asideName(path);
  await fs.makeDirectory(copy);
  if ((await runProbe(path, copy)) === 0) return copy;
  await fs.remove(copy);
  return undefined;
}

/** Exit code of the probe; undefined when it was killed. */
function runProbe(path: string, copy: string): Promise<number | undefined> {
  const program = fileURLToPath(new URL('./probe.js', import.meta.url));
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [program, path, copy], {
      stdio: 'ignore',
      // Ctrl-C at the terminal is no verdict on the cache.
      detached: true,
      timeout: PROBE_TIMEOUT_MS,
      killSignal: 'SIGKILL',
    });
    child.on('error', () => resolve(undefined));
    child.on('exit', (code) => resolve(code ?? undefined));
  });
}

async function takePlace(fs: CacheFs, place: { copy: string; path: string }): Promise<void> {
  try {
    await fs.rename(place.copy, place.path);
  } catch {
    // Another process has put a new one there meanwhile; that one is as good.
    await fs.remove(place.copy);
  }
}

/** Whether another claim belongs to a process that lives; files of dead ones are removed. */
async function hasLiveUser(fs: CacheFs, claim: CacheClaim): Promise<boolean> {
  let isUsed = false;
  for (const name of await fs.list(claim.path)) {
    if (!name.startsWith(CLAIM_PREFIX) || name === claim.token) continue;
    if (await isLive(fs, name)) isUsed = true;
    else await fs.remove(join(claim.path, name));
  }
  return isUsed;
}

async function newToken(fs: CacheFs): Promise<string> {
  const start = await processStart(fs, process.pid);
  const salt = randomBytes(4).toString('hex');
  return `${CLAIM_PREFIX}${process.pid}-${start}-${BOOT_ID}-${salt}`;
}

async function isLive(fs: CacheFs, token: string): Promise<boolean> {
  const [, pid, start, bootId] = token.split('-');
  if (bootId !== BOOT_ID) return false;
  try {
    process.kill(Number(pid), 0);
  } catch (error) {
    // A process of another user lives all the same.
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return false;
  }
  return (await processStart(fs, Number(pid))) === start;
}

/** When a process started, in ticks since boot, so that a reused pid is not mistaken; else "0". */
async function processStart(fs: CacheFs, pid: number): Promise<string> {
  const stat = (await fs.readHead(`/proc/${pid}/stat`, 1024)) ?? new Uint8Array(0);
  const fields = Buffer.from(stat).toString('latin1').split(') ').at(-1)?.split(' ') ?? [];
  return fields[19] ?? '0';
}
