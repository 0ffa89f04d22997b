/**
 * A node as bytes: fields `tag u8 | varint length | value`, tags strictly ascending.
 *
 *      1 name         7 mtime  i64 s, u32 ns   13 directory  id 32, height u8, entries u64, bytes u64
 *      2 type u8      8 ctime                  14 target
 *      3 mode u32     9 birth time             15 device     major u32, minor u32
 *      4 uid, gid    10 inode u64              16 attributes inline
 *      5 user, group 11 link group 8           17 attributes in a blob, id 32
 *      6 size u64    12 content                18 flags u32
 *
 * Every node has exactly one encoding: order, lengths and varints leave no choice, so a decoded node
 * encodes to the bytes it came from. Unknown tags below 0x80 are kept; one from 0x80 on refuses the
 * node but not its page. Decoding passes over the fields twice, frames first, because a critical tag
 * at the end changes how the fields before it are judged.
 */
import type { BlobId } from '../id.ts';
import { type ByteReader, demand } from '../util/byte-reader.ts';
import { readAttributes, writeAttributes } from './attributes.ts';
import { ID_SIZE } from './blob-access.ts';
import type { ByteWriter } from './byte-writer.ts';
import { readContent, writeContent } from './content.ts';
import { assertFaultless, refuseFault } from './fault.ts';
import {
  CRITICAL_TAG_MIN,
  countedFault,
  type DirectoryEntry,
  type DirectoryRoot,
  type Node,
  type NodeType,
  nodeFault,
  type RefusedNode,
  type Time,
} from './node.ts';
import { readLength, readPiece, varintSize } from './varint.ts';

export const NODE_SIZE_MAX: number = 2 ** 17;

const linkGroupSize = 8;

const typeOfCode = new Map<number, NodeType>(
  (['f', 'd', 'l', 'c', 'b', 'p', 's'] as const).map((type) => [type.charCodeAt(0), type]),
);

/** By tag: bytes of the value, 0 where it varies. */
const sizeOfTag = [0, 0, 1, 4, 8, 0, 8, 12, 12, 12, 8, 8, 0, 49, 0, 8, 0, 32, 4];

/** Appends the node. It must keep the rules of `node.ts`. */
export function writeNode(writer: ByteWriter, node: Node): void {
  assertFaultless(nodeFault(node));
  const start = writer.size;
  writer.u8(1);
  writer.piece(node.name);
  openField(writer, 2);
  writer.u8(node.type.charCodeAt(0));
  writeOwner(writer, node);
  if (node.size !== undefined) {
    openField(writer, 6);
    writer.u64(node.size);
  }
  writeTime(writer, 7, node.mtime);
  writeTime(writer, 8, node.ctime);
  writeTime(writer, 9, node.birthTime);
  writeData(writer, node);
  writeExtras(writer, node);
  assertFaultless(writer.size - start > NODE_SIZE_MAX ? 'node too long' : undefined);
}

/** Tag and length of a field of fixed size. */
function openField(writer: ByteWriter, tag: number): void {
  writer.u8(tag);
  writer.u8(sizeOfTag[tag] ?? 0);
}

function writeOwner(writer: ByteWriter, { mode, owner, ownerNames }: Node): void {
  if (mode !== undefined) {
    openField(writer, 3);
    writer.u32(mode);
  }
  if (owner !== undefined) {
    openField(writer, 4);
    writer.u32(owner.uid);
    writer.u32(owner.gid);
  }
  if (ownerNames !== undefined) {
    const { user, group } = ownerNames;
    writer.u8(5);
    writer.varint(varintSize(user.length) + user.length + group.length);
    writer.piece(user);
    writer.bytes(group);
  }
}

function writeTime(writer: ByteWriter, tag: number, time: Time | undefined): void {
  if (time === undefined) return;
  openField(writer, tag);
  writer.i64(time.seconds);
  writer.u32(time.nanoseconds);
}

function writeData(writer: ByteWriter, node: Node): void {
  if (node.inode !== undefined) {
    openField(writer, 10);
    writer.u64(node.inode);
  }
  if (node.linkGroup !== undefined) {
    openField(writer, 11);
    writer.fixed(node.linkGroup, linkGroupSize);
  }
  if (node.content !== undefined) {
    writer.u8(12);
    const start = writer.size;
    writeContent(writer, node.content);
    writer.prefixLength(start);
  }
  if (node.directory !== undefined) {
    const { id, height, entries, bytes } = node.directory;
    openField(writer, 13);
    writer.fixed(id, ID_SIZE);
    writer.u8(height);
    writer.u64(entries);
    writer.u64(bytes);
  }
  if (node.target !== undefined) {
    writer.u8(14);
    writer.piece(node.target);
  }
}

