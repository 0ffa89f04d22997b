/**
 * Reading packs: the directory from the end of the file, single frames by their place, and whole
 * packs with everything checked. Nothing a pack says is believed before its tag was checked, and no
 * plaintext is handed out whose blob id was not recomputed by someone: by `verifyPack` here, by the
 * blob reader of `repository/` elsewhere.
 */
import { createHash } from 'node:crypto';
import type { BlobIdentifier } from '../blob/blob-ids.ts';
import { BLOB_TYPE_NAMES } from '../blob/blob-type.ts';
import { decodeWholeFrame, openFrame } from '../frame/frame-codec.ts';
import { FRAME_KIND } from '../frame/frame-record.ts';
import type { PackName } from '../id.ts';
import { NONCE_DOMAIN, openAead } from '../keys/aead.ts';
import type { RepositoryKeys } from '../keys/key-hierarchy.ts';
import { decodeHeader, HEADER_SIZE } from '../record/header.ts';
import type { PackKind } from '../record/object-kind.ts';
import { ByteReader, demand, Malformed } from '../util/byte-reader.ts';
import { equalBytes, toHex } from '../util/bytes.ts';
import { padme } from '../util/padme.ts';
import { release } from '../util/release.ts';
import type { ZstdCodec } from '../util/zstd.ts';
import {
  type BlobEntry,
  type FrameEntry,
  type PackDirectory,
  parseDirectory,
} from './directory.ts';
import { derivePackKeys, type PackKeys } from './pack-keys.ts';
import {
  PACK_SIZE_MAX,
  type PackRecord,
  sealedDirectorySize,
  TRAILER_MAGIC,
  TRAILER_SIZE,
} from './pack-record.ts';

const DIRECTORY_SEALED_SIZE_MIN = 80;

export interface PackTrailer {
  kind: PackKind;
  generation: number;
  salt: Uint8Array;
  /** Bytes of the sealed directory, which lies right before the trailer. */
  directorySize: number;
  /** Bytes 0..88 of the trailer, the directory's associated data. */
  aad: Uint8Array;
}

/**
 * @param trailer the last 96 bytes of the file.
 * @throws Malformed when they are not the trailer of a pack of this kind and length.
 */
export function parseTrailer(
  keys: RepositoryKeys,
  trailer: Uint8Array,
  file: { kind: PackKind; length: number },
): PackTrailer {
  demand(trailer.length === TRAILER_SIZE, 'shorter than a trailer');
  demand(file.length <= PACK_SIZE_MAX && padme(file.length) === file.length, 'pack length');
  const aad = trailer.subarray(0, TRAILER_SIZE - 8);
  const checkSum = createHash('sha256').update(aad).digest().subarray(0, 8);
  demand(equalBytes(trailer.subarray(TRAILER_SIZE - 8), checkSum), 'trailer check sum');
  const header = decodeHeader(keys, trailer, { kinds: [file.kind], name: '' });
  const reader = new ByteReader(aad);
  reader.take(HEADER_SIZE);
  const directorySize = reader.u32();
  reader.zeros(4);
  demand(reader.size() === file.length, 'pack length in the trailer');
  demand(equalBytes(reader.take(8), TRAILER_MAGIC), 'trailer magic');
  demand(
    directorySize >= DIRECTORY_SEALED_SIZE_MIN &&
      directorySize <= file.length - HEADER_SIZE - TRAILER_SIZE,
    'directory length',
  );
  const { generation, salt } = header;
  return { kind: file.kind, generation: generation.number, salt, directorySize, aad };
}

/** Opens the sealed directory that a trailer points to. */
export function openDirectory(
  keys: RepositoryKeys,
  trailer: PackTrailer,
  pack: { name: PackName; length: number; sealed: Uint8Array },
): { record: PackRecord; directory: PackDirectory } {
  const { kind, salt, directorySize, aad } = trailer;
  const packKeys = packKeysOf(keys, trailer);
  const nonce = { domain: NONCE_DOMAIN.directory, counter: 0 };
  const plaintext = openAead(packKeys.directory, nonce, { aad, sealed: pack.sealed });
  demand(padme(plaintext.length) === plaintext.length, 'directory padding');
  const frameEnd = pack.length - TRAILER_SIZE - directorySize;
  const directory = parseDirectory(plaintext, { kind, frameEnd });
  const body = plaintext.subarray(0, directory.bodySize);
  demand(sealedDirectorySize(body.length) === directorySize, 'directory length');
  const { name, length } = pack;
  return { record: { name, kind, length, generation: trailer.generation, salt, body }, directory };
}

/** Keys of a pack known by its record or trailer. */
export function packKeysOf(
  keys: RepositoryKeys,
  pack: { kind: PackKind; generation: number; salt: Uint8Array },
): PackKeys {
  const generation = keys.generations.get(pack.generation);
  demand(generation !== undefined, `key generation ${pack.generation} is not in the key ring`);
  return derivePackKeys(keys.repositoryId, generation, pack);
}

/** A whole pack file, opened; frames are still sealed. */
export interface OpenedPack {
  record: PackRecord;
  directory: PackDirectory;
  bytes: Uint8Array;
  keys: PackKeys;
}

