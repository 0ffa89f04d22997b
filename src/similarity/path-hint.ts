/**
 * The path hint: the chunk that a file's previous version has where the new chunk is now. Bytes put in
 * or taken out move what follows, so the place is shifted as the last chunk was that is in both.
 *
 * A delta never changes the shift: with that, small errors add up until the hint is useless.
 */
import type { BlobId } from '../id.ts';
import type { OldChunks } from './old-chunks.ts';

export class PathHint {
  #shift = 0;

  /** Where in the previous version, in bytes, the new chunk [offset, offset + size) is expected. */
  rangeOf(offset: number, size: number): { start: number; end: number } {
    const start = offset + this.#shift;
    return { start, end: start + size };
  }

  /** Position in `old` of the chunk to try as base; -1 when nothing is there. */
  hintFor(old: OldChunks, offset: number, size: number): number {
    const { start, end } = this.rangeOf(offset, size);
    return old.mostOverlapping(start, end);
  }

  /** The next chunk of the file is stored already, perhaps by its previous version. */
  noteDuplicate(old: OldChunks, offset: number, id: BlobId): void {
    const position = old.indexOf(id);
    if (position >= 0) this.#shift = old.offsetAt(position) - offset;
  }
}
