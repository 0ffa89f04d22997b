/** Damaged and transplanted packs: whatever was changed, some layer refuses to hand out a plaintext. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { createBlobIdentifier } from '../../src/blob/blob-ids.ts';
import { BLOB_TYPE } from '../../src/blob/blob-type.ts';
import { FrameBuilder } from '../../src/frame/frame-builder.ts';
import { KEY_CLASS } from '../../src/keys/key-hierarchy.ts';
import { PackBuilder } from '../../src/pack/pack-builder.ts';
import { openPack } from '../../src/pack/pack-reader.ts';
import { OBJECT_KIND } from '../../src/record/object-kind.ts';
import { concatBytes, equalBytes, toHex } from '../../src/util/bytes.ts';
import { ZstdCodec } from '../../src/util/zstd.ts';
import {
  assertRefused,
  assertTooNew,
  forEachBitFlip,
  forEachCut,
} from '../helpers/damaged-bytes.ts';
import {
  goldenFrames,
  goldenPackBytes,
  goldenPlaintexts,
  openGoldenPack,
} from '../helpers/golden-pack.ts';
import { makeHostilePack, openUnderOwnName, readEveryBlob } from '../helpers/hostile-pack.ts';
import { seededRandom } from '../helpers/seeded-random.ts';
import { counting, deriveTestKeys, testKeys, testSalt } from '../helpers/test-keys.ts';

test('makeHostilePack() without changes writes the golden pack', () => {
  const bytes = makeHostilePack({ frames: goldenFrames() });

  assert.equal(toHex(bytes), toHex(goldenPackBytes));
  assert.deepEqual(readEveryBlob(bytes), new Map(goldenPlaintexts));
});

test('openPack() refuses every flipped bit by the name alone', () => {
  const { name } = openGoldenPack().record;
  const kind = OBJECT_KIND.metadataPack;

  forEachBitFlip(goldenPackBytes, (bytes, { offset, bit }) => {
    if (bit !== offset % 8) return; // the layers behind see every bit, below
    assertRefused(() => openPack(testKeys, { name, kind, bytes }), /differs from the name/);
  });
});

test('every flipped bit is refused behind the name too', () => {
  forEachBitFlip(goldenPackBytes, (bytes, { offset, bit }) => {
    assertRefused(() => readEveryBlob(bytes), `byte ${offset} bit ${bit}`);
  });
});

test('every truncation and extension is refused behind the name too', () => {
  forEachCut(goldenPackBytes, (cut) => {
    assertRefused(() => readEveryBlob(cut), `cut to ${cut.length}`);
  });
  for (const extra of [1, 32, 2432]) {
    const front = concatBytes(new Uint8Array(extra), goldenPackBytes);
    const behind = concatBytes(goldenPackBytes, new Uint8Array(extra));
    assertRefused(() => readEveryBlob(front), `${extra} bytes in front`);
    assertRefused(() => readEveryBlob(behind), `${extra} bytes behind`);
  }
});

test('a flipped bit is refused by the layer it hits', () => {
  const layers: [number, RegExp][] = [
    [0, /header copy/],
    [63, /header copy/],
    [64, /authentication tag/],
    [893, /authentication tag/],
    [1544, /authentication tag/], // the pad frame
    [1680, /authentication tag/], // the directory
    [goldenPackBytes.length - 96, /trailer check sum/],
    [goldenPackBytes.length - 1, /trailer check sum/],
  ];
  for (const [offset, message] of layers) {
    const bytes = new Uint8Array(goldenPackBytes);
    bytes[offset] = (bytes[offset] as number) ^ 1;
    assertRefused(() => readEveryBlob(bytes), message);
  }
});

/** Changes both header copies and mends the trailer's check sum, as anybody without keys can. */
function editHeaders(edit: (header: Uint8Array) => void): Uint8Array {
  const bytes = new Uint8Array(goldenPackBytes);
  const trailer = bytes.subarray(bytes.length - 96);
  edit(bytes.subarray(0, 64));
  edit(trailer.subarray(0, 64));
  trailer.set(createHash('sha256').update(trailer.subarray(0, 88)).digest().subarray(0, 8), 88);
  return bytes;
}

