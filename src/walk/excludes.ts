/**
 * What a snapshot leaves out, as somebody asked for it and as the walk uses it. A path that was named
 * as a source is always saved, whatever fits it: to lose it silently would be worse than to save too
 * much. What is in it is subject to everything.
 */
import { createHash } from 'node:crypto';
import { childPath, type DirectoryHandle } from '../platform/directory-handle.ts';
import { bufferOf, equalBytes, fromAscii, toHex } from '../util/bytes.ts';
import { printable } from '../util/printable.ts';
import { type NameTest, PatternList } from './pattern-list.ts';
import type { SourceFs } from './source-fs.ts';

/** A path, name or pattern: text, or raw bytes where it is not UTF-8. */
type Text = string | Uint8Array;

export interface ExcludeOptions {
  /** In the order in which they count (`pattern-list.ts`). */
  readonly patterns?: readonly Text[] | undefined;
  /** Directories marked as caches (https://bford.info/cachedir/) are saved without what is in them. */
  readonly isSkippingCaches?: boolean | undefined;
  /**
   * A directory with an entry of such a name, which is a file that begins with `header` where there
   * is one, is saved with that entry alone.
   */
  readonly markers?:
    | readonly { readonly name: Text; readonly header?: Text | undefined }[]
    | undefined;
  /** Where another file system is mounted, only the empty directory is saved. */
  readonly isOneFileSystem?: boolean | undefined;
}

const cacheMarker = {
  name: 'CACHEDIR.TAG',
  header: 'Signature: 8a477f597d28d172789f06886806bc55',
};

/** A marker with its name as latin1 text. */
interface Marker {
  readonly name: string;
  readonly header: Uint8Array;
}

export class Excludes {
  readonly isOneFileSystem: boolean;
  readonly #patterns: PatternList | undefined;
  readonly #markers: readonly Marker[];

  /** @throws RangeError on a pattern or marker that makes no sense */
  constructor(options: ExcludeOptions = {}) {
    const { patterns = [], isOneFileSystem = false } = options;
    this.isOneFileSystem = isOneFileSystem;
    this.#patterns = patterns.length === 0 ? undefined : new PatternList(patterns);
    this.#markers = markersOf(options);
  }

  /** The test for the names listed in a directory; undefined where nothing is left out. */
  testIn(fs: SourceFs, directory: DirectoryHandle, names: readonly string[]): NameTest | undefined {
    const test = this.#patterns?.testIn(directory);
    if (this.#markers.length === 0) return test;
    const present = this.#markers.filter((marker) => isPresent(fs, directory, { names, marker }));
    if (present.length === 0) return test;
    const kept = new Set(present.map(({ name }) => name));
    return (name) => (kept.has(name) ? (test?.(name) ?? 'none') : 'all');
  }
}

function markersOf({ markers = [], isSkippingCaches = false }: ExcludeOptions): Marker[] {
  const all = isSkippingCaches ? [...markers, cacheMarker] : markers;
  return all.map(({ name, header = '' }) => {
    const text = bytesOf(name).toString('latin1');
    if (text === '' || text.includes('/') || text.includes('\0')) {
      const shown = printable(bytesOf(name));
      throw new RangeError(`Cannot use marker "${shown}": it is no name, expected one of a file`);
    }
    return { name: text, header: bytesOf(header) };
  });
}

/**
 * With a header only a file can be one: nothing else can be read from a position on, and to try takes
 * nothing out of a FIFO. A marker that cannot be read counts as none: rather save too much, and the
 * file itself is reported when it is its turn to be saved.
 */
function isPresent(
  fs: SourceFs,
  directory: DirectoryHandle,
  { names, marker }: { names: readonly string[]; marker: Marker },
): boolean {
  const { name, header } = marker;
  if (!names.includes(name)) return false;
  if (header.length === 0) return true;
  try {
    const fd = fs.openFile(childPath(directory, Buffer.from(name, 'latin1')));
    try {
      return equalBytes(readHead(fs, fd, header.length), header);
    } finally {
      fs.close(fd);
    }
  } catch {
    return false;
  }
}

function readHead(fs: SourceFs, fd: number, size: number): Uint8Array {
  const head = new Uint8Array(size);
  let done = 0;
  while (done < size) {
    const count = fs.read(fd, head.subarray(done), done);
    if (count === 0) break;
    done += count;
  }
  return head.subarray(0, done);
}

/**
 * Equal where two snapshots left the same out, as far as the options tell: of the patterns in their
 * order and of all else. Empty where nothing was to be left out.
 */
export function excludeHash(options: ExcludeOptions = {}): string {
  const { patterns = [], isSkippingCaches = false, isOneFileSystem = false } = options;
  const markers = (options.markers ?? []).map(({ name, header = '' }) => [hex(name), hex(header)]);
  const isNothing = patterns.length + markers.length === 0 && !isSkippingCaches && !isOneFileSystem;
  if (isNothing) return '';
  const distinct = [...new Set(markers.map(String))].sort();
  const text = JSON.stringify([patterns.map(hex), distinct, isSkippingCaches, isOneFileSystem]);
  return toHex(createHash('sha256').update(fromAscii(text)).digest());
}

function hex(text: Text): string {
  return toHex(bytesOf(text));
}

function bytesOf(text: Text): Buffer {
  return typeof text === 'string' ? Buffer.from(text) : bufferOf(text);
}
