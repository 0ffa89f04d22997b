/**
 * Lays one version of some data over the last one, as if its user had worked on it: what is the same
 * in both is left untouched, everything else is new. So a program that looks at times and inodes, and
 * at paths, sees what it would see from day to day. Only names, types, permissions, targets of symbolic
 * links and bytes count, as times are those of the laying. The copy differs from its version in what
 * is no matter of content: its owner may write to directories and read files, names of one file are
 * files of their own, stretches of zeros are holes, and there are no devices, sockets and FIFOs.
 */
import {
  chmodSync,
  closeSync,
  constants,
  fchmodSync,
  ftruncateSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readlinkSync,
  readSync,
  rmSync,
  type Stats,
  symlinkSync,
  writeSync,
} from 'node:fs';
import { errnoCode, SourceError } from '../../errors.ts';
import type { LongCall } from '../../progress.ts';
import { bufferOf, toLatin1 } from '../../util/bytes.ts';
import { systemClock } from '../../util/clock.ts';
import { printable } from '../../util/printable.ts';
import { Turns } from '../../util/turns.ts';

const PERMISSION_BITS = 0o777;
const OWNER_MAY_ALL = 0o700;
const OWNER_MAY_READ = 0o400;
const PIECE_SIZE = 2 ** 20;
const slash = Buffer.from('/');
const zeros = Buffer.alloc(PIECE_SIZE);

/** There is no room for the copy. */
const codesNoSpace: ReadonlySet<string | undefined> = new Set(['ENOSPC', 'EDQUOT']);

export interface LayOptions extends LongCall {
  signal: AbortSignal;
  /** Told of every entry that cannot be read; it is left out. Without: the first one is thrown. */
  onError?: ((error: SourceError) => void) | undefined;
}

/**
 * Makes of `live`, which holds another version or does not exist, a copy of `next`.
 * @throws the error of the system where there is no room for the copy.
 */
export async function layVersion(
  live: string,
  next: string | Uint8Array,
  options: LayOptions,
): Promise<void> {
  const from = typeof next === 'string' ? Buffer.from(next) : bufferOf(next);
  await new Laying(options).lay(from, Buffer.from(live));
}

class Laying {
  readonly #options: LayOptions;
  readonly #turns: Turns;
  readonly #piece: Buffer = Buffer.allocUnsafe(PIECE_SIZE);
  readonly #otherPiece: Buffer = Buffer.allocUnsafe(PIECE_SIZE);
  #filesDone = 0;
  #bytesDone = 0;

  constructor(options: LayOptions) {
    this.#options = options;
    this.#turns = new Turns(systemClock, options.signal);
  }

