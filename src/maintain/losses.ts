/** Blobs that snapshots need and that cannot be read, gathered while trees are walked. */
import type { BlobType } from '../blob/blob-type.ts';
import { type BlobId, blobKey } from '../id.ts';
import type { Content } from '../tree/content.ts';
import { equalBytes } from '../util/bytes.ts';

/** Paths kept of one blob: where one of them has changed since, another may not have. */
const PLACE_COUNT_MAX = 8;

/** A path that needs a blob. */
export interface LossPlace {
  path: Uint8Array;
  /** Of a file whose chunk or list it is. */
  content?: Content | undefined;
}

/** A blob that cannot be read, or a list with something below it that cannot. */
export interface Loss {
  id: BlobId;
  type: BlobType;
  places: LossPlace[];
}

export class Losses {
  readonly #byKey = new Map<string, Loss>();

  get all(): Loss[] {
    return [...this.#byKey.values()];
  }

  add({ id, type, path, content }: Pick<Loss, 'id' | 'type'> & LossPlace): void {
    const key = `${type}${blobKey(id)}`;
    const loss = this.#byKey.get(key) ?? { id: id.slice() as BlobId, type, places: [] };
    this.#byKey.set(key, loss);
    const { places } = loss;
    if (places.length === PLACE_COUNT_MAX) return;
    if (places.some((place) => equalBytes(place.path, path))) return;
    // What was decoded are views of a page.
    const kept = content === undefined || content.kind === 'empty' ? undefined : content;
    const copy = kept && { ...kept, id: kept.id.slice() as BlobId };
    places.push({ path, content: copy });
  }
}
