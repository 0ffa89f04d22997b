/**
 * Tar archives in the pax format (POSIX.1-2001), as GNU tar, bsdtar and Python read them. The header
 * of an entry is a ustar header of 512 bytes, and before it, where that cannot hold all, an extended
 * header: lines `length key=value`, the length counting itself.
 *
 * Extended headers hold times to the nanosecond, names and owners of any length, sizes beyond 8 GiB,
 * and extended attributes as `SCHILY.xattr.NAME`. Values are UTF-8, or with `hdrcharset=BINARY` the
 * bytes that the file system had. Holes are written as zeros.
 */
import type { Attribute } from '../../tree/attributes.ts';
import type { Node, NodeType } from '../../tree/node.ts';
import { concatBytes, decodeUtf8, encodeUtf8 } from '../../util/bytes.ts';
import type { ArchiveEntry } from './archive-entry.ts';

const blockSize = 512;
/** Archives are multiples of this. */
const recordSize = 20 * blockSize;
const nameSizeMax = 100;
const ownerNameSizeMax = 31;
/** Largest values of fields with 7 and with 11 octal digits. */
const smallMax = 0o7777777;
const largeMax = 0o77777777777n;
/** Of what the snapshot has no mode for. */
const modeDefault = { d: 0o755, other: 0o644 } as const;

const typeFlags: Readonly<Partial<Record<NodeType, string>>> = {
  f: '0',
  l: '2',
  c: '3',
  b: '4',
  d: '5',
  p: '6',
};

/** Sockets cannot stand in an archive. */
export function canBeInTar({ node }: ArchiveEntry): boolean {
  return typeFlags[node.type] !== undefined;
}

/** Bytes of content that follow the header, without what fills the last block. */
export function tarContentSize({ node, linkedTo }: ArchiveEntry): bigint {
  return linkedTo === undefined && node.type === 'f' ? (node.size ?? 0n) : 0n;
}

/** What stands before the content of an entry. */
export function tarHeader(entry: ArchiveEntry): Uint8Array {
  const records = paxRecords(entry);
  const header = ustarHeader(entry);
  if (records.length === 0) return header;
  const size = BigInt(records.length);
  const fields = { name: encodeUtf8('./PaxHeaders/entry'), flag: 'x', mode: 0o644, size };
  return concatBytes(encodeFields(fields), records, tarPadding(size), header);
}

/** What fills the last block of so many bytes. */
export function tarPadding(size: bigint): Uint8Array {
  return new Uint8Array(Number(-size & BigInt(blockSize - 1)));
}

/** @param size of the archive so far */
export function tarEnd(size: bigint): Uint8Array {
  const end = 2 * blockSize;
  const rest = Number((size + BigInt(end)) % BigInt(recordSize));
  return new Uint8Array(rest === 0 ? end : end + recordSize - rest);
}

interface UstarFields {
  name: Uint8Array;
  flag: string;
  mode: number;
  uid?: number;
  gid?: number;
  size?: bigint;
  mtimeSeconds?: bigint;
  linkName?: Uint8Array;
  user?: Uint8Array;
  group?: Uint8Array;
  device?: { major: number; minor: number } | undefined;
}

/** What does not fit is cut, or 0, and stands in the extended header. */
function ustarHeader(entry: ArchiveEntry): Uint8Array {
  const { name, node, linkedTo } = entry;
  const { owner, ownerNames, device } = node;
  const size = tarContentSize(entry);
  const seconds = node.mtime?.seconds ?? 0n;
  return encodeFields({
    name: name.subarray(0, nameSizeMax),
    flag: linkedTo === undefined ? (typeFlags[node.type] as string) : '1',
    mode: modeOf(node),
    uid: fittingNumber(owner?.uid),
    gid: fittingNumber(owner?.gid),
    size: size > largeMax ? 0n : size,
    mtimeSeconds: seconds < 0n || seconds > largeMax ? 0n : seconds,
    linkName: linkNameOf(entry).subarray(0, nameSizeMax),
    user: ownerNames?.user.subarray(0, ownerNameSizeMax) ?? nothing,
    group: ownerNames?.group.subarray(0, ownerNameSizeMax) ?? nothing,
    device: linkedTo === undefined ? device : undefined,
  });
}

const nothing = new Uint8Array(0);

function modeOf({ type, mode }: Node): number {
  return mode ?? (type === 'd' ? modeDefault.d : modeDefault.other);
}

function fittingNumber(value: number | undefined): number {
  return value === undefined || value > smallMax ? 0 : value;
}

function linkNameOf({ node, linkedTo }: ArchiveEntry): Uint8Array {
  return linkedTo ?? node.target ?? nothing;
}

