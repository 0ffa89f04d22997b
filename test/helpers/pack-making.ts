/** Making packs in tests the way a writer does: blobs into frames, frames into packs. */
import { type BlobIdentifier, createBlobIdentifier } from '../../src/blob/blob-ids.ts';
import { BLOB_TYPE, type BlobType } from '../../src/blob/blob-type.ts';
import { type EncodedFrame, FrameBuilder } from '../../src/frame/frame-builder.ts';
import { KEY_CLASS, type RepositoryKeys } from '../../src/keys/key-hierarchy.ts';
import { PackBuilder, type PackBuilderOptions } from '../../src/pack/pack-builder.ts';
import { OBJECT_KIND } from '../../src/record/object-kind.ts';
import { ZstdCodec } from '../../src/util/zstd.ts';
import { testKeys, testSalt, testSession, testWriter } from './test-keys.ts';

export interface TestBlob {
  type: BlobType;
  plaintext: Uint8Array;
}

const codec = new ZstdCodec();

/** One frame of the class of the first blob; its content is a copy. */
export function makeFrame(blobs: TestBlob[], keys: RepositoryKeys = testKeys): EncodedFrame {
  const identify: BlobIdentifier = createBlobIdentifier(keys.blobId);
  const isData = blobs[0]?.type === BLOB_TYPE.data;
  const builder = new FrameBuilder(isData ? KEY_CLASS.data : KEY_CLASS.metadata);
  for (const { type, plaintext } of blobs) {
    const id = identify(type, plaintext);
    builder.add({ id, rawSize: plaintext.length, type }, plaintext);
  }
  const frame = builder.finish(codec, 3);
  return { ...frame, content: Uint8Array.from(frame.content) };
}

/** A builder of metadata packs with the identity of the vectors, unless options say otherwise. */
export function newPackBuilder(options: Partial<PackBuilderOptions> = {}): PackBuilder {
  return new PackBuilder({
    keys: testKeys,
    kind: OBJECT_KIND.metadataPack,
    newSalt: () => testSalt,
    sessionId: testSession,
    writerId: testWriter,
    createdMs: 1_700_000_000_000,
    sizeTarget: 2 ** 24,
    ...options,
  });
}
