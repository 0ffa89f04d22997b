/** The golden vectors of the format against keys, ids, headers, packs, records, slots and config. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createBlobIdentifier } from '../../src/blob/blob-ids.ts';
import type { BlobType } from '../../src/blob/blob-type.ts';
import type { EncodedFrame } from '../../src/frame/frame-builder.ts';
import { FRAME_KIND, type FrameClass, type FrameKind } from '../../src/frame/frame-record.ts';
import type { BlobId, PackName, RepositoryId } from '../../src/id.ts';
import {
  deriveKeys,
  deriveObjectKey,
  KEY_CLASS,
  type RepositoryKeys,
} from '../../src/keys/key-hierarchy.ts';
import { openKeySlot, sealKeySlot } from '../../src/keys/key-slot.ts';
import { PackBuilder } from '../../src/pack/pack-builder.ts';
import { openFrameOf, openPack, verifyPack } from '../../src/pack/pack-reader.ts';
import { parseCanonical } from '../../src/record/canonical-json.ts';
import { encodeConfigClear, parseConfig, parseConfigClear } from '../../src/record/config.ts';
import { encodeHeader } from '../../src/record/header.ts';
import { encodeKeyRing, parseKeyRing } from '../../src/record/key-ring.ts';
import { OBJECT_KIND } from '../../src/record/object-kind.ts';
import { openObject, sealParts } from '../../src/record/sealed-object.ts';
import { encodeFence, parseFence } from '../../src/record/session-records.ts';
import { DEFAULT_CONFIG } from '../../src/repository/default-config.ts';
import { concatBytes, encodeU64, encodeUtf8, fromHex, toHex } from '../../src/util/bytes.ts';
import { padme } from '../../src/util/padme.ts';
import { ZstdCodec } from '../../src/util/zstd.ts';
import { readVectors } from '../helpers/vectors.ts';

interface FrameVector {
  offset: number;
  stored_len: number;
  raw_len: number;
  kind: number;
  class: number;
  blobs: {
    id: string;
    raw_len: number;
    type: number;
    enc_len?: number;
    base?: string;
    depth?: number;
    features?: string[];
  }[];
}

interface FormatVectors {
  keys: Record<string, string>;
  blob_ids: Record<string, string>;
  padme: Record<string, number>;
  header_kind2: string;
  pack_kind2: {
    length: number;
    name: string;
    frames: FrameVector[];
    directory: string;
    file: string;
  };
  blobs: Record<string, { type: number; plain: string }>;
  snapshot: { name: string; payload: string; file: string };
  fence: { name: string; file: string };
  key_slot: { passphrase: string; file: string; ring: string };
  config: { file: string };
}

const vectors = readVectors('format-vectors.json') as FormatVectors;
const counting = (first: number, count: number): Uint8Array =>
  Uint8Array.from({ length: count }, (_, i) => first + i);

const keys: RepositoryKeys = deriveKeys({
  repositoryId: counting(0x40, 32) as RepositoryId,
  dedupSecret: counting(0x20, 32),
  generations: [{ number: 0, rootSecret: counting(0, 32) }],
  current: 0,
});
const salt = counting(0x60, 32);

test('deriveKeys() gives the keys of the vectors', () => {
  const { current, blobId } = keys;
  const derived: Record<string, Uint8Array | undefined> = {
    enc_data: current.encryption[0],
    enc_metadata: current.encryption[1],
    enc_control: current.encryption[2],
    header_mac: current.headerMac,
    salt_hedge: current.saltHedge,
    id_data: blobId[1],
    id_tree: blobId[2],
    id_list: blobId[3],
    id_xattr: blobId[4],
    chunker: keys.chunker,
    tree_page: keys.treePage,
    link_group: keys.linkGroup,
  };
  for (const [name, key] of Object.entries(derived)) {
    assert.equal(toHex(key as Uint8Array), vectors.keys[name], name);
  }
});

test('deriveObjectKey() gives the object keys of the vectors', () => {
  const derive = (keyClass: 0 | 1 | 2, label: 'frame' | 'directory' | 'object', kind: number) =>
    toHex(deriveObjectKey(keys.repositoryId, keys.current, { class: keyClass, label, kind, salt }));

  assert.equal(derive(KEY_CLASS.data, 'frame', 2), vectors.keys['frame_key_data_kind2']);
  assert.equal(derive(KEY_CLASS.metadata, 'frame', 2), vectors.keys['frame_key_metadata_kind2']);
  assert.equal(derive(KEY_CLASS.control, 'directory', 2), vectors.keys['directory_key_kind2']);
  assert.equal(derive(KEY_CLASS.control, 'object', 4), vectors.keys['object_key_kind4']);
});

test('createBlobIdentifier() gives the blob ids of the vectors', () => {
  const identify = createBlobIdentifier(keys.blobId);
  const hello = encodeUtf8('hello world');

  assert.equal(toHex(identify(1, hello)), vectors.blob_ids['data_hello_world']);
  assert.equal(toHex(identify(2, hello)), vectors.blob_ids['tree_hello_world']);
  assert.equal(toHex(identify(3, hello)), vectors.blob_ids['list_hello_world']);
  assert.equal(toHex(identify(4, hello)), vectors.blob_ids['xattr_hello_world']);
  assert.equal(toHex(identify(1, new Uint8Array(65536))), vectors.blob_ids['data_64KiB_of_zero']);
});

test('padme() gives the lengths of the vectors', () => {
  for (const [length, padded] of Object.entries(vectors.padme)) {
    assert.equal(padme(Number(length)), padded);
  }
});

test('encodeHeader() gives the header of the vectors', () => {
  const header = encodeHeader(keys, { kind: 2, generation: keys.current, salt }, '');

  assert.equal(toHex(header), vectors.header_kind2);
});

function openVectorPack() {
  const bytes = fromHex(vectors.pack_kind2.file);
  const name = vectors.pack_kind2.name as PackName;
  return openPack(keys, { name, kind: OBJECT_KIND.metadataPack, bytes });
}

test('openPack() reads the pack of the vectors, every whole blob and every delta', () => {
  const pack = openVectorPack();
  const codec = new ZstdCodec();
  const identify = createBlobIdentifier(keys.blobId);
  const plain = new Map(Object.entries(vectors.blobs).map(([id, b]) => [id, fromHex(b.plain)]));
  let deltaCount = 0;

  verifyPack(pack, { codec, identify }, (blob, encoded) => {
    const base = plain.get(toHex((blob.delta as NonNullable<typeof blob.delta>).base));
    const plaintext = codec.decompress(encoded, blob.rawSize, base);
    assert.equal(toHex(identify(blob.type, plaintext)), toHex(blob.id));
    deltaCount += 1;
  });

  assert.equal(deltaCount, 3);
  assert.equal(toHex(pack.record.body), vectors.pack_kind2.directory);
  for (const [i, frame] of pack.directory.frames.entries()) {
    const expected = vectors.pack_kind2.frames[i] as FrameVector;
    assert.deepEqual(
      [frame.offset, frame.storedSize, frame.rawSize, frame.kind, frame.class, frame.blobCount],
      [
        expected.offset,
        expected.stored_len,
        expected.raw_len,
        expected.kind,
        expected.class,
        expected.blobs.length,
      ],
    );
  }
});

test('PackBuilder writes the pack of the vectors from its frames, byte for byte', () => {
  const pack = openVectorPack();
  const builder = new PackBuilder({
    keys,
    kind: OBJECT_KIND.metadataPack,
    newSalt: () => salt,
    sessionId: toHex(counting(0x80, 16)),
    writerId: toHex(counting(0x90, 16)),
    createdMs: 1_700_000_000_000,
    sizeTarget: 2 ** 24,
  });

  for (const [i, frame] of pack.directory.frames.entries()) {
    if (frame.kind === FRAME_KIND.pad) continue;
    const vector = vectors.pack_kind2.frames[i] as FrameVector;
    builder.append(frameFromVector(vector, openFrameOf(pack, frame)));
  }
  const { bytes, record } = builder.finish();

  assert.equal(toHex(bytes), vectors.pack_kind2.file);
  assert.equal(record.name, vectors.pack_kind2.name);
});

function frameFromVector(vector: FrameVector, content: Uint8Array): EncodedFrame {
  return {
    content,
    record: {
      storedSize: vector.stored_len,
      rawSize: vector.raw_len,
      blobCount: vector.blobs.length,
      kind: vector.kind as FrameKind,
      class: vector.class as FrameClass,
    },
    blobs: vector.blobs.map((blob) => ({
      id: fromHex(blob.id) as BlobId,
      rawSize: blob.raw_len,
      type: blob.type as BlobType,
      ...(blob.base === undefined
        ? {}
        : {
            delta: {
              encodedSize: blob.enc_len as number,
              base: fromHex(blob.base) as BlobId,
              depth: blob.depth as number,
            },
          }),
      ...(blob.features === undefined
        ? {}
        : { features: concatBytes(...blob.features.map((text) => encodeU64(BigInt(text)))) }),
    })),
  };
}

/** The vectors seal without compression. */
function sealUncompressed(kind: 4 | 5, name: string, payload: Uint8Array): Uint8Array {
  const plaintext = concatBytes(Uint8Array.of(0), encodeU64(payload.length), payload);
  return sealParts(keys, { kind, name }, { salt, plaintext, partSizeMax: 2 ** 20 });
}

