/**
 * What is in a snapshot as one stream of bytes: a file as it is, or a file or directory as a tar or
 * zip archive. Everything is verified as it is read; where it cannot be read the stream ends with an
 * error, and what came before is no whole archive. Memory does not grow with files; the directory of
 * a zip archive, some 100 bytes an entry, is kept until its end.
 */
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { crc32, createDeflateRaw } from 'node:zlib';
import { NotFoundError } from '../../errors.ts';
import type { LongCall } from '../../progress.ts';
import type { ReadAccess } from '../../repository/read-access.ts';
import type { Snapshot } from '../../snapshot/selection.ts';
import type { DirectoryEntry } from '../../tree/node.ts';
import { systemClock } from '../../util/clock.ts';
import { printable } from '../../util/printable.ts';
import { Turns } from '../../util/turns.ts';
import { findPlace, pathOf } from '../compare-trees.ts';
import {
  type ArchiveEntry,
  type ArchivePlace,
  archiveEntries,
  type SkipReason,
} from './archive-entry.ts';
import { readContent } from './file-content.ts';
import { canBeInTar, tarContentSize, tarEnd, tarHeader, tarPadding } from './tar.ts';
import {
  canBeInZip,
  isDeflatedInZip,
  type ZipContent,
  zipDescriptor,
  zipDirectoryRecord,
  zipEnd,
  zipInline,
  zipLocalHeader,
} from './zip.ts';

export type ArchiveFormat = 'tar' | 'zip';

export interface DumpOptions extends LongCall {
  snapshot: Snapshot;
  /** Names from `/`; empty for `/` itself. */
  names: readonly Uint8Array[];
  /** Default: the bytes of the file. */
  archive?: ArchiveFormat | undefined;
  /** Told of every entry that cannot stand in the archive, by the name it would have there. */
  onSkipped?: ((name: Uint8Array, reason: SkipReason) => void) | undefined;
}

type Bytes = AsyncGenerator<Uint8Array, void, undefined>;

/**
 * Pieces that must not be changed.
 * @throws NotFoundError when there is nothing at the path, or no file where one is asked for
 * @throws CorruptionError, StorageError
 */
export async function* dump(access: ReadAccess, options: DumpOptions): Bytes {
  const { names, archive } = options;
  const place = await findPlace(access, options);
  const job = new DumpJob(access, options, place);
  if (archive === 'tar') yield* job.tar();
  else if (archive === 'zip') yield* job.zip();
  else yield* job.file(names);
}

const typeNames: Readonly<Record<DirectoryEntry['type'], string>> = {
  f: 'file',
  d: 'directory',
  l: 'symbolic link',
  c: 'character device',
  b: 'block device',
  p: 'FIFO',
  s: 'socket',
  refused: 'entry of a later version',
};

class DumpJob {
  readonly #access: ReadAccess;
  readonly #options: DumpOptions;
  readonly #place: ArchivePlace;
  readonly #turns: Turns;
  readonly #bytesTotal: number;
  #bytesDone = 0;
  #filesDone = 0;

  constructor(access: ReadAccess, options: DumpOptions, place: ArchivePlace) {
    this.#access = access;
    this.#options = options;
    this.#place = place;
    this.#turns = new Turns(systemClock, options.signal);
    this.#bytesTotal = Number(place.directory?.bytes ?? place.node?.size ?? 0n);
  }

  async *file(names: readonly Uint8Array[]): Bytes {
    const { node } = this.#place;
    if (node?.content === undefined) {
      const path = names.length === 0 ? '/' : printable(pathOf(names));
      const found = `it is a ${typeNames[node?.type ?? 'd']}, expected a file`;
      throw new NotFoundError('file', path, `Cannot dump file "${path}": ${found}`);
    }
    for await (const piece of readContent(this.#access, node.content)) {
      yield piece;
      await this.#note(piece.length);
    }
  }

  async *tar(): Bytes {
    let size = 0n;
    for await (const entry of this.#entries(canBeInTar)) {
      const header = tarHeader(entry);
      yield header;
      const contentSize = tarContentSize(entry);
      if (contentSize > 0n) yield* this.#content(entry);
      const padding = tarPadding(contentSize);
      if (padding.length > 0) yield padding;
      size += BigInt(header.length + padding.length) + contentSize;
    }
    yield tarEnd(size);
  }

  async *zip(): Bytes {
    const records: Uint8Array[] = [];
    let offset = 0n;
    const counted = (bytes: Uint8Array): Uint8Array => {
      offset += BigInt(bytes.length);
      return bytes;
    };
    for await (const entry of this.#entries(canBeInZip)) {
      const start = offset;
      const stored = zipInline(entry);
      const size = BigInt(stored.length);
      const content: ZipContent = { crc: crc32(stored), size, storedSize: size };
      yield counted(zipLocalHeader(entry, content));
      if (isDeflatedInZip(entry)) {
        for await (const piece of this.#deflated(entry, content)) yield counted(piece);
        yield counted(zipDescriptor(entry, content));
      } else if (stored.length > 0) yield counted(stored);
      records.push(zipDirectoryRecord(entry, content, start));
    }
    const directoryOffset = offset;
    for (const record of records) yield counted(record);
    const count = records.length;
    yield zipEnd({ count, size: offset - directoryOffset, offset: directoryOffset });
  }

  async *#entries(
    canBe: (entry: ArchiveEntry) => boolean,
  ): AsyncGenerator<ArchiveEntry, void, undefined> {
    const { onSkipped = () => {} } = this.#options;
    for await (const entry of archiveEntries(this.#access, this.#place, onSkipped)) {
      this.#filesDone += 1;
      if (canBe(entry)) yield entry;
      else onSkipped(entry.name, 'special_file');
      await this.#note(0);
    }
  }

  async *#content({ node }: ArchiveEntry): Bytes {
    if (node.content === undefined) return;
    for await (const piece of readContent(this.#access, node.content)) {
      yield piece;
      await this.#note(piece.length);
    }
  }

  /** @param sums gets the checksum and sizes */
  async *#deflated(entry: ArchiveEntry, sums: ZipContent): Bytes {
    const content = this.#content(entry);
    const plain = async function* (): Bytes {
      for await (const piece of content) {
        sums.crc = crc32(piece, sums.crc);
        sums.size += BigInt(piece.length);
        yield piece;
      }
    };
    const deflate = createDeflateRaw();
    // What fails on the way comes out of the stream; the promise would tell it a second time.
    pipeline(Readable.from(plain(), { objectMode: false }), deflate).catch(() => {});
    for await (const piece of deflate as AsyncIterable<Uint8Array>) {
      sums.storedSize += BigInt(piece.length);
      yield piece;
    }
  }

  async #note(bytes: number): Promise<void> {
    this.#bytesDone += bytes;
    if (!this.#turns.isOver) return;
    this.#options.onProgress?.({
      phase: 'dump',
      filesDone: this.#filesDone,
      bytesDone: this.#bytesDone,
      bytesTotal: this.#bytesTotal,
    });
    await this.#turns.next();
  }
}
