/**
 * One file of the source into chunks of the repository: read straight into the scanner's memory,
 * cut, identified, written when new. What was read is what is stored; its length becomes the size.
 */
import { BLOB_TYPE } from '../blob/blob-type.ts';
import { chunkStream } from '../chunk/chunk-stream.ts';
import type { Scanner } from '../chunk/scanner-contract.ts';
import type { Session } from '../repository/session.ts';
import { ChunkListBuilder } from '../tree/chunk-list-builder.ts';
import type { Content } from '../tree/content.ts';
import type { AccountNames } from '../walk/account-names.ts';
import type { SourceEntry } from '../walk/source-entry.ts';
import { openSourceFile } from '../walk/source-file.ts';
import type { SourceFs } from '../walk/source-fs.ts';
import { type InodeMetadata, inodeMetadata } from '../walk/source-metadata.ts';

export interface SavedFile {
  content: Content;
  /** As it was when the file was opened. */
  metadata: InodeMetadata;
  /** It was written to while it was read. */
  isChanged: boolean;
}

export interface FileSaverOptions {
  session: Session;
  scanner: Scanner;
  fs: SourceFs;
  accounts: AccountNames;
  /** Called after each chunk with its size: progress, cancel, and a turn for others. */
  onChunk: (size: number) => Promise<void>;
}

export class FileSaver {
  readonly #options: FileSaverOptions;
  #list: ChunkListBuilder;

  constructor(options: FileSaverOptions) {
    this.#options = options;
    this.#list = this.#newList();
  }

  /** @throws SourceError when the file cannot be opened or read; it is then left out. */
  async save(entry: SourceEntry): Promise<SavedFile> {
    const held = entry.hold();
    try {
      const file = openSourceFile({
        fs: this.#options.fs,
        path: held.path,
        displayPath: entry.path,
        identity: entry.identity,
      });
      try {
        const content = await this.#saveContent((target) => file.read(target));
        const metadata = inodeMetadata(file.stat, this.#options.accounts);
        return { content, metadata, isChanged: file.finish().isChanged };
      } finally {
        file.close();
      }
    } finally {
      held.release();
    }
  }

  async #saveContent(read: (target: Uint8Array) => number): Promise<Content> {
    const { session, scanner, onChunk } = this.#options;
    try {
      for (const chunk of chunkStream(scanner, read)) {
        const id = await session.write(BLOB_TYPE.data, chunk);
        await this.#list.add(id, chunk.length);
        await onChunk(chunk.length);
      }
      return await this.#list.finish();
    } catch (error) {
      this.#list = this.#newList(); // The old one holds a part of this file.
      throw error;
    }
  }

  #newList(): ChunkListBuilder {
    return new ChunkListBuilder((list) => this.#options.session.write(BLOB_TYPE.chunkList, list));
  }
}
