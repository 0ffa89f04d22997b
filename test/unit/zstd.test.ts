/** zstd as the format allows it: what `checkZstdFrame` refuses, and that every level comes back. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import binding from 'zstd-napi/binding.js';
import { bufferOf, concatBytes, encodeUtf8, fromHex } from '../../src/util/bytes.ts';
import { checkZstdFrame, ZSTD_WINDOW_MAX, ZstdCodec } from '../../src/util/zstd.ts';
import { assertRefused, forEachBitFlip, forEachCut } from '../helpers/damaged-bytes.ts';
import { seededRandom } from '../helpers/seeded-random.ts';

const codec = new ZstdCodec();
const MAGIC = '28b52ffd';
/** A last raw block of one byte, and a last RLE block of `a` x 300. */
const RAW_BLOCK = '090000' + '61';
const RLE_BLOCK = '630900' + '61';

function compress(plaintext: Uint8Array, level = 3, base?: Uint8Array): Uint8Array {
  return Uint8Array.from(codec.compress(plaintext, level, base));
}

/** Repeats lines with numbers in them, so that there is something to find. */
function textOf(size: number): Uint8Array {
  let text = '';
  for (let i = 0; text.length < size; i++) text += `line ${i} of ${(i * i) % 97}\n`;
  return encodeUtf8(text.slice(0, size));
}

test('checkZstdFrame() reads the content size in every width', () => {
  const frames: [number, string][] = [
    [1, `${MAGIC}2001${RAW_BLOCK}`], // single segment, 1 byte
    [300, `${MAGIC}602c00${RLE_BLOCK}`], // single segment, 2 bytes, 256 less
    [300, `${MAGIC}40002c00${RLE_BLOCK}`], // window, 2 bytes
    [300, `${MAGIC}80002c010000${RLE_BLOCK}`], // window, 4 bytes
    [300, `${MAGIC}c0002c01000000000000${RLE_BLOCK}`], // window, 8 bytes
    [300, `${MAGIC}a02c010000${RLE_BLOCK}`], // single segment, 4 bytes
    [1, `${MAGIC}2001000000${RAW_BLOCK}`], // an empty block first
  ];

  for (const [size, hex] of frames) {
    const frame = fromHex(hex);
    assert.equal(checkZstdFrame(frame), size, hex);
    assert.deepEqual(codec.decompress(frame, size), new Uint8Array(size).fill(0x61), hex);
  }
});

test('checkZstdFrame() takes frames with and without a check sum', () => {
  const plaintext = textOf(1000);
  const context = new binding.CCtx();
  context.setParameter(binding.CParameter.checksumFlag, 1);
  const target = Buffer.alloc(2000);
  const frame = target.subarray(0, context.compress2(target, bufferOf(plaintext)));

  assert.equal(checkZstdFrame(frame), 1000);
  assert.deepEqual(codec.decompress(frame, 1000), plaintext);
  frame[frame.length - 1] = (frame[frame.length - 1] as number) ^ 1;
  assertRefused(() => codec.decompress(frame, 1000), /^zstd/);
});

test('decompressInto() fills memory of the caller, and no other size', () => {
  const plaintext = textOf(1000);
  const frame = compress(plaintext);
  const memory = new Uint8Array(1200).fill(7);

  codec.decompressInto(memory.subarray(100, 1100), frame);

  assert.deepEqual(memory.subarray(100, 1100), plaintext);
  assert.deepEqual(memory.subarray(0, 100), new Uint8Array(100).fill(7));
  assert.deepEqual(memory.subarray(1100), new Uint8Array(100).fill(7));
  for (const size of [0, 999, 1001]) {
    assertRefused(() => codec.decompressInto(memory.subarray(0, size), frame), /^zstd/);
  }
});

