/**
 * Records of zip archives (APPNOTE 6.3), as Info-ZIP, Python and 7-Zip read them. What is written as it
 * comes has its checksum and sizes behind it (a data descriptor), and again in the directory at the
 * end of the archive. Names that are UTF-8 are marked so. Modes, owners, symbolic links and times in
 * seconds are those of Info-ZIP; sizes and offsets beyond 4 GiB are in zip64 fields.
 */
import type { Node, NodeType } from '../../tree/node.ts';
import { concatBytes, decodeUtf8 } from '../../util/bytes.ts';
import type { ArchiveEntry } from './archive-entry.ts';

const uint32Max = 0xffff_ffffn;
const uint16Max = 0xffff;
/** Deflated content may be longer than it was: a file near 4 GiB gets zip64 fields, too. */
const smallSizeMax = 0xf000_0000n;
const flagDescriptor = 0x0008;
const flagUtf8 = 0x0800;
const methodStored = 0;
const methodDeflated = 8;
const versionPlain = 20;
const versionZip64 = 45;
const madeByUnix = 3 << 8;
const msdosDirectory = 0x10;
const nothing = new Uint8Array(0);

/** `st_mode` of the types that can stand in an archive. */
const typeBits: Readonly<Partial<Record<NodeType, number>>> = {
  f: 0o100000,
  d: 0o040000,
  l: 0o120000,
};

/** Devices, FIFOs and sockets cannot. */
export function canBeInZip({ node }: ArchiveEntry): boolean {
  return typeBits[node.type] !== undefined;
}

/** Whether the content is deflated and its sizes follow it; else it is what `zipInline` says. */
export function isDeflatedInZip({ node }: ArchiveEntry): boolean {
  return node.type === 'f' && (node.size ?? 0n) > 0n;
}

/** Content that is stored as it is: the target of a link. */
export function zipInline({ node }: ArchiveEntry): Uint8Array {
  return node.target ?? nothing;
}

/** What is known of an entry once its content is written. */
export interface ZipContent {
  crc: number;
  /** Bytes before and after it was deflated. */
  size: bigint;
  storedSize: bigint;
}

interface ZipNaming {
  flags: number;
  method: number;
  isZip64: boolean;
  dosTime: number;
}

export function zipLocalHeader(entry: ArchiveEntry, content: ZipContent): Uint8Array {
  const { name } = entry;
  const naming = namingOf(entry);
  const isLater = isDeflatedInZip(entry);
  const known = isLater ? { crc: 0, size: 0n, storedSize: 0n } : content;
  const extra = concatBytes(
    naming.isZip64 ? zip64Field([0n, 0n]) : nothing,
    timeField(entry.node),
    ownerField(entry.node),
  );
  const writer = new RecordWriter(30);
  writer.u32(0x04034b50);
  writer.u16(naming.isZip64 ? versionZip64 : versionPlain);
  writeNaming(writer, naming);
  writer.u32(known.crc);
  writer.u32(naming.isZip64 ? Number(uint32Max) : Number(known.storedSize));
  writer.u32(naming.isZip64 ? Number(uint32Max) : Number(known.size));
  writer.u16(name.length);
  writer.u16(extra.length);
  return concatBytes(writer.bytes, name, extra);
}

/** What follows deflated content. */
export function zipDescriptor(entry: ArchiveEntry, content: ZipContent): Uint8Array {
  const { isZip64 } = namingOf(entry);
  const writer = new RecordWriter(isZip64 ? 24 : 16);
  writer.u32(0x08074b50);
  writer.u32(content.crc);
  for (const size of [content.storedSize, content.size]) {
    if (isZip64) writer.u64(size);
    else writer.u32(Number(size));
  }
  return writer.bytes;
}

/** @param offset of the local header from the start of the archive */
export function zipDirectoryRecord(
  entry: ArchiveEntry,
  content: ZipContent,
  offset: bigint,
): Uint8Array {
  const { name, node } = entry;
  const naming = namingOf(entry);
  const isFar = offset >= uint32Max;
  const large = [
    ...(naming.isZip64 ? [content.size, content.storedSize] : []),
    ...(isFar ? [offset] : []),
  ];
  const extra = concatBytes(
    large.length > 0 ? zip64Field(large) : nothing,
    timeField(node),
    ownerField(node),
  );
  const mode = (typeBits[node.type] as number) | (node.mode ?? (node.type === 'd' ? 0o755 : 0o644));
  const writer = new RecordWriter(46);
  writer.u32(0x02014b50);
  writer.u16(madeByUnix | versionZip64);
  writer.u16(large.length > 0 ? versionZip64 : versionPlain);
  writeNaming(writer, naming);
  writer.u32(content.crc);
  writer.u32(naming.isZip64 ? Number(uint32Max) : Number(content.storedSize));
  writer.u32(naming.isZip64 ? Number(uint32Max) : Number(content.size));
  writer.u16(name.length);
  writer.u16(extra.length);
  writer.u16(0); // Comment.
  writer.u16(0); // Disk.
  writer.u16(0); // Internal attributes.
  writer.u32(mode * 0x10000 + (node.type === 'd' ? msdosDirectory : 0));
  writer.u32(isFar ? Number(uint32Max) : Number(offset));
  return concatBytes(writer.bytes, name, extra);
}