test('every bit of the header is refused when both copies agree on it', () => {
  const header = goldenPackBytes.subarray(0, 64);
  forEachBitFlip(header, (flipped, { offset, bit }) => {
    const bytes = editHeaders((copy) => copy.set(flipped));
    const label = `header byte ${offset} bit ${bit}`;
    const isLaterMajor = offset === 8 && bit > 0;
    if (isLaterMajor) assertTooNew(() => readEveryBlob(bytes), label);
    else assertRefused(() => readEveryBlob(bytes), label);
  });
});

test('a forged directory length or pack length is refused', () => {
  for (const offset of [64, 65, 66, 67, 68, 72, 73, 76, 80]) {
    for (let bit = 0; bit < 8; bit++) {
      const flip = (start: Uint8Array): void => {
        start[offset] = (start[offset] as number) ^ (1 << bit);
      };
      const bytes = makeHostilePack({ frames: goldenFrames(), editTrailer: flip });
      assertRefused(() => readEveryBlob(bytes), `trailer byte ${offset} bit ${bit}`);
    }
  }
});

test('a pack of another kind, repository or key is refused', () => {
  const asDataPack = { kind: OBJECT_KIND.dataPack };
  const otherRepository = { keys: deriveTestKeys({ repositoryId: 0x41 }) };
  const otherSecret = { keys: deriveTestKeys({ rootSecret: 1 }) };
  const otherIds = { keys: deriveTestKeys({ dedupSecret: 0x21 }) };

  assertRefused(() => readEveryBlob(goldenPackBytes, asDataPack), /object kind 2/);
  assertRefused(() => readEveryBlob(goldenPackBytes, otherRepository), /header authentication/);
  assertRefused(() => readEveryBlob(goldenPackBytes, otherSecret), /header authentication/);
  assertRefused(() => readEveryBlob(goldenPackBytes, otherIds), /another id/);
});

test('a pack whose kind byte is changed under a right header is refused', () => {
  const dataFrames = goldenFrames().slice(0, 3);
  const bytes = makeHostilePack({ frames: dataFrames, kind: OBJECT_KIND.dataPack });
  const asMetadata = new Uint8Array(bytes);
  const trailer = asMetadata.subarray(bytes.length - 96);
  const header = makeHostilePack({ frames: dataFrames }).subarray(0, 64);
  asMetadata.set(header, 0);
  trailer.set(header, 0);
  trailer.set(createHash('sha256').update(trailer.subarray(0, 88)).digest().subarray(0, 8), 88);

  readEveryBlob(bytes, { kind: OBJECT_KIND.dataPack });

  assertRefused(() => readEveryBlob(asMetadata), /authentication tag/);
});

test('sections of a pack with other salt, kind, repository or keys cannot be put in', () => {
  const frames = goldenFrames().slice(0, 3);
  const kind = OBJECT_KIND.dataPack;
  const bytes = makeHostilePack({ frames, kind });
  const others = {
    salt: makeHostilePack({ frames, kind, salt: counting(0x61) }),
    kind: makeHostilePack({ frames }),
    repository: makeHostilePack({ frames, kind, keys: deriveTestKeys({ repositoryId: 0x41 }) }),
    secret: makeHostilePack({ frames, kind, keys: deriveTestKeys({ rootSecret: 1 }) }),
  };
  const { directory } = openUnderOwnName(bytes, { kind });
  const sections = directory.frames.map((frame) => [frame.offset, frame.storedSize]);
  const pad = directory.frames.at(-1) as { offset: number; storedSize: number };
  const directoryOffset = pad.offset + pad.storedSize;
  sections.push([directoryOffset, bytes.length - 96 - directoryOffset]);

  for (const [what, other] of Object.entries(others)) {
    assert.equal(other.length, bytes.length);
    for (const [offset = 0, size = 0] of sections) {
      const spliced = new Uint8Array(bytes);
      spliced.set(other.subarray(offset, offset + size), offset);
      assertRefused(() => readEveryBlob(spliced, { kind }), /authentication tag/);
      assert(!equalBytes(spliced, bytes), `${what} at ${offset}`);
    }
  }
});

