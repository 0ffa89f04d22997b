/**
 * The pack of the golden vectors, opened into its parts: frames of every kind, blobs of two types,
 * three deltas. Tests damage it, or take its frames (whose zstd bytes are frozen) to build others.
 */
import type { EncodedFrame } from '../../src/frame/frame-builder.ts';
import { FRAME_KIND } from '../../src/frame/frame-record.ts';
import type { BlobId, PackName } from '../../src/id.ts';
import { type OpenedPack, openFrameOf, openPack } from '../../src/pack/pack-reader.ts';
import { OBJECT_KIND } from '../../src/record/object-kind.ts';
import { fromHex } from '../../src/util/bytes.ts';
import { testKeys } from './test-keys.ts';
import { readVectors } from './vectors.ts';

interface PackVectors {
  pack_kind2: { name: string; file: string };
  /** By hex id, in the order of the directory. */
  blobs: Record<string, { type: number; plain: string }>;
}

const vectors = readVectors('format-vectors.json') as PackVectors;

export const goldenPackBytes: Uint8Array = fromHex(vectors.pack_kind2.file);

/** Plaintexts of its blobs by hex id. */
export const goldenPlaintexts: ReadonlyMap<string, Uint8Array> = new Map(
  Object.entries(vectors.blobs).map(([id, { plain }]) => [id, fromHex(plain)]),
);

export function openGoldenPack(): OpenedPack {
  const name = vectors.pack_kind2.name as PackName;
  return openPack(testKeys, { name, kind: OBJECT_KIND.metadataPack, bytes: goldenPackBytes });
}

/** Its frames before sealing, without the pad frame: three of data, one of metadata. */
export function goldenFrames(): EncodedFrame[] {
  const pack = openGoldenPack();
  const { frames, blobs } = pack.directory;
  return frames
    .filter(({ kind }) => kind !== FRAME_KIND.pad)
    .map((frame) => ({
      record: {
        storedSize: frame.storedSize,
        rawSize: frame.rawSize,
        blobCount: frame.blobCount,
        kind: frame.kind,
        class: frame.class,
      },
      content: openFrameOf(pack, frame),
      blobs: blobs
        .filter((blob) => frames[blob.frame] === frame)
        .map(({ id, rawSize, type, delta, features }) => ({
          id: new Uint8Array(id) as BlobId,
          rawSize,
          type,
          ...(delta === undefined ? {} : { delta }),
          ...(features === undefined ? {} : { features }),
        })),
    }));
}