/** What ends the archive. */
export function zipEnd(directory: { count: number; size: bigint; offset: bigint }): Uint8Array {
  const { count, size, offset } = directory;
  const isLarge = count >= uint16Max || size >= uint32Max || offset >= uint32Max;
  const writer = new RecordWriter(22);
  writer.u32(0x06054b50);
  writer.u32(0); // Disks.
  for (let i = 0; i < 2; i++) writer.u16(Math.min(count, uint16Max));
  writer.u32(Number(size < uint32Max ? size : uint32Max));
  writer.u32(Number(offset < uint32Max ? offset : uint32Max));
  writer.u16(0); // Comment.
  return isLarge ? concatBytes(zip64End(directory), writer.bytes) : writer.bytes;
}

function zip64End({
  count,
  size,
  offset,
}: {
  count: number;
  size: bigint;
  offset: bigint;
}): Uint8Array {
  const end = new RecordWriter(56);
  end.u32(0x06064b50);
  end.u64(44n); // Bytes that follow.
  end.u16(madeByUnix | versionZip64);
  end.u16(versionZip64);
  end.u64(0n); // Disks.
  for (let i = 0; i < 2; i++) end.u64(BigInt(count));
  end.u64(size);
  end.u64(offset);
  const locator = new RecordWriter(20);
  locator.u32(0x07064b50);
  locator.u32(0); // Disk.
  locator.u64(offset + size);
  locator.u32(1); // Disks in all.
  return concatBytes(end.bytes, locator.bytes);
}

function namingOf(entry: ArchiveEntry): ZipNaming {
  const { name, node } = entry;
  const isDeflated = isDeflatedInZip(entry);
  const isUtf8 = decodeUtf8(name) !== undefined;
  return {
    flags: (isDeflated ? flagDescriptor : 0) | (isUtf8 ? flagUtf8 : 0),
    method: isDeflated ? methodDeflated : methodStored,
    isZip64: (node.size ?? 0n) >= smallSizeMax,
    dosTime: dosTimeOf(node),
  };
}

function writeNaming(writer: RecordWriter, { flags, method, dosTime }: ZipNaming): void {
  writer.u16(flags);
  writer.u16(method);
  writer.u32(dosTime);
}

/** Local time in steps of two seconds, from 1980 on; `timeField` is exact. */
function dosTimeOf({ mtime }: Node): number {
  const date = new Date(Number(mtime?.seconds ?? 0n) * 1000);
  const year = date.getFullYear();
  if (!(year >= 1980 && year <= 2107)) return 0x0021_0000;
  const day = ((year - 1980) << 9) | ((date.getMonth() + 1) << 5) | date.getDate();
  const time = (date.getHours() << 11) | (date.getMinutes() << 5) | (date.getSeconds() >> 1);
  return day * 0x10000 + time;
}

function zip64Field(values: readonly bigint[]): Uint8Array {
  const writer = new RecordWriter(4 + 8 * values.length);
  writer.u16(0x0001);
  writer.u16(8 * values.length);
  for (const value of values) writer.u64(value);
  return writer.bytes;
}

/** Extended timestamp: seconds since 1970, UTC, as far as 32 bits go. */
function timeField({ mtime }: Node): Uint8Array {
  const seconds = mtime?.seconds;
  if (seconds === undefined || seconds < -(2n ** 31n) || seconds >= 2n ** 31n) return nothing;
  const writer = new RecordWriter(9);
  writer.u16(0x5455);
  writer.u16(5);
  writer.u8(1); // Only the time of modification.
  writer.u32(Number(BigInt.asUintN(32, seconds)));
  return writer.bytes;
}

function ownerField({ owner }: Node): Uint8Array {
  if (owner === undefined) return nothing;
  const writer = new RecordWriter(15);
  writer.u16(0x7875);
  writer.u16(11);
  writer.u8(1); // Version.
  for (const id of [owner.uid, owner.gid]) {
    writer.u8(4);
    writer.u32(id);
  }
  return writer.bytes;
}

/** Numbers of a record whose size is known, lowest byte first. */
class RecordWriter {
  readonly bytes: Uint8Array;
  readonly #view: DataView;
  #offset = 0;

  constructor(size: number) {
    this.bytes = new Uint8Array(size);
    this.#view = new DataView(this.bytes.buffer);
  }

  u8(value: number): void {
    this.#view.setUint8(this.#offset, value);
    this.#offset += 1;
  }

  u16(value: number): void {
    this.#view.setUint16(this.#offset, value, true);
    this.#offset += 2;
  }

  u32(value: number): void {
    this.#view.setUint32(this.#offset, value, true);
    this.#offset += 4;
  }

  u64(value: bigint): void {
    this.#view.setBigUint64(this.#offset, value, true);
    this.#offset += 8;
  }
}
