/** Records of tar and zip archives, for what no test can write in whole: huge files, far offsets. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { ArchiveEntry } from '../../src/browse/dump/archive-entry.ts';
import { tarContentSize, tarEnd, tarHeader, tarPadding } from '../../src/browse/dump/tar.ts';
import {
  zipDescriptor,
  zipDirectoryRecord,
  zipEnd,
  zipLocalHeader,
} from '../../src/browse/dump/zip.ts';
import type { BlobId } from '../../src/id.ts';
import type { Node } from '../../src/tree/node.ts';
import { toHex } from '../../src/util/bytes.ts';
import { b } from '../helpers/raw-path.ts';
import { testSeed } from '../helpers/seeded-random.ts';

function entryOf(fields: Partial<Node>, entry: Partial<ArchiveEntry> = {}): ArchiveEntry {
  const node: Node = { name: b('name'), type: 'f', mode: 0o644, ...fields };
  return { name: b('name'), node, attributes: [], linkedTo: undefined, ...entry };
}

function fileOf(size: bigint): ArchiveEntry {
  const id = new Uint8Array(32).fill(1) as BlobId;
  return entryOf({ size, content: { kind: 'list', id, height: 1, length: size, chunks: 1n } });
}

/** Lines of the extended header, if there is one; their lengths must be right. */
function paxOf(header: Uint8Array): [key: string, value: Buffer][] {
  const bytes = Buffer.from(header);
  assert.equal(bytes.length % 512, 0);
  if (bytes.toString('latin1', 156, 157) !== 'x') return [];
  const end = 512 + Number.parseInt(bytes.toString('latin1', 124, 135), 8);
  const records: [string, Buffer][] = [];
  for (let offset = 512; offset < end; ) {
    const length = Number.parseInt(
      bytes.toString('latin1', offset, bytes.indexOf(' ', offset)),
      10,
    );
    const record = bytes.subarray(bytes.indexOf(' ', offset) + 1, offset + length);
    assert.equal(record.at(-1), 0x0a);
    const sign = record.indexOf('=');
    records.push([record.toString('latin1', 0, sign), record.subarray(sign + 1, -1)]);
    offset += length;
  }
  return records;
}

function ustarOf(header: Uint8Array): Buffer {
  return Buffer.from(header.subarray(header.length - 512));
}

test('tarHeader() of a plain entry is a ustar header, with its sum', () => {
  const owner = { uid: 1000, gid: 100 };
  const ownerNames = { user: b('alice'), group: b('users') };
  const mtime = { seconds: 1_700_000_000n, nanoseconds: 0 };

  const header = tarHeader({
    ...fileOf(5n),
    node: { ...fileOf(5n).node, owner, ownerNames, mtime },
  });

  assert.equal(header.length, 512);
  const text = Buffer.from(header).toString('latin1').replaceAll('\0', '.');
  assert.ok(
    text.startsWith(`name${'.'.repeat(96)}0000644.0001750.0000144.00000000005.14524770400.`),
  );
  assert.equal(text.slice(156, 157), '0');
  assert.equal(text.slice(257, 303), `ustar.00alice${'.'.repeat(27)}users.`);
  const sum = header.reduce((total, byte, i) => total + (i >= 148 && i < 156 ? 0x20 : byte), 0);
  assert.equal(text.slice(148, 156), `${sum.toString(8).padStart(6, '0')}. `);
});

test('tarHeader() says in an extended header what does not fit', () => {
  const long = 'n'.repeat(101);
  const size = 2n ** 40n;
  const { node } = fileOf(size);
  const owner = { uid: 3_000_000, gid: 0 };

  const header = tarHeader({ ...fileOf(size), name: b(long), node: { ...node, owner } });
  const link = tarHeader(entryOf({ type: 'l', target: b('t'.repeat(200)) }));
  const device = tarHeader(entryOf({ type: 'b', device: { major: 3_000_000, minor: 1 } }));

  const records = new Map(paxOf(header).map(([key, value]) => [key, value.toString()]));
  assert.deepEqual(
    records,
    new Map([
      ['path', long],
      ['uid', '3000000'],
      ['size', String(size)],
    ]),
  );
  assert.equal(ustarOf(header).toString('latin1', 0, 101), `${'n'.repeat(100)}0`);
  assert.deepEqual(paxOf(link), [['linkpath', Buffer.from('t'.repeat(200))]]);
  assert.deepEqual(paxOf(device), [['SCHILY.devmajor', Buffer.from('3000000')]]);
});

test('tarHeader() tells times to the nanosecond, before 1970 too', () => {
  const told = (seconds: bigint, nanoseconds: number) =>
    paxOf(tarHeader(entryOf({ mtime: { seconds, nanoseconds } })))[0]?.[1].toString();

  assert.equal(told(1_700_000_000n, 123_456_789), '1700000000.123456789');
  assert.equal(told(10n, 500_000_000), '10.5');
  assert.equal(told(0n, 1), '0.000000001');
  assert.equal(told(-2n, 500_000_000), '-1.5');
  assert.equal(told(-1n, 999_999_999), '-0.000000001');
  assert.equal(told(-100n, 0), '-100');
  assert.equal(told(2n ** 40n, 0), '1099511627776');
  assert.equal(told(100n, 0), undefined);
});