  async lay(from: Buffer, to: Buffer): Promise<void> {
    if (this.#turns.isOver) await this.#turns.next();
    try {
      const stat = lstatSync(from);
      if (stat.isDirectory()) await this.#layDirectory({ from, to, stat });
      else await this.#layOther({ from, to, stat });
    } catch (error) {
      const code = errnoCode(error);
      if (code === undefined || codesNoSpace.has(code)) throw error;
      const message = `Cannot copy "${printable(from)}": ${code}`;
      const problem = new SourceError(from, 'copy', sourceReason(code), message, error);
      if (this.#options.onError === undefined) throw problem;
      this.#options.onError(problem);
      remove(to);
    }
  }

  async #layDirectory({ from, to, stat }: Entry): Promise<void> {
    const names = readdirSync(from, 'buffer');
    if (!lstatIfThere(to)?.isDirectory()) {
      remove(to);
      mkdirSync(to);
    }
    chmodSync(to, permissionsOf(stat));
    const wanted = new Set(names.map(toLatin1));
    for (const name of readdirSync(to, 'buffer')) {
      if (!wanted.has(toLatin1(name))) remove(join(to, name));
    }
    for (const name of names) await this.lay(join(from, name), join(to, name));
  }

  async #layOther(entry: Entry): Promise<void> {
    const { from, to, stat } = entry;
    const former = lstatIfThere(to);
    if (former === undefined || !(await this.#isSame(entry, former))) {
      remove(to);
      if (stat.isSymbolicLink()) symlinkSync(readlinkSync(from, 'buffer'), to);
      else if (stat.isFile()) await this.#copyFile(entry);
      else return;
    }
    if (!stat.isFile()) return;
    this.#filesDone += 1;
    this.#bytesDone += stat.size;
    const counts = { filesDone: this.#filesDone, bytesDone: this.#bytesDone };
    this.#options.onProgress?.({ phase: 'copy', ...counts, currentPath: from });
  }

  async #isSame({ from, to, stat }: Entry, former: Stats): Promise<boolean> {
    if (stat.isSymbolicLink() && former.isSymbolicLink()) {
      return readlinkSync(from, 'buffer').equals(readlinkSync(to, 'buffer'));
    }
    if (!stat.isFile() || !former.isFile() || stat.size !== former.size) return false;
    if (permissionsOf(stat) !== permissionsOf(former)) return false;
    return await withFiles({ from, to, flags: 'r' }, async (source, copy) => {
      for (;;) {
        const piece = readPiece(source, this.#piece);
        if (!piece.equals(readPiece(copy, this.#otherPiece))) return false;
        if (piece.length === 0) return true;
        if (this.#turns.isOver) await this.#turns.next();
      }
    });
  }

  async #copyFile({ from, to, stat }: Entry): Promise<void> {
    await withFiles({ from, to, flags: 'wx' }, async (source, copy) => {
      let position = 0;
      for (;;) {
        const piece = readPiece(source, this.#piece);
        if (piece.length === 0) break;
        if (!piece.equals(zeros.subarray(0, piece.length))) writeAll(copy, piece, position);
        position += piece.length;
        if (this.#turns.isOver) await this.#turns.next();
      }
      ftruncateSync(copy, position);
      fchmodSync(copy, permissionsOf(stat));
    });
  }
}

interface Entry {
  from: Buffer;
  to: Buffer;
  /** Of what is at `from`. */
  stat: Stats;
}

/** Opens both files, the copy with these flags. */
async function withFiles<T>(
  { from, to, flags }: { from: Buffer; to: Buffer; flags: 'r' | 'wx' },
  action: (source: number, copy: number) => Promise<T>,
): Promise<T> {
  const source = openSync(from, constants.O_RDONLY | constants.O_NOFOLLOW);
  try {
    const copy = openSync(to, flags);
    try {
      return await action(source, copy);
    } finally {
      closeSync(copy);
    }
  } finally {
    closeSync(source);
  }
}

function readPiece(descriptor: number, piece: Buffer): Buffer {
  return piece.subarray(0, readSync(descriptor, piece));
}

function writeAll(target: number, bytes: Buffer, position: number): void {
  for (let done = 0; done < bytes.length; ) {
    done += writeSync(target, bytes, done, bytes.length - done, position + done);
  }
}

/** Of the copy. */
function permissionsOf(stat: Stats): number {
  const owner = stat.isDirectory() ? OWNER_MAY_ALL : OWNER_MAY_READ;
  return (stat.mode & PERMISSION_BITS) | owner;
}

function remove(path: Buffer): void {
  rmSync(path, { recursive: true, force: true });
}

function lstatIfThere(path: Buffer): Stats | undefined {
  return lstatSync(path, { throwIfNoEntry: false });
}

function join(directory: Buffer, name: Buffer): Buffer {
  return Buffer.concat([directory, slash, name]);
}

/** Why something cannot be read, in the words that a snapshot has for it. */
export function sourceReason(code: string): string {
  if (code === 'EACCES' || code === 'EPERM') return 'permission';
  if (code === 'ENOTDIR') return 'not_a_directory';
  return code === 'ENOENT' ? 'vanished' : 'io';
}
