/**
 * What reading the last version takes: a chunk is decoded once, and each chunk below it in its chain of
 * bases once. Told by the index alone; nothing of the chunks is read.
 */
import { openReadAccess, type ReadAccess } from '../../src/repository/read-access.ts';
import type { Repository } from '../../src/repository/repository.ts';
import type { Content } from '../../src/tree/content.ts';
import type { DirectoryRoot } from '../../src/tree/node.ts';

/** Of the chunks of one snapshot, each as often as it occurs. */
export interface Decodings {
  chunks: number;
  mean: number;
  largest: number;
}

/** Of the newest snapshot. @throws when there is none, or a chunk of it is not there. */
export async function countDecodings(repository: Repository): Promise<Decodings> {
  const access = await openReadAccess(repository);
  const last = access.view.snapshots.at(-1);
  if (last === undefined) throw new Error('no snapshot');
  const counter = new Counter(access);
  await counter.addDirectory(last.manifest.root);
  const { chunks, sum, largest } = counter;
  return { chunks, mean: chunks === 0 ? 0 : sum / chunks, largest };
}

class Counter {
  chunks = 0;
  sum = 0;
  largest = 0;
  readonly #access: ReadAccess;

  constructor(access: ReadAccess) {
    this.#access = access;
  }

  async addDirectory(root: DirectoryRoot): Promise<void> {
    for await (const entries of this.#access.directory(root)) {
      for (const entry of entries) {
        if (entry.directory !== undefined) await this.addDirectory(entry.directory);
        if (entry.type === 'f' && entry.content !== undefined) {
          await this.#addContent(entry.content);
        }
      }
    }
  }

  async #addContent(content: Content): Promise<void> {
    if (content.kind === 'empty') return;
    for await (const chunks of this.#access.chunks(content)) {
      for (const { id } of chunks) {
        if (id === undefined) continue;
        const location = this.#access.locateChunk(id);
        if (location === undefined) throw new Error('a chunk that is not in the index');
        this.#add((location.blob.delta?.depth ?? 0) + 1);
      }
    }
  }

  #add(count: number): void {
    this.chunks += 1;
    this.sum += count;
    this.largest = Math.max(this.largest, count);
  }
}