test('frames of equal size cannot be swapped or repeated within a pack', () => {
  const random = seededRandom();
  const [template] = goldenFrames();
  assert(template);
  const identify = createBlobIdentifier(testKeys.blobId);
  const makeFrame = () => {
    const content = random.bytes(100);
    const id = identify(BLOB_TYPE.data, content);
    const record = { ...template.record, storedSize: 116, rawSize: 100, blobCount: 1 };
    return { record, content, blobs: [{ id, rawSize: 100, type: BLOB_TYPE.data }] };
  };
  const bytes = makeHostilePack({ frames: [makeFrame(), makeFrame()] });
  const first = bytes.slice(64, 180);
  const second = bytes.slice(180, 296);
  const swapped = new Uint8Array(bytes);
  const repeated = new Uint8Array(bytes);
  swapped.set(second, 64);
  swapped.set(first, 180);
  repeated.set(first, 180);

  readEveryBlob(bytes);

  assertRefused(() => readEveryBlob(swapped), /authentication tag/);
  assertRefused(() => readEveryBlob(repeated), /authentication tag/);
});

/** A finished pack of two frames, with a chance to damage memory at one step of its making. */
function buildPack(damage: {
  plaintext?: (bytes: Uint8Array) => void;
  content?: (bytes: Uint8Array) => void;
  pack?: (bytes: Uint8Array) => void;
}): Uint8Array {
  const identify = createBlobIdentifier(testKeys.blobId);
  const codec = new ZstdCodec();
  const frames = new FrameBuilder(KEY_CLASS.data);
  const builder = new PackBuilder({
    keys: testKeys,
    kind: OBJECT_KIND.dataPack,
    newSalt: () => testSalt,
    sessionId: '0'.repeat(32),
    writerId: '0'.repeat(32),
    createdMs: 0,
    sizeTarget: 2 ** 24,
  });
  const texts = [
    goldenPlaintexts.values().next().value as Uint8Array,
    new Uint8Array(5000).fill(9),
  ];
  for (const text of texts) {
    const plaintext = new Uint8Array(text);
    const id = identify(BLOB_TYPE.data, plaintext);
    damage.plaintext?.(plaintext);
    frames.add({ id, rawSize: plaintext.length, type: BLOB_TYPE.data }, plaintext);
    const frame = frames.finish(codec, 3);
    damage.content?.(frame.content);
    builder.append(frame);
  }
  const { bytes } = builder.finish();
  damage.pack?.(bytes);
  return bytes;
}

test('a bit that flips in memory before or after sealing is caught before upload (I03)', () => {
  const flipAt = (position: number, bit: number) => (bytes: Uint8Array) => {
    const offset = position % bytes.length;
    bytes[offset] = (bytes[offset] as number) ^ (1 << bit);
  };
  const read = (bytes: Uint8Array) => readEveryBlob(bytes, { kind: OBJECT_KIND.dataPack });

  assert.equal(read(buildPack({})).size, 2);
  for (let bit = 0; bit < 8; bit++) {
    for (const position of [0, 1, 5, 1000]) {
      const flip = flipAt(position, bit);
      assertRefused(() => read(buildPack({ plaintext: flip })), 'between hash and compression');
      assertRefused(() => read(buildPack({ content: flip })), 'between compression and seal');
      assertRefused(() => read(buildPack({ pack: flip })), 'after the seal');
    }
  }
});
