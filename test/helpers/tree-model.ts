/**
 * Models of file trees for property tests, and real trees made of them. Names are raw bytes, times
 * whatever a file system takes, contents are put together from shared pieces whose sizes lie around
 * the chunk limits.
 */
import { spawnSync } from 'node:child_process';
import { chmodSync, lchownSync, linkSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import fc from 'fast-check';
import { type Timestamp, utimens } from '../../src/platform/times.ts';
import { toHex } from '../../src/util/bytes.ts';
import { rawPath } from './raw-path.ts';

interface Common {
  readonly name: Uint8Array;
  readonly mode: number;
  readonly owner: { readonly uid: number; readonly gid: number };
  readonly mtime: Timestamp;
}

/** A piece of content: the same seed and size give the same bytes. */
interface Piece {
  readonly seed: number;
  readonly size: number;
}

export type ModelEntry = Common &
  (
    | { readonly type: 'd'; readonly children: readonly ModelEntry[] }
    | { readonly type: 'f'; readonly pieces: readonly Piece[] }
    | { readonly type: 'l'; readonly target: Uint8Array }
    | { readonly type: 'p' }
    /** Another name of a file or symlink made before; the first file there is when none fits. */
    | { readonly type: 'link'; readonly nth: number }
  );

const isRoot = process.geteuid?.() === 0;

const nameBytes = fc.integer({ min: 1, max: 255 }).filter((byte) => byte !== 0x2f);
const name = fc
  .oneof(
    fc.array(nameBytes, { minLength: 1, maxLength: 6 }),
    fc.constantFrom(
      ...['a', 'b', 'c', '\n', ' ', '-n', '...', '\\', 'é'].map((text) => [...Buffer.from(text)]),
    ),
    fc.array(nameBytes, { minLength: 255, maxLength: 255 }),
  )
  .map((bytes) => Uint8Array.from(bytes))
  .filter((bytes) => !/^2e(2e)?$/.test(toHex(bytes)));

/** What ext4 holds: 1901 to 2446. */
const mtime = fc.record(
  {
    seconds: fc.oneof(
      fc.bigInt({ min: -(2n ** 31n), max: 15_032_385_535n }),
      fc.constantFrom(-(2n ** 31n), -1n, 0n, 2n ** 31n, 2n ** 32n, 15_032_385_535n),
    ),
    nanoseconds: fc.oneof(
      fc.integer({ min: 0, max: 999_999_999 }),
      fc.constantFrom(0, 1, 999_999_999),
    ),
  },
  { noNullPrototype: true },
);

const id = fc.oneof(fc.constantFrom(0, 65_534), fc.integer({ min: 0, max: 2 ** 32 - 2 }));
const common = {
  name,
  mtime,
  mode: fc.integer({ min: 0, max: isRoot ? 0o7777 : 0o777 }),
  owner: isRoot
    ? fc.record({ uid: id, gid: id })
    : fc.constant({ uid: process.geteuid?.() ?? 0, gid: process.getegid?.() ?? 0 }),
};

const piece = fc.record({
  seed: fc.integer({ min: 0, max: 3 }),
  size: fc.oneof(
    fc.integer({ min: 0, max: 5000 }),
    fc.constantFrom(1, 32_767, 32_768, 32_769, 65_536, 131_071, 131_072, 131_073, 300_000),
  ),
});

const leaf: fc.Arbitrary<ModelEntry> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      ...common,
      type: fc.constant('f' as const),
      pieces: fc.array(piece, { maxLength: 3 }),
    }),
  },
  fc.record({
    ...common,
    type: fc.constant('l' as const),
    target: fc
      .array(nameBytes, { minLength: 1, maxLength: 300 })
      .map((bytes) => Uint8Array.from(bytes)),
  }),
  fc.record({ ...common, type: fc.constant('p' as const) }),
  fc.record({ ...common, type: fc.constant('link' as const), nth: fc.nat({ max: 20 }) }),
);

function entries(depth: number): fc.Arbitrary<ModelEntry[]> {
  const directory = fc.record({
    ...common,
    type: fc.constant('d' as const),
    children: depth === 0 ? fc.constant([]) : entries(depth - 1),
  });
  return fc.uniqueArray(fc.oneof({ weight: 3, arbitrary: leaf }, directory), {
    maxLength: 6,
    selector: (entry) => toHex(entry.name),
  });
}

/** The children of a directory, up to four levels of them. */
export const treeArbitrary: fc.Arbitrary<ModelEntry[]> = entries(3);

export interface Materialized {
  readonly fifos: number;
}

/** Makes the entries in a directory that is there. */
export function materialize(
  top: string | Uint8Array,
  children: readonly ModelEntry[],
): Materialized {
  const made = { linkable: [] as Buffer[], fifos: 0 };
  makeChildren(rawPath(top), children, made);
  return { fifos: made.fifos };
}

function makeChildren(
  parent: Buffer,
  children: readonly ModelEntry[],
  made: { linkable: Buffer[]; fifos: number },
): void {
  for (const child of children) {
    const path = rawPath(parent, child.name);
    if (child.type === 'link') {
      // It shares the metadata of the file it is a name of.
      if (made.linkable.length === 0) writeFileSync(path, '');
      else linkSync(made.linkable[child.nth % made.linkable.length] as Buffer, path);
      continue;
    }
    if (child.type === 'f') writeFileSync(path, contentOf(child.pieces));
    if (child.type === 'l') symlinkSync(Buffer.from(child.target), path);
    if (child.type === 'p') {
      makeFifo(parent, child.name);
      made.fifos += 1;
    }
    if (child.type === 'd') {
      mkdirSync(path);
      makeChildren(path, child.children, made);
    }
    setMetadata(path, child);
    if (child.type === 'f' || child.type === 'l') made.linkable.push(path);
  }
}

function setMetadata(path: Buffer, { type, mode, owner, mtime: time }: ModelEntry): void {
  lchownSync(path, owner.uid, owner.gid);
  // An ordinary user must be able to read what is to be saved.
  const readable = type === 'd' ? 0o500 : 0o400;
  if (type !== 'l') chmodSync(path, isRoot ? mode : mode | readable);
  utimens(path, { mtime: time }, true);
}

/** Node makes no FIFOs, and arguments of a child are text: the shell puts the name together. */
function makeFifo(parent: Buffer, fifoName: Uint8Array): void {
  const octal = [...rawPath(parent, fifoName)].map(
    (byte) => `\\${byte.toString(8).padStart(3, '0')}`,
  );
  // The trailing x keeps a newline at the end, which $() would cut off.
  const script = `p=$(printf '${octal.join('')}x') && mkfifo -- "\${p%x}"`;
  const { status, stderr } = spawnSync('sh', ['-c', script], {
    encoding: 'latin1',
    env: { ...process.env, LC_ALL: 'C' },
  });
  if (status !== 0) throw new Error(`mkfifo: ${stderr}`);
}

function contentOf(pieces: readonly Piece[]): Buffer {
  return Buffer.concat(pieces.map(pieceContent));
}

function pieceContent({ seed, size }: Piece): Buffer {
  const bytes = Buffer.alloc(size);
  let state = seed + 1;
  for (let i = 0; i < size; i++) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    // The upper half of the seeds gives text, which compresses.
    bytes[i] = seed < 2 ? state >>> 24 : 0x61 + ((state >>> 24) & 7);
  }
  return bytes;
}
