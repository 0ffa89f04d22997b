/**
 * Writes zip files as office programs do: entries one behind the other, each deflated or as it is,
 * then the central directory. Without times, so that equal entries give equal bytes.
 */
import { crc32, deflateRawSync } from 'node:zlib';

export interface ZipEntry {
  /** ASCII. */
  name: string;
  bytes: Uint8Array;
  /** Kept as it is instead of deflated. */
  isStored?: boolean;
}

const localSignature = 0x04034b50;
const centralSignature = 0x02014b50;
const endSignature = 0x06054b50;
const versionNeeded = 20;
const methodDeflate = 8;
/** 1980-01-01, the first day there is in a zip file. */
const firstDay = 0x21;

export function zip(entries: readonly ZipEntry[]): Uint8Array {
  const parts: Uint8Array[] = [];
  const central: Uint8Array[] = [];
  let offset = 0;
  for (const entry of entries) {
    const content = entry.isStored ? entry.bytes : deflateRawSync(entry.bytes);
    const common = commonFields(entry, content.length);
    const name = Buffer.from(entry.name, 'ascii');
    const local = Buffer.concat([u32(localSignature), common, name]);
    central.push(u32(centralSignature), u16(versionNeeded), common, new Uint8Array(10));
    central.push(u32(offset), name);
    parts.push(local, content);
    offset += local.length + content.length;
  }
  const directory = Buffer.concat(central);
  const counts = [u16(entries.length), u16(entries.length)];
  const end = [u32(endSignature), u32(0), ...counts, u32(directory.length), u32(offset), u16(0)];
  return Buffer.concat([...parts, directory, ...end]);
}

/** From the version needed to the length of the extra field, alike in both headers. */
function commonFields({ name, bytes, isStored }: ZipEntry, contentSize: number): Uint8Array {
  return Buffer.concat([
    ...[u16(versionNeeded), u16(0), u16(isStored ? 0 : methodDeflate), u16(0), u16(firstDay)],
    ...[u32(crc32(bytes)), u32(contentSize), u32(bytes.length), u16(name.length), u16(0)],
  ]);
}

function u16(value: number): Uint8Array {
  return Uint8Array.of(value & 255, value >>> 8);
}

function u32(value: number): Uint8Array {
  return Uint8Array.of(value & 255, (value >>> 8) & 255, (value >>> 16) & 255, value >>> 24);
}
