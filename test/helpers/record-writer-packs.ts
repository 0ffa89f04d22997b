/**
 * Packs of any content for an open repository, sealed as a writer would: whole blobs, and deltas
 * with any base and depth, which this version reads and does not write yet.
 */
import { BLOB_TYPE, type BlobType } from '../../src/blob/blob-type.ts';
import type { BlobRecord, EncodedFrame } from '../../src/frame/frame-builder.ts';
import { FRAME_KIND, type FrameRecord } from '../../src/frame/frame-record.ts';
import type { BlobId } from '../../src/id.ts';
import { TAG_SIZE } from '../../src/keys/aead.ts';
import { KEY_CLASS } from '../../src/keys/key-hierarchy.ts';
import { PackBuilder } from '../../src/pack/pack-builder.ts';
import { type PackRecord, packStorageName } from '../../src/pack/pack-record.ts';
import { OBJECT_KIND } from '../../src/record/object-kind.ts';
import type { Repository } from '../../src/repository/repository.ts';
import { concatBytes } from '../../src/util/bytes.ts';
import { ZstdCodec } from '../../src/util/zstd.ts';
import { seededRandom } from './seeded-random.ts';

/** A blob as it is to be stored: whole, or as a delta. */
export interface PlannedBlob {
  readonly plaintext: Uint8Array;
  readonly type?: BlobType;
  readonly delta?: {
    /** Whose id the record names; by default that of the base it is compressed with. */
    readonly baseId?: BlobId;
    readonly base: Uint8Array;
    readonly depth: number;
  };
}

const random = seededRandom(4712);

/** Stores one pack, each blob in a frame of its own; one of metadata when its first blob is. */
export async function storePack(
  repository: Repository,
  blobs: readonly PlannedBlob[],
): Promise<PackRecord> {
  const { keys, storage } = repository;
  const builder = new PackBuilder({
    keys,
    kind: classOf(blobs[0]) === KEY_CLASS.data ? OBJECT_KIND.dataPack : OBJECT_KIND.metadataPack,
    newSalt: () => random.bytes(32),
    sessionId: '80'.repeat(16),
    writerId: '90'.repeat(16),
    createdMs: 1_700_000_000_000,
    sizeTarget: 2 ** 26,
  });
  for (const blob of blobs) builder.append(encodeFrame(repository, blob));
  const { record, bytes } = builder.finish();
  await storage.put(packStorageName(record), bytes);
  return record;
}

function encodeFrame(repository: Repository, blob: PlannedBlob): EncodedFrame {
  const { plaintext, type = BLOB_TYPE.data, delta } = blob;
  const id = repository.identify(type, plaintext);
  const content =
    delta === undefined ? plaintext : new ZstdCodec().compress(plaintext, 3, delta.base).slice();
  const record: BlobRecord = { id, rawSize: plaintext.length, type };
  if (delta !== undefined) {
    const base = delta.baseId ?? repository.identify(type, delta.base);
    record.delta = { encodedSize: content.length, base, depth: delta.depth };
  }
  return {
    record: {
      storedSize: content.length + TAG_SIZE,
      rawSize: plaintext.length,
      blobCount: 1,
      kind: delta === undefined ? FRAME_KIND.stored : FRAME_KIND.delta,
      class: classOf(blob),
    },
    content,
    blobs: [record],
  };
}

function classOf(blob: PlannedBlob | undefined): FrameRecord['class'] {
  return (blob?.type ?? BLOB_TYPE.data) === BLOB_TYPE.data ? KEY_CLASS.data : KEY_CLASS.metadata;
}

/** Versions of one plaintext, each a little different from the one before. */
export function similarPlaintexts(count: number, salt = 900): Uint8Array[] {
  const made = seededRandom(salt);
  const common = made.bytes(2000);
  return Array.from({ length: count }, () => concatBytes(common, made.bytes(20)));
}