/**
 * Opens a whole file: name, header, trailer and directory.
 * @throws Malformed when any of them is not as sealed.
 */
export function openPack(
  keys: RepositoryKeys,
  file: { name: PackName; kind: PackKind; bytes: Uint8Array },
): OpenedPack {
  const hash = toHex(createHash('sha256').update(file.bytes).digest());
  demand(hash === file.name, 'hash differs from the name');
  return openNamedPack(keys, file);
}

/**
 * As `openPack`, for bytes whose hash has just been computed and is their name: that takes longer than
 * all the rest of opening.
 * @throws Malformed when any part is not as sealed.
 */
export function openNamedPack(
  keys: RepositoryKeys,
  file: { name: PackName; kind: PackKind; bytes: Uint8Array },
): OpenedPack {
  const { name, kind, bytes } = file;
  const { length } = bytes;
  demand(length >= HEADER_SIZE + DIRECTORY_SEALED_SIZE_MIN + TRAILER_SIZE, 'pack too short');
  const trailerBytes = bytes.subarray(length - TRAILER_SIZE);
  const trailer = parseTrailer(keys, trailerBytes, { kind, length });
  const header = bytes.subarray(0, HEADER_SIZE);
  demand(equalBytes(header, trailerBytes.subarray(0, HEADER_SIZE)), 'header copy differs');
  const directoryStart = length - TRAILER_SIZE - trailer.directorySize;
  const sealed = bytes.subarray(directoryStart, length - TRAILER_SIZE);
  const { record, directory } = openDirectory(keys, trailer, { name, length, sealed });
  return { record, directory, bytes, keys: packKeysOf(keys, trailer) };
}

/**
 * The content of one frame (compressed or delta-encoded as it lies there), in memory of its own.
 * @param pack bytes of the file, all of them or from `start` on.
 * @throws Malformed when its tag does not match.
 */
export function openFrameOf(
  pack: { keys: PackKeys; bytes: Uint8Array; start?: number },
  frame: FrameEntry,
): Uint8Array {
  const { keys, bytes, start = 0 } = pack;
  const place = frame.offset - start;
  const sealed = bytes.subarray(place, place + frame.storedSize);
  return openFrame(keys.frame(frame.class), { record: frame, offset: frame.offset }, sealed);
}

/**
 * Recomputes the ids of whole blobs, frame by frame. Frames are decoded into memory that is used
 * again, so nothing of a frame is left when the next one comes.
 */
export class FrameVerifier {
  readonly #codec: ZstdCodec;
  readonly #identify: BlobIdentifier;
  #raw = new Uint8Array(0);

  constructor(tools: { codec: ZstdCodec; identify: BlobIdentifier }) {
    this.#codec = tools.codec;
    this.#identify = tools.identify;
  }

  /**
   * The blobs of a frame whose content has another id.
   * @param content of a frame of whole blobs, opened.
   * @throws Malformed when it does not decode to what the frame's record says.
   */
  wrongBlobs(frame: FrameEntry, blobs: readonly BlobEntry[], content: Uint8Array): BlobEntry[] {
    const raw = this.#decode(frame, content);
    return blobs.filter(({ id, type, rawOffset, rawSize }) => {
      const plaintext = raw.subarray(rawOffset, rawOffset + rawSize);
      return !equalBytes(this.#identify(type, plaintext), id);
    });
  }

  #decode(frame: FrameEntry, content: Uint8Array): Uint8Array {
    const { rawSize } = frame;
    if (this.#raw.length < rawSize) this.#raw = new Uint8Array(rawSize);
    return decodeWholeFrame(this.#codec, frame, content, this.#raw.subarray(0, rawSize));
  }
}

/**
 * Decodes every frame of an opened pack and recomputes the id of every whole blob. Deltas are left
 * to `onDelta`, because resolving them takes other packs; their bytes are valid until it returns.
 * @throws Malformed naming the first frame or blob that is not what the directory says.
 */
export function verifyPack(
  pack: OpenedPack,
  tools: { codec: ZstdCodec; identify: BlobIdentifier },
  onDelta: (blob: BlobEntry, encoded: Uint8Array) => void,
): void {
  const verifier = new FrameVerifier(tools);
  let slot = 0;
  for (const frame of pack.directory.frames) {
    const content = openFrameOf(pack, frame);
    if (frame.kind === FRAME_KIND.pad) continue;
    const blobs = pack.directory.blobs.slice(slot, slot + frame.blobCount);
    slot += frame.blobCount;
    if (frame.kind === FRAME_KIND.delta) {
      for (const blob of blobs) onDelta(blob, encodedDelta(blob, content));
      release(content);
      continue;
    }
    const [wrong] = verifier.wrongBlobs(frame, blobs, content);
    release(content);
    if (wrong === undefined) continue;
    throw new Malformed(`${BLOB_TYPE_NAMES[wrong.type]} ${toHex(wrong.id)} has another id`);
  }
}

/** The zstd frame of one delta within the content of its delta frame. */
export function encodedDelta(blob: BlobEntry, content: Uint8Array): Uint8Array {
  return content.subarray(blob.encodedOffset, blob.encodedOffset + (blob.delta?.encodedSize ?? 0));
}