/** `name 100 | mode 8 | uid 8 | gid 8 | size 12 | mtime 12 | sum 8 | flag 1 | link 100 | magic 8 | …` */
function encodeFields(fields: UstarFields): Uint8Array {
  const header = Buffer.alloc(blockSize);
  const { name, flag, mode, uid = 0, gid = 0, size = 0n, mtimeSeconds = 0n } = fields;
  const { linkName, user, group, device } = fields;
  const octal = (value: number | bigint, offset: number, digits: number): void => {
    header.write(value.toString(8).padStart(digits, '0'), offset, 'latin1');
  };
  header.set(name, 0);
  octal(mode, 100, 7);
  octal(uid, 108, 7);
  octal(gid, 116, 7);
  octal(size, 124, 11);
  octal(mtimeSeconds, 136, 11);
  header.fill(0x20, 148, 156);
  header.write(flag, 156, 'latin1');
  header.set(linkName ?? nothing, 157);
  header.write('ustar\x0000', 257, 'latin1');
  header.set(user ?? nothing, 265);
  header.set(group ?? nothing, 297);
  if (device !== undefined) {
    octal(Math.min(device.major, smallMax), 329, 7);
    octal(Math.min(device.minor, smallMax), 337, 7);
  }
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return new Uint8Array(header.buffer, header.byteOffset, header.length);
}

/** Nothing where the ustar header says it all. */
function paxRecords(entry: ArchiveEntry): Uint8Array {
  const { name, node, attributes } = entry;
  const { owner, ownerNames, mtime, device } = node;
  const values: [key: string, value: Uint8Array][] = [];
  const addText = (key: string, value: Uint8Array, sizeMax: number): void => {
    if (value.length > sizeMax || !isAscii(value)) values.push([key, value]);
  };
  const addNumber = (key: string, value: number | bigint, max: number | bigint): void => {
    if (value > max) values.push([key, encodeUtf8(String(value))]);
  };
  addText('path', name, nameSizeMax);
  addText('linkpath', linkNameOf(entry), nameSizeMax);
  addText('uname', ownerNames?.user ?? nothing, ownerNameSizeMax);
  addText('gname', ownerNames?.group ?? nothing, ownerNameSizeMax);
  addNumber('uid', owner?.uid ?? 0, smallMax);
  addNumber('gid', owner?.gid ?? 0, smallMax);
  addNumber('size', tarContentSize(entry), largeMax);
  addNumber('SCHILY.devmajor', device?.major ?? 0, smallMax);
  addNumber('SCHILY.devminor', device?.minor ?? 0, smallMax);
  if (mtime !== undefined && !isPlainTime(mtime))
    values.push(['mtime', encodeUtf8(decimal(mtime))]);
  const isText = values.every(([, value]) => decodeUtf8(value) !== undefined);
  const charset: typeof values = isText ? [] : [['hdrcharset', encodeUtf8('BINARY')]];
  const records = [...charset, ...values].map(([key, value]) => paxRecord(encodeUtf8(key), value));
  return concatBytes(...records, ...attributes.map(attributeRecord));
}

/** Values of attributes are bytes to all who know them. `=` ends a key, and is written as GNU tar does. */
function attributeRecord([name, value]: Attribute): Uint8Array {
  const key = Buffer.from(name).toString('latin1').replaceAll('%', '%25').replaceAll('=', '%3D');
  return paxRecord(Buffer.from(`SCHILY.xattr.${key}`, 'latin1'), value);
}

function paxRecord(key: Uint8Array, value: Uint8Array): Uint8Array {
  const size = key.length + value.length + 3; // A space, the sign, and the line end.
  let length = size + String(size).length;
  if (String(length).length > String(size).length) length += 1;
  const [start, sign, end] = [encodeUtf8(`${length} `), encodeUtf8('='), encodeUtf8('\n')];
  return concatBytes(start, key, sign, value, end);
}

function isPlainTime({ seconds, nanoseconds }: NonNullable<Node['mtime']>): boolean {
  return nanoseconds === 0 && seconds >= 0n && seconds <= largeMax;
}

/** Seconds since 1970 with all their decimals; before that, as a negative number. */
function decimal({ seconds, nanoseconds }: NonNullable<Node['mtime']>): string {
  const ns = seconds * 1_000_000_000n + BigInt(nanoseconds);
  const digits = String(ns < 0n ? -ns : ns).padStart(10, '0');
  const text = `${digits.slice(0, -9)}.${digits.slice(-9)}`.replace(/\.?0+$/, '');
  return ns < 0n ? `-${text}` : text;
}

function isAscii(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte < 0x80);
}