function writeExtras(writer: ByteWriter, node: Node): void {
  if (node.device !== undefined) {
    openField(writer, 15);
    writer.u32(node.device.major);
    writer.u32(node.device.minor);
  }
  if (node.attributes !== undefined) {
    writer.u8(16);
    const start = writer.size;
    writeAttributes(writer, node.attributes);
    writer.prefixLength(start);
  }
  if (node.attributeBlob !== undefined) {
    openField(writer, 17);
    writer.fixed(node.attributeBlob, ID_SIZE);
  }
  if (node.flags !== undefined) {
    openField(writer, 18);
    writer.u32(node.flags);
  }
  for (const [tag, value] of node.unknown ?? []) {
    writer.u8(tag);
    writer.piece(value);
  }
}

/**
 * The node in the next `size` bytes. Its byte strings are views.
 * @throws Malformed
 */
export function readNode(reader: ByteReader, size: number): DirectoryEntry {
  demand(size <= NODE_SIZE_MAX, 'node too long');
  const start = reader.offset;
  const end = start + size;
  const criticalTag = scanFields(reader, end);
  reader.offset = start;
  return criticalTag === undefined
    ? readFields(reader, end)
    : readRefused(reader, end, criticalTag);
}

/** Checks that fields fill the node, name first, tags ascending; gives the first critical tag. */
function scanFields(reader: ByteReader, end: number): number | undefined {
  let criticalTag: number | undefined;
  let last = 0;
  while (reader.offset < end) {
    const tag = reader.u8();
    demand(tag > last, 'tags not ascending');
    demand(last > 0 || tag === 1, 'no name');
    if (tag >= CRITICAL_TAG_MIN) criticalTag ??= tag;
    const size = readLength(reader);
    reader.offset += size;
    last = tag;
  }
  demand(reader.offset === end, 'value passes the end');
  demand(last > 0, 'no name');
  return criticalTag;
}

function readFields(reader: ByteReader, end: number): Node {
  reader.offset++;
  const name = readPiece(reader);
  demand(reader.offset < end && reader.u8() === 2 && reader.u8() === 1, 'no type');
  const type = typeOfCode.get(reader.u8());
  demand(type !== undefined, 'type');
  const node: Node = { name, type };
  while (reader.offset < end) {
    const tag = reader.u8();
    readField(reader, node, tag);
  }
  refuseFault(nodeFault(node));
  return node;
}

function readField(reader: ByteReader, node: Node, tag: number): void {
  const size = readLength(reader);
  demandSize(tag, size);
  switch (tag) {
    case 3:
      node.mode = reader.u32();
      break;
    case 4:
      node.owner = { uid: reader.u32(), gid: reader.u32() };
      break;
    case 5:
      node.ownerNames = readOwnerNames(reader, size);
      break;
    case 6:
      node.size = reader.u64();
      break;
    case 7:
      node.mtime = readTime(reader);
      break;
    case 8:
      node.ctime = readTime(reader);
      break;
    case 9:
      node.birthTime = readTime(reader);
      break;
    case 10:
      node.inode = reader.u64();
      break;
    case 11:
      node.linkGroup = reader.take(size);
      break;
    case 12:
      node.content = readContent(reader, size);
      break;
    case 13:
      node.directory = readDirectoryRoot(reader);
      break;
    case 14:
      node.target = reader.take(size);
      break;
    case 15:
      node.device = { major: reader.u32(), minor: reader.u32() };
      break;
    case 16:
      node.attributes = readAttributes(reader, size);
      break;
    case 17:
      node.attributeBlob = reader.take(size) as BlobId;
      break;
    case 18:
      node.flags = reader.u32();
      break;
    default:
      node.unknown = [...(node.unknown ?? []), [tag, reader.take(size)]];
  }
}

/** Only what gives the entry its place and its share of the totals. */
function readRefused(reader: ByteReader, end: number, criticalTag: number): RefusedNode {
  reader.offset++;
  const node: RefusedNode = { name: readPiece(reader), type: 'refused', tag: criticalTag };
  while (reader.offset < end) {
    const tag = reader.u8();
    const size = readLength(reader);
    const fieldEnd = reader.offset + size;
    if (tag === 6 || tag === 13) demandSize(tag, size);
    if (tag === 6) node.size = reader.u64();
    if (tag === 13) node.directory = readDirectoryRoot(reader);
    reader.offset = fieldEnd;
  }
  refuseFault(countedFault(node));
  return node;
}

function demandSize(tag: number, size: number): void {
  const fixedSize = sizeOfTag[tag] ?? 0;
  demand(fixedSize === 0 || size === fixedSize, 'field size');
}

function readOwnerNames(reader: ByteReader, size: number): { user: Uint8Array; group: Uint8Array } {
  const end = reader.offset + size;
  const user = readPiece(reader);
  demand(reader.offset <= end, 'value passes the end');
  return { user, group: reader.take(end - reader.offset) };
}

function readTime(reader: ByteReader): Time {
  return { seconds: reader.i64(), nanoseconds: reader.u32() };
}

function readDirectoryRoot(reader: ByteReader): DirectoryRoot {
  const id = reader.take(ID_SIZE) as BlobId;
  return { id, height: reader.u8(), entries: reader.u64(), bytes: reader.u64() };
}