test('sealed objects: the snapshot and the fence of the vectors', () => {
  const { snapshot, fence } = vectors;
  const payload = encodeUtf8(snapshot.payload);

  const opened = openObject(keys, fromHex(snapshot.file), { kinds: [4], name: snapshot.name });

  assert.equal(toHex(opened.payload), toHex(payload));
  assert.equal(toHex(sealUncompressed(4, snapshot.name, payload)), snapshot.file);
  assert.equal(toHex(sealUncompressed(5, fence.name, encodeFence('closed'))), fence.file);
  parseCanonical(opened.payload);
  const fencePayload = openObject(keys, fromHex(fence.file), { kinds: [5], name: fence.name });
  assert.equal(parseFence(fencePayload.payload), 'closed');
});

test('openKeySlot() opens the slot of the vectors, and sealKeySlot() writes it', async () => {
  const slot = fromHex(vectors.key_slot.file);
  const credential = { kind: 'passphrase', passphrase: vectors.key_slot.passphrase } as const;

  const outcome = await openKeySlot(slot, credential, keys.repositoryId);
  const written = await sealKeySlot(credential, {
    repositoryId: keys.repositoryId,
    salt: counting(0xa0, 32),
    keyRing: encodeUtf8(vectors.key_slot.ring),
    cost: { log2N: 15, r: 8, p: 1 },
  });

  assert.equal(outcome.outcome, 'opened');
  if (outcome.outcome !== 'opened') return;
  assert.equal(new TextDecoder().decode(outcome.keyRing), vectors.key_slot.ring);
  assert.equal(toHex(encodeKeyRing(parseKeyRing(outcome.keyRing))), toHex(outcome.keyRing));
  assert.equal(toHex(written), vectors.key_slot.file);
});

test('config: the clear and the sealed part of the vectors agree', () => {
  const file = fromHex(vectors.config.file);
  const clear = file.subarray(0, 128);

  const { repositoryId } = parseConfigClear(file);
  const { payload } = openObject(keys, file.subarray(128), { kinds: [10], name: 'config' });
  const config = parseConfig(payload, { clear, number: 0, defaults: DEFAULT_CONFIG });

  assert.equal(toHex(repositoryId), toHex(keys.repositoryId));
  assert.equal(toHex(encodeConfigClear(keys.repositoryId)), toHex(clear));
  assert.deepEqual(config.chunker, {
    name: 's16p/1',
    average: 65536,
    minimum: 32768,
    maximum: 131072,
  });
});