test('checkZstdFrame() refuses what the format does not allow (I21)', () => {
  const refused: [RegExp, string, string][] = [
    [/zstd magic/, 'nothing', ''],
    [/zstd magic/, 'magic alone', MAGIC],
    [/zstd magic/, 'skippable frame', '502a4d180400000000000000'],
    [/zstd magic/, 'old format', `27b52ffd2001${RAW_BLOCK}`],
    [/dictionary id/, 'dictionary id of 1 byte', `${MAGIC}210501${RAW_BLOCK}`],
    [/dictionary id/, 'dictionary id of 2 bytes', `${MAGIC}22050001${RAW_BLOCK}`],
    [/dictionary id/, 'dictionary id of 4 bytes', `${MAGIC}230500000001${RAW_BLOCK}`],
    [/reserved bit/, 'reserved bit', `${MAGIC}2801${RAW_BLOCK}`],
    [/content size missing/, 'no content size', `${MAGIC}0000${RAW_BLOCK}`],
    [/content size missing/, 'content size cut', `${MAGIC}c0000000`],
    [/window/, 'window of 2^25 + 1/8', `${MAGIC}40792c00${RLE_BLOCK}`],
    [/window/, 'window of 2^26', `${MAGIC}40802c00${RLE_BLOCK}`],
    [/window/, 'largest window', `${MAGIC}40ff2c00${RLE_BLOCK}`],
    [/window/, 'single segment of 2^25 + 1', `${MAGIC}a001000002${RLE_BLOCK}`],
    [/window/, 'single segment of 2^63', `${MAGIC}e00000000000000080${RLE_BLOCK}`],
    [/cut short/, 'no block', `${MAGIC}2001`],
    [/cut short/, 'block header cut', `${MAGIC}20010900`],
    [/cut short/, 'no last block', `${MAGIC}200108000061`],
    [/block type/, 'reserved block type', `${MAGIC}20010f000061`],
    [/exactly one/, 'block content cut', `${MAGIC}2001090000`],
    [/exactly one/, 'byte behind', `${MAGIC}2001${RAW_BLOCK}00`],
    [/exactly one/, 'frame behind', `${MAGIC}2001${RAW_BLOCK}${MAGIC}2001${RAW_BLOCK}`],
    [/exactly one/, 'skippable frame behind', `${MAGIC}2001${RAW_BLOCK}502a4d1800000000`],
    [/exactly one/, 'check sum missing', `${MAGIC}2401${RAW_BLOCK}`],
    [/exactly one/, 'check sum cut', `${MAGIC}2401${RAW_BLOCK}000000`],
    [/exactly one/, 'check sum not announced', `${MAGIC}2001${RAW_BLOCK}00000000`],
    [/exactly one/, 'block beyond the end', `${MAGIC}2001f9ffff61`],
  ];

  for (const [message, label, hex] of refused) {
    assertRefused(() => checkZstdFrame(fromHex(hex)), message);
    assertRefused(() => codec.decompress(fromHex(hex), 1), label);
  }
  assert.equal(checkZstdFrame(fromHex(`${MAGIC}40782c00${RLE_BLOCK}`)), 300); // 2^25 itself
  assert.equal(checkZstdFrame(fromHex(`${MAGIC}a000000002${RLE_BLOCK}`)), ZSTD_WINDOW_MAX);
});

test('decompress() refuses frames that lie about their content', () => {
  const liars: [string, number][] = [
    [`${MAGIC}2002${RAW_BLOCK}`, 2], // says 2, holds 1
    [`${MAGIC}2000${RAW_BLOCK}`, 0], // says 0, holds 1
    [`${MAGIC}602b00${RLE_BLOCK}`, 299],
    [`${MAGIC}602d00${RLE_BLOCK}`, 301],
    [`${MAGIC}20011500006161`, 1], // compressed block of rubbish
  ];

  for (const [hex, size] of liars) {
    assert.equal(checkZstdFrame(fromHex(hex)), size);
    assertRefused(() => codec.decompress(fromHex(hex), size), /^zstd/);
  }
  for (const size of [0, 2, 2 ** 30, 2 ** 53 - 1]) {
    const frame = fromHex(`${MAGIC}2001${RAW_BLOCK}`);
    assertRefused(() => codec.decompress(frame, size), /content size differs/);
  }
});

test('decompress() survives every flipped bit and cut of a frame', () => {
  const plaintext = textOf(3000);
  const frame = compress(plaintext);

  forEachCut(frame, (cut) => assertRefused(() => codec.decompress(cut, 3000), 'cut'));
  forEachBitFlip(frame, (flipped) => {
    try {
      assert.equal(codec.decompress(flipped, 3000).length, 3000);
    } catch (error) {
      assert.equal((error as Error).name, 'Malformed');
    }
  });
  assert.deepEqual(codec.decompress(frame, 3000), plaintext);
});

