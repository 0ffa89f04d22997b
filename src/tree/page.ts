/**
 * A tree page: a run of the sorted nodes of one directory (leaf), or of the pages below (inner).
 *
 *     kind u8 (0 leaf, 1 inner) | version u8 = 1 | 0 u16 | count u32 | count entries
 *     leaf entry   varint length | node
 *     inner entry  varint length | varint n | first name n | child id 32 | entries u64 | bytes u64
 *
 * Decoding one page checks what can be seen in it alone: form, node rules, strictly ascending names,
 * totals that do not overflow. What pages owe each other is checked by `tree-reader.ts`.
 */
import type { BlobId } from '../id.ts';
import { ByteReader, demand } from '../util/byte-reader.ts';
import { compareBytes } from '../util/bytes.ts';
import { ID_SIZE } from './blob-access.ts';
import { ByteWriter } from './byte-writer.ts';
import { refuseFault } from './fault.ts';
import { type DirectoryEntry, type Node, nameFault } from './node.ts';
import { readNode, writeNode } from './node-codec.ts';
import { readLength, readPiece } from './varint.ts';

export const PAGE_SIZE_MAX: number = 2 ** 20;
export const PAGE_VERSION = 1;
/** Largest totals of a page or directory. */
export const TOTAL_MAX: bigint = 2n ** 64n - 1n;

const leafKind = 0;
const innerKind = 1;
const countOffset = 4;

/** What lies below something, at any depth: nodes, and bytes of files. */
export interface Totals {
  entries: bigint;
  bytes: bigint;
}

/** Entry of an inner page: a page one level down. */
export interface ChildPage extends Totals {
  firstName: Uint8Array;
  id: BlobId;
}

export interface LeafPage {
  kind: 'leaf';
  entries: DirectoryEntry[];
  totals: Totals;
}

export interface InnerPage {
  kind: 'inner';
  children: ChildPage[];
  totals: Totals;
}

/** What one entry adds to the totals of every directory above it. */
export function countEntry({ size, directory }: DirectoryEntry): Totals {
  if (directory === undefined) return { entries: 1n, bytes: size ?? 0n };
  return { entries: directory.entries + 1n, bytes: directory.bytes + (size ?? 0n) };
}

/**
 * One page by itself; byte strings in it are views of `page`.
 * @throws Malformed
 */
export function decodePage(page: Uint8Array): LeafPage | InnerPage {
  demand(page.length <= PAGE_SIZE_MAX, 'page too long');
  const reader = new ByteReader(page);
  const kind = reader.u8();
  demand(kind === leafKind || kind === innerKind, 'page kind');
  demand(reader.u8() === PAGE_VERSION, 'page version');
  reader.zeros(2);
  const count = reader.u32();
  const decoded = kind === leafKind ? readLeaf(reader, count) : readInner(reader, count);
  reader.end();
  const { entries, bytes } = decoded.totals;
  demand(entries <= TOTAL_MAX && bytes <= TOTAL_MAX, 'totals too large');
  return decoded;
}

function readLeaf(reader: ByteReader, count: number): LeafPage {
  const entries: DirectoryEntry[] = [];
  const totals = { entries: BigInt(count), bytes: 0n };
  let last: DirectoryEntry | undefined;
  for (let i = 0; i < count; i++) {
    const entry = readNode(reader, readLength(reader));
    if (last !== undefined) demandAscending(last.name, entry.name);
    if (entry.size !== undefined) totals.bytes += entry.size;
    if (entry.directory !== undefined) {
      totals.entries += entry.directory.entries;
      totals.bytes += entry.directory.bytes;
    }
    entries.push(entry);
    last = entry;
  }
  return { kind: 'leaf', entries, totals };
}

function readInner(reader: ByteReader, count: number): InnerPage {
  demand(count >= 1, 'inner page without entries');
  const children: ChildPage[] = [];
  const totals = { entries: 0n, bytes: 0n };
  let last: ChildPage | undefined;
  for (let i = 0; i < count; i++) {
    const child = readChild(reader);
    if (last !== undefined) demandAscending(last.firstName, child.firstName);
    totals.entries += child.entries;
    totals.bytes += child.bytes;
    children.push(child);
    last = child;
  }
  return { kind: 'inner', children, totals };
}

function readChild(reader: ByteReader): ChildPage {
  const size = readLength(reader);
  const end = reader.offset + size;
  const firstName = readPiece(reader);
  refuseFault(nameFault(firstName));
  const id = reader.take(ID_SIZE) as BlobId;
  const child = { firstName, id, entries: reader.u64(), bytes: reader.u64() };
  demand(reader.offset === end, 'inner entry size');
  demand(child.entries >= 1n, 'child without entries');
  return child;
}

function demandAscending(name: Uint8Array, next: Uint8Array): void {
  demand(compareBytes(name, next) < 0, 'names not ascending');
}

/** Encodes one page after another in the same memory. Names must come in ascending order. */
export class PageWriter {
  readonly #kind: number;
  readonly #writer = new ByteWriter();
  #count = 0;

  constructor(kind: 'leaf' | 'inner') {
    this.#kind = kind === 'leaf' ? leafKind : innerKind;
    this.#begin();
  }

  get count(): number {
    return this.#count;
  }

  /** Bytes of the page so far, its header included. */
  get size(): number {
    return this.#writer.size;
  }

  /** Of a leaf. */
  addNode(node: Node): void {
    const start = this.#writer.size;
    writeNode(this.#writer, node);
    this.#writer.prefixLength(start);
    this.#count++;
  }

  /** Of an inner page. */
  addChild({ firstName, id, entries, bytes }: ChildPage): void {
    const start = this.#writer.size;
    this.#writer.piece(firstName);
    this.#writer.fixed(id, ID_SIZE);
    this.#writer.u64(entries);
    this.#writer.u64(bytes);
    this.#writer.prefixLength(start);
    this.#count++;
  }

  /** The page in new memory; the next one begins. */
  take(): Uint8Array {
    this.#writer.replaceU32(countOffset, this.#count);
    const page = this.#writer.copy();
    this.#begin();
    return page;
  }

  #begin(): void {
    this.#count = 0;
    this.#writer.clear();
    this.#writer.u8(this.#kind);
    this.#writer.u8(PAGE_VERSION);
    this.#writer.u16(0);
    this.#writer.u32(0);
  }
}
