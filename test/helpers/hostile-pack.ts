/**
 * Packs that only a key holder could write: every layer is sealed with the right keys, but frames,
 * records and the directory may say anything. Built from the primitives below `PackBuilder`, which
 * itself cannot be talked into a wrong pack.
 */
import { createHash } from 'node:crypto';
import { createBlobIdentifier } from '../../src/blob/blob-ids.ts';
import type { EncodedFrame } from '../../src/frame/frame-builder.ts';
import { decodeWholeFrame, sealFrame } from '../../src/frame/frame-codec.ts';
import { FRAME_KIND, type FrameRecord } from '../../src/frame/frame-record.ts';
import type { PackName } from '../../src/id.ts';
import { NONCE_DOMAIN, sealAead, TAG_SIZE } from '../../src/keys/aead.ts';
import { KEY_CLASS, type RepositoryKeys } from '../../src/keys/key-hierarchy.ts';
import { directoryBodySize, encodeBlobRecords, encodeDirectory } from '../../src/pack/directory.ts';
import { derivePackKeys } from '../../src/pack/pack-keys.ts';
import { type OpenedPack, openFrameOf, openPack, verifyPack } from '../../src/pack/pack-reader.ts';
import { sealedDirectorySize, TRAILER_MAGIC, TRAILER_SIZE } from '../../src/pack/pack-record.ts';
import { encodeHeader, HEADER_SIZE } from '../../src/record/header.ts';
import { OBJECT_KIND, type PackKind } from '../../src/record/object-kind.ts';
import { demand } from '../../src/util/byte-reader.ts';
import { concatBytes, encodeU32, encodeU64, equalBytes, toHex } from '../../src/util/bytes.ts';
import { padme } from '../../src/util/padme.ts';
import { ZstdCodec } from '../../src/util/zstd.ts';
import { testKeys, testSalt, testSession, testWriter } from './test-keys.ts';

export interface HostilePack {
  frames: EncodedFrame[];
  keys?: RepositoryKeys;
  kind?: PackKind;
  salt?: Uint8Array;
  /** What the pad frame is filled with. */
  padByte?: number;
  /** Size of the pad frame's content beyond (or below) the right one. */
  padExtra?: number;
  /** Changes the directory plaintext, padding included, before it is sealed. */
  editDirectory?: (plaintext: Uint8Array) => void;
  /** Changes bytes 0..88 of the trailer, before the directory is sealed with them as its data. */
  editTrailer?: (start: Uint8Array) => void;
}

/** The bytes of such a file. Without any change it is the one `PackBuilder` would write. */
export function makeHostilePack(pack: HostilePack): Uint8Array {
  const { frames, keys = testKeys, kind = OBJECT_KIND.metadataPack, salt = testSalt } = pack;
  const header = encodeHeader(keys, { kind, generation: keys.current, salt }, '');
  const packKeys = derivePackKeys(keys.repositoryId, keys.current, { kind, salt });
  const pieces: Uint8Array[] = [header];
  let offset = HEADER_SIZE;
  const put = (record: FrameRecord, content: Uint8Array): void => {
    pieces.push(...sealFrame(packKeys.frame(record.class), { record, offset }, content));
    offset += content.length + TAG_SIZE;
  };
  for (const { record, content } of frames) put(record, content);

  const blobs = frames.flatMap((frame) => frame.blobs);
  const blobRecords = encodeBlobRecords(blobs);
  const bodySize = directoryBodySize(frames.length + 1, blobRecords.length);
  const directorySize = sealedDirectorySize(bodySize);
  const unpadded = offset + TAG_SIZE + directorySize + TRAILER_SIZE;
  const pad = makePad(padme(unpadded) - unpadded + (pack.padExtra ?? 0));
  put(pad, new Uint8Array(pad.rawSize).fill(pack.padByte ?? 0));

  const plaintext = new Uint8Array(directorySize - TAG_SIZE);
  const records = [...frames.map(({ record }) => record), pad];
  const described = { blobCount: blobs.length, blobRecords: [blobRecords] };
  plaintext.set(encodeDirectory({ ...identity, frames: records, ...described }));
  pack.editDirectory?.(plaintext);
  const length = offset + directorySize + TRAILER_SIZE;
  const trailer = concatBytes(
    header,
    encodeU32(directorySize),
    encodeU32(0),
    encodeU64(length),
    TRAILER_MAGIC,
  );
  pack.editTrailer?.(trailer);
  const nonce = { domain: NONCE_DOMAIN.directory, counter: 0 };
  const sealed = sealAead(packKeys.directory, nonce, { aad: trailer, plaintext });
  return concatBytes(...pieces, sealed, trailer, sha256(trailer).subarray(0, 8));
}

const codec = new ZstdCodec();

const identity = { sessionId: testSession, writerId: testWriter, createdMs: 1_700_000_000_000 };

function makePad(rawSize: number): FrameRecord {
  const storedSize = rawSize + TAG_SIZE;
  return { storedSize, rawSize, blobCount: 0, kind: FRAME_KIND.pad, class: KEY_CLASS.data };
}

interface ReadAs {
  keys?: RepositoryKeys;
  kind?: PackKind;
}

/** Opens bytes under their own right name, so that only the layers behind the name judge them. */
export function openUnderOwnName(bytes: Uint8Array, as: ReadAs = {}): OpenedPack {
  const { keys = testKeys, kind = OBJECT_KIND.metadataPack } = as;
  return openPack(keys, { name: toHex(sha256(bytes)) as PackName, kind, bytes });
}

/**
 * Opens a pack as above and checks the id of every blob in it, deltas included; bases must lie
 * whole, or as earlier deltas, in the same pack.
 * @returns plaintexts by hex id.
 */
export function readEveryBlob(bytes: Uint8Array, as: ReadAs = {}): Map<string, Uint8Array> {
  const { keys = testKeys } = as;
  const pack = openUnderOwnName(bytes, as);
  const identify = createBlobIdentifier(keys.blobId);
  const plaintexts = readWholeBlobs(pack);
  verifyPack(pack, { codec, identify }, (blob, encoded) => {
    const base = plaintexts.get(toHex(blob.delta?.base ?? new Uint8Array()));
    demand(base !== undefined, 'base is missing');
    const plaintext = codec.decompress(encoded, blob.rawSize, base);
    demand(equalBytes(identify(blob.type, plaintext), blob.id), 'delta has another id');
    plaintexts.set(toHex(blob.id), plaintext);
  });
  return plaintexts;
}

function readWholeBlobs(pack: OpenedPack): Map<string, Uint8Array> {
  const plaintexts = new Map<string, Uint8Array>();
  for (const [position, frame] of pack.directory.frames.entries()) {
    if (frame.kind === FRAME_KIND.pad || frame.kind === FRAME_KIND.delta) continue;
    const raw = decodeWholeFrame(codec, frame, openFrameOf(pack, frame));
    for (const blob of pack.directory.blobs) {
      if (blob.frame !== position) continue;
      const end = blob.rawOffset + blob.rawSize;
      plaintexts.set(toHex(blob.id), raw.subarray(blob.rawOffset, end));
    }
  }
  return plaintexts;
}

function sha256(bytes: Uint8Array): Uint8Array {
  return createHash('sha256').update(bytes).digest();
}
