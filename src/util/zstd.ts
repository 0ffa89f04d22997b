/**
 * zstd as the format allows it (docs/repository-format.md section 5): exactly one frame of RFC 8878
 * with the content size in its header, no dictionary id, a window of at most 2^25 bytes, nothing
 * behind it. `checkZstdFrame` proves that before the library sees a byte, so a hostile frame can
 * neither allocate more than the record states nor hide a second frame.
 */
import zstd from 'zstd-napi/binding.js';
import { demand } from './byte-reader.ts';
import { bufferOf, concatBytes, viewOf } from './bytes.ts';

export const ZSTD_WINDOW_MAX: number = 2 ** 25;

const FRAME_MAGIC = 0xfd2fb528;
const DICTIONARY_MAGIC = 0xec30a437;
const BLOCK_TYPE_RLE = 1;
const BLOCK_TYPE_RESERVED = 3;

/**
 * The tables of level 3 fill the L2 cache of many processors. With half the hash table, frames of 1 MiB
 * take 5 to 10 % less time and 0.2 % more space; other sizes were not worth it (docs/benchmarks.md).
 */
const smallerHashLevel = 3;
const smallerHashLog = 16;

/**
 * Checks the frame header and the chain of blocks; the blocks' content is the decompressor's affair.
 * @returns the content size in bytes that the header states.
 * @throws Malformed when it is not exactly one frame of the allowed form.
 */
export function checkZstdFrame(frame: Uint8Array): number {
  const view = viewOf(frame);
  demand(frame.length >= 6 && view.getUint32(0, true) === FRAME_MAGIC, 'zstd magic');
  const descriptor = view.getUint8(4);
  demand((descriptor & 0b1000) === 0, 'zstd reserved bit');
  demand((descriptor & 0b11) === 0, 'zstd dictionary id');
  const isSingleSegment = (descriptor & 0b10_0000) !== 0;
  const hasChecksum = (descriptor & 0b100) !== 0;
  let offset = 5;
  let window = 0;
  if (!isSingleSegment) {
    const byte = view.getUint8(offset++);
    window = 2 ** (10 + (byte >> 3)) * (1 + (byte & 7) / 8);
  }
  const sizeField = [isSingleSegment ? 1 : 0, 2, 4, 8][descriptor >> 6] as number;
  demand(sizeField > 0 && offset + sizeField <= frame.length, 'zstd content size missing');
  const contentSize = readContentSize(view, offset, sizeField);
  demand((isSingleSegment ? contentSize : window) <= ZSTD_WINDOW_MAX, 'zstd window');
  offset += sizeField;
  for (let isLast = false; !isLast; ) {
    demand(offset + 3 <= frame.length, 'zstd frame cut short');
    const block = view.getUint16(offset, true) | (view.getUint8(offset + 2) << 16);
    const type = (block >> 1) & 3;
    demand(type !== BLOCK_TYPE_RESERVED, 'zstd block type');
    isLast = (block & 1) === 1;
    offset += 3 + (type === BLOCK_TYPE_RLE ? 1 : block >> 3);
  }
  demand(offset + (hasChecksum ? 4 : 0) === frame.length, 'not exactly one zstd frame');
  return contentSize;
}

function readContentSize(view: DataView, offset: number, fieldSize: number): number {
  if (fieldSize === 1) return view.getUint8(offset);
  if (fieldSize === 2) return view.getUint16(offset, true) + 256;
  if (fieldSize === 4) return view.getUint32(offset, true);
  return Number(view.getBigUint64(offset, true));
}

/**
 * A base that begins with the magic of a formatted dictionary would be misread as one; both sides
 * put one zero byte in front of it.
 */
function asRawDictionary(base: Uint8Array): Uint8Array {
  const isTrap = base.length >= 4 && viewOf(base).getUint32(0, true) === DICTIONARY_MAGIC;
  return isTrap ? concatBytes(new Uint8Array(1), base) : base;
}

/** One compression and one decompression context, kept with their output buffer; not reentrant. */
export class ZstdCodec {
  readonly #compressor = new zstd.CCtx();
  readonly #decompressor = new zstd.DCtx();
  #output = new Uint8Array(0);
  /** What the compressor is set to. */
  #level: number | undefined;

  /**
   * One frame of `plaintext`; with `base` it is compressed against that as a raw-content dictionary.
   * @returns a view of the codec's buffer, valid until the next call.
   */
  compress(plaintext: Uint8Array, level: number, base?: Uint8Array): Uint8Array {
    const bound = zstd.compressBound(plaintext.length);
    if (this.#output.length < bound) this.#output = new Uint8Array(bound);
    const target = bufferOf(this.#output);
    const source = bufferOf(plaintext);
    const size =
      base === undefined
        ? this.#setLevel(level).compress2(target, source)
        : this.#compressor.compressUsingDict(
            target,
            source,
            bufferOf(asRawDictionary(base)),
            level,
          );
    return this.#output.subarray(0, size);
  }

  #setLevel(level: number): InstanceType<typeof zstd.CCtx> {
    const compressor = this.#compressor;
    if (level === this.#level) return compressor;
    const { compressionLevel, hashLog } = zstd.CParameter;
    compressor.setParameter(compressionLevel, level);
    compressor.setParameter(hashLog, level === smallerHashLevel ? smallerHashLog : 0);
    this.#level = level;
    return compressor;
  }

  /**
   * Decompresses one frame whose content must be exactly `size` bytes, in new memory.
   * @throws Malformed when the frame is not of the allowed form or its content differs in size.
   */
  decompress(frame: Uint8Array, size: number, base?: Uint8Array): Uint8Array {
    demand(checkZstdFrame(frame) === size, 'zstd content size differs');
    return this.#decompressInto(new Uint8Array(size), frame, base);
  }

  /** The same into `content`, which has the size that the content must have. */
  decompressInto(content: Uint8Array, frame: Uint8Array, base?: Uint8Array): Uint8Array {
    demand(checkZstdFrame(frame) === content.length, 'zstd content size differs');
    return this.#decompressInto(content, frame, base);
  }

  #decompressInto(
    content: Uint8Array,
    frame: Uint8Array,
    base: Uint8Array | undefined,
  ): Uint8Array {
    let written: number;
    try {
      written =
        base === undefined
          ? this.#decompressor.decompress(content, bufferOf(frame))
          : this.#decompressor.decompressUsingDict(
              content,
              bufferOf(frame),
              bufferOf(asRawDictionary(base)),
            );
    } catch (error) {
      demand(false, `zstd: ${(error as Error).message}`);
    }
    demand(written === content.length, 'zstd content size differs');
    return content;
  }
}
