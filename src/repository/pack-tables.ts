/**
 * The blobs of packs, by slot, as flat tables over the bodies of their directories. A parsed
 * directory has an object for each blob, which takes ten times the time to make and six times the
 * memory to keep: too much for questions that are asked of every blob.
 */
import type { BlobId } from '../id.ts';
import type { LocalIndex } from '../index/local-index.ts';
import { scanBlobs } from '../pack/directory.ts';
import { WeightedCache } from '../util/weighted-cache.ts';

/** Tables kept, in bytes: half a million blobs. */
const tablesSizeMax = 2 ** 25;

interface PackTable {
  body: Uint8Array;
  /** Where the ids stand in the body. */
  idOffsets: Uint32Array;
  rawSizes: Uint32Array;
}

export class PackTables {
  readonly #index: LocalIndex;
  readonly #tables = new WeightedCache<number, PackTable>(tablesSizeMax);

  constructor(index: LocalIndex) {
    this.#index = index;
  }

  /** Raw size of the blob in that slot; undefined when it is another blob than `id`. */
  rawSizeOf(id: BlobId, { packNo, slot }: { packNo: number; slot: number }): number | undefined {
    const { body, idOffsets, rawSizes } = this.#tables.get(packNo) ?? this.#load(packNo);
    const idOffset = idOffsets[slot];
    const isHere = idOffset !== undefined && isIdAt(body, idOffset, id);
    return isHere ? rawSizes[slot] : undefined;
  }

  #load(packNo: number): PackTable {
    const table = tableOf(this.#index.record(packNo)?.body);
    const { body, idOffsets, rawSizes } = table;
    this.#tables.set(packNo, table, body.length + idOffsets.byteLength + rawSizes.byteLength);
    return table;
  }
}

function tableOf(body: Uint8Array | undefined): PackTable {
  const count = body === undefined ? 0 : scanBlobs(body, () => {});
  const [idOffsets, rawSizes] = [new Uint32Array(count), new Uint32Array(count)];
  if (body === undefined) return { body: new Uint8Array(0), idOffsets, rawSizes };
  let slot = 0;
  scanBlobs(body, (idOffset, _, rawSize) => {
    idOffsets[slot] = idOffset;
    rawSizes[slot] = rawSize;
    slot++;
  });
  return { body, idOffsets, rawSizes };
}

function isIdAt(body: Uint8Array, offset: number, id: BlobId): boolean {
  for (let i = 0; i < id.length; i++) if (body[offset + i] !== id[i]) return false;
  return true;
}