const random = seededRandom();
const kinds: Record<string, (size: number) => Uint8Array> = {
  zeros: (size) => new Uint8Array(size),
  text: textOf,
  random: (size) => random.bytes(size),
  'one byte in random': (size) => random.bytes(size).map((byte) => (byte < 250 ? 7 : byte)),
  periodic: (size) => Uint8Array.from({ length: size }, (_, i) => i % 251),
  'random, repeated': (size) => {
    const half = random.bytes(Math.ceil(size / 2));
    return concatBytes(half, half).subarray(0, size);
  },
};

for (const [kind, make] of Object.entries(kinds)) {
  test(`every level brings back ${kind} of every size, alone and as a delta (I02)`, () => {
    const sizes = [1, 2, 7, 8, 9, 255, 256, 257, 1000, 4096, 65_791, 65_792, 131_072, 131_073];
    for (const size of sizes) {
      const plaintext = make(size);
      const base = concatBytes(plaintext.subarray(size >> 2), encodeUtf8('end of the base'));
      for (let level = 1; level <= 19; level++) {
        // The slow levels take milliseconds even for small inputs; a few sizes do for them.
        if (level > 9 && size > 4096 && size !== 131_073) continue;
        const frame = compress(plaintext, level);
        const delta = compress(plaintext, level, base);

        assert.equal(checkZstdFrame(frame), size);
        assert.equal(checkZstdFrame(delta), size);
        assert.deepEqual(codec.decompress(frame, size), plaintext, `${size} at ${level}`);
        assert.deepEqual(codec.decompress(delta, size, base), plaintext, `${size} at ${level}`);
      }
    }
  });
}

test('an empty plaintext is a frame like any other', () => {
  const frame = compress(new Uint8Array(0));

  assert.equal(checkZstdFrame(frame), 0);
  assert.equal(codec.decompress(frame, 0).length, 0);
});

test('a base that begins with the dictionary magic is taken as content (I18)', () => {
  const base = concatBytes(fromHex('37a430ec'), textOf(2000));
  const plaintext = concatBytes(base.subarray(0, 1500), encodeUtf8('changed'));

  const frame = compress(plaintext, 3, base);

  assert(frame.length < 100, 'the base was used');
  assert.equal(checkZstdFrame(frame), plaintext.length);
  assert.deepEqual(codec.decompress(frame, plaintext.length, base), plaintext);
  const withZero = concatBytes(Uint8Array.of(0), base);
  assert.deepEqual(codec.decompress(frame, plaintext.length, withZero), plaintext, 'the rule');
});

test('bases of every small size are taken, with and without the dictionary magic', () => {
  const plaintext = textOf(500);
  for (const start of ['37a430ec', '37a430ed', '61626364']) {
    for (let size = 0; size <= 24; size++) {
      const base = concatBytes(fromHex(start), textOf(20)).subarray(0, size);
      const frame = compress(plaintext, 3, base);
      assert.deepEqual(codec.decompress(frame, 500, base), plaintext, `${start} ${size}`);
    }
  }
});

test('decompress() with a wrong base gives other bytes or an error, never the right ones', () => {
  const base = seededRandom(1).bytes(5000);
  const plaintext = concatBytes(base.subarray(100, 4000), encodeUtf8('changed'));
  const frame = compress(plaintext, 3, base);
  const wrong = [
    undefined,
    new Uint8Array(0),
    base.subarray(0, -1),
    concatBytes(base, base.subarray(0, 1)),
    seededRandom(2).bytes(5000),
  ];

  for (const other of wrong) {
    let found: Uint8Array | undefined;
    try {
      found = codec.decompress(frame, plaintext.length, other);
    } catch (error) {
      assert.equal((error as Error).name, 'Malformed');
    }
    assert.notDeepEqual(found, plaintext);
  }
});

test('compress() gives a view that the next call reuses, decompress() a new array', () => {
  const first = codec.compress(textOf(1000), 3);
  const copy = Uint8Array.from(first);
  const content = codec.decompress(copy, 1000);
  codec.compress(seededRandom().bytes(1000), 3);

  assert.notDeepEqual(Uint8Array.from(first), copy);
  assert.deepEqual(codec.decompress(copy, 1000), content);
  assert.equal(content.byteLength, content.buffer.byteLength);
});
