/**
 * Blobs of trees in memory, with ids from the portable BLAKE3 and the keys of the golden vectors, so
 * that the ids of pages and lists can be compared with the vectors.
 */
import { blake3 } from '@noble/hashes/blake3.js';
import type { BlobId } from '../../src/id.ts';
import type { LoadBlob } from '../../src/tree/blob-access.ts';
import { ByteWriter } from '../../src/tree/byte-writer.ts';
import type { DirectoryEntry, DirectoryRoot, Node } from '../../src/tree/node.ts';
import { readNode, writeNode } from '../../src/tree/node-codec.ts';
import { type InnerPage, type LeafPage, PageWriter } from '../../src/tree/page.ts';
import { DirectoryBuilder, type PageSink } from '../../src/tree/page-builder.ts';
import { readDirectory } from '../../src/tree/tree-reader.ts';
import { ByteReader, Malformed } from '../../src/util/byte-reader.ts';
import { fromAscii, fromHex, leadingU32, toHex } from '../../src/util/bytes.ts';

const dedupSecret = Uint8Array.from({ length: 32 }, (_, i) => 0x20 + i);

/** Keyed hash under the key that the vectors derive for `purpose` ("id tree", …). */
export function keyedHash(purpose: string, message: Uint8Array): Uint8Array {
  const key = blake3(dedupSecret, { context: fromAscii(`varve 2026-11-20 format 1 ${purpose}`) });
  return blake3(message, { key });
}

export interface MemoryBlobs {
  /** Hex id to plaintext, in the order of storing. */
  readonly blobs: Map<string, Uint8Array>;
  readonly load: LoadBlob;
  readonly sink: PageSink;
  readonly storeList: (list: Uint8Array) => BlobId;
}

export function memoryBlobs(): MemoryBlobs {
  const blobs = new Map<string, Uint8Array>();
  const store = (purpose: string, blob: Uint8Array): BlobId => {
    const id = keyedHash(purpose, blob) as BlobId;
    blobs.set(toHex(id), blob);
    return id;
  };
  return {
    blobs,
    load: async (id) => {
      const blob = blobs.get(toHex(id));
      if (blob === undefined) throw new Malformed('blob is missing');
      return blob;
    },
    sink: {
      isPageEnd: (name) => (leadingU32(keyedHash('tree page', name)) & 511) === 0,
      store: (page) => store('id tree', page),
    },
    storeList: (list) => store('id list', list),
  };
}

/** Builds one directory from nodes in order. */
export async function buildDirectory(
  nodes: Iterable<Node>,
  sink: PageSink,
): Promise<DirectoryRoot | undefined> {
  const builder = new DirectoryBuilder(sink);
  for (const node of nodes) await builder.add(node);
  return builder.finish();
}

export async function collectEntries(
  root: DirectoryRoot,
  load: LoadBlob,
): Promise<DirectoryEntry[]> {
  const entries: DirectoryEntry[] = [];
  for await (const batch of readDirectory(root, load)) entries.push(...batch);
  return entries;
}

export function encodeNode(node: Node): Uint8Array {
  const writer = new ByteWriter();
  writeNode(writer, node);
  return writer.copy();
}

/** One whole node. */
export function decodeNode(bytes: Uint8Array): DirectoryEntry {
  const reader = new ByteReader(bytes);
  const node = readNode(reader, bytes.length);
  reader.end();
  return node;
}

/** Bytes of a decoded page, or undefined when a refused node in it cannot be encoded. */
export function encodePage(page: LeafPage | InnerPage): Uint8Array | undefined {
  const writer = new PageWriter(page.kind);
  if (page.kind === 'inner') {
    for (const child of page.children) writer.addChild(child);
    return writer.take();
  }
  for (const entry of page.entries) {
    if (entry.type === 'refused') return undefined;
    writer.addNode(entry);
  }
  return writer.take();
}

/** Hex of the vectors: `0101 61*1024` is 0101, then 1,024 times 61. */
export function expandHex(short: string): Uint8Array {
  const words = short.split(' ').map((word) => word.split('*') as [string, string?]);
  return fromHex(words.map(([digits, times = '1']) => digits.repeat(Number(times))).join(''));
}