test('tarHeader() keeps names that are no UTF-8, and attributes, as they are', () => {
  const raw = Buffer.from('a\xff', 'latin1');
  const attributes = [[b('user.a=b%'), Uint8Array.of(0, 10, 255)]] as const;

  const named = paxOf(tarHeader(entryOf({}, { name: raw })));
  const attributed = paxOf(tarHeader(entryOf({}, { attributes })));

  assert.deepEqual(named, [
    ['hdrcharset', Buffer.from('BINARY')],
    ['path', raw],
  ]);
  assert.deepEqual(attributed, [['SCHILY.xattr.user.a%3Db%25', Buffer.of(0, 10, 255)]]);
});

test('tarHeader() gives every extended line its own length', () => {
  const property = fc.property(fc.integer({ min: 101, max: 12_000 }), (length) => {
    const name = b('x'.repeat(length));

    const records = paxOf(tarHeader(entryOf({}, { name })));

    assert.deepEqual(records, [['path', Buffer.from(name)]]);
  });
  const around = [[989], [990], [991], [992], [993], [9987], [9988], [9989], [9990], [9991]];
  fc.assert(property, { seed: testSeed, numRuns: 200, examples: around as [number][] });
});

test('a tar archive is filled to whole blocks, and at its end to whole records', () => {
  assert.equal(tarPadding(0n).length, 0);
  assert.equal(tarPadding(1n).length, 511);
  assert.equal(tarPadding(512n).length, 0);
  assert.equal(tarPadding(2n ** 40n + 513n).length, 511);
  for (const size of [0n, 512n, 9216n, 9728n, 10_240n, 10_752n]) {
    const end = tarEnd(size);
    assert.ok(end.length >= 1024 && end.length < 1024 + 10_240);
    assert.equal((size + BigInt(end.length)) % 10_240n, 0n);
  }
  assert.equal(tarContentSize(entryOf({ size: 5n }, { linkedTo: b('first') })), 0n);
});

/** The value of an extra field. */
function extraOf(record: Uint8Array, start: number, id: number): string | undefined {
  const bytes = Buffer.from(record);
  for (let offset = start; offset < bytes.length; offset += 4 + bytes.readUInt16LE(offset + 2)) {
    const end = offset + 4 + bytes.readUInt16LE(offset + 2);
    if (bytes.readUInt16LE(offset) === id) return toHex(bytes.subarray(offset + 4, end));
  }
  return undefined;
}

test('zip records of a large file have its sizes in zip64 fields', () => {
  const entry = fileOf(2n ** 32n);
  const content = { crc: 0x11223344, size: 2n ** 32n, storedSize: 0x0102_0304_0506n };

  const local = Buffer.from(zipLocalHeader(entry, content));
  const descriptor = Buffer.from(zipDescriptor(entry, content));
  const record = Buffer.from(zipDirectoryRecord(entry, content, 2n ** 33n));

  assert.equal(local.readUInt16LE(4), 45);
  assert.equal(local.toString('hex', 18, 26), 'ff'.repeat(8));
  assert.equal(extraOf(local, 34, 1), '00'.repeat(16));
  assert.equal(
    descriptor.toString('hex'),
    '504b0708' + '44332211' + '0605040302010000' + '0000000001000000',
  );
  assert.equal(record.toString('hex', 20, 28), 'ff'.repeat(8));
  assert.equal(record.toString('hex', 42, 46), 'ffffffff');
  assert.equal(
    extraOf(record, 50, 1),
    '0000000001000000' + '0605040302010000' + '0000000002000000',
  );
});

test('zip records of a small file far behind have nothing but its offset in a zip64 field', () => {
  const entry = fileOf(5n);
  const content = { crc: 1, size: 5n, storedSize: 7n };

  const local = Buffer.from(zipLocalHeader(entry, content));
  const record = Buffer.from(zipDirectoryRecord(entry, content, 2n ** 32n));

  assert.equal(local.readUInt16LE(4), 20);
  assert.equal(extraOf(local, 34, 1), undefined);
  assert.equal(extraOf(record, 50, 1), '0000000001000000');
  assert.equal(record.readUInt32LE(20), 7);
});

test('zip tells the time in UTC as far as 32 bits go, and owners', () => {
  const record = (seconds: bigint) =>
    zipDirectoryRecord(
      entryOf({ mtime: { seconds, nanoseconds: 0 }, owner: { uid: 1000, gid: 2 ** 31 } }),
      { crc: 0, size: 0n, storedSize: 0n },
      0n,
    );

  assert.equal(extraOf(record(1_700_000_000n), 50, 0x5455), '0100f15365');
  assert.equal(extraOf(record(-1n), 50, 0x5455), '01ffffffff');
  assert.equal(extraOf(record(2n ** 31n), 50, 0x5455), undefined);
  assert.equal(extraOf(record(0n), 50, 0x7875), '0104e80300000400000080');
});

test('zipEnd() adds zip64 records when numbers are too large', () => {
  const small = Buffer.from(zipEnd({ count: 65_534, size: 10n, offset: 20n }));
  const many = Buffer.from(zipEnd({ count: 65_535, size: 10n, offset: 20n }));

  assert.equal(small.length, 22);
  assert.equal(small.readUInt16LE(10), 65_534);
  assert.equal(many.length, 56 + 20 + 22);
  assert.equal(many.readUInt16LE(56 + 20 + 10), 0xffff);
  assert.equal(many.readBigUInt64LE(32), 65_535n);
  assert.equal(many.readBigUInt64LE(48), 20n);
  assert.equal(many.readBigUInt64LE(56 + 8), 30n);
});
