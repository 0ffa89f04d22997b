/**
 * What a client must not forget about a repository: which writer it is, how many records it wrote,
 * and the newest record it knows of every writer. Unlike the cache this is not disposable, so it
 * has a file of its own, replaced by fsync and rename (docs/repository-format.md section 16).
 *
 * A writer id is used by one session at a time: the first takes the lock file beside the state; a
 * second one running meanwhile, in whatever process, or a client whose state is lost or unreadable,
 * draws a new id.
 */
import { join } from 'node:path';
import type { RepositoryId, WriterId } from '../id.ts';
import { encodeCanonical, type JsonObject, parseCanonical } from '../record/canonical-json.ts';
import type { SeenHead } from '../record/record.ts';
import { hexField, integerField, objectListField } from '../record/record-fields.ts';
import { BOOT_ID } from '../util/boot-id.ts';
import { Malformed } from '../util/byte-reader.ts';
import { decodeUtf8, encodeUtf8, toHex } from '../util/bytes.ts';
import type { Random } from '../util/random.ts';
import type { StateFs } from './state-fs.ts';

export interface WriterState {
  writerId: WriterId;
  /** Records written so far; 0 for a new writer. */
  writerSeq: number;
  /** SHA-256 of the newest record of this writer, hex; zeros for a new writer. */
  previous: string;
  /** Newest record known of every writer, sorted by writer id. */
  heads: SeenHead[];
  gcGeneration: number;
  configNumber: number;
}

const NO_RECORD = '0'.repeat(64);

/** The state to write a session with. Only one lease at a time owns the writer id that is kept. */
export interface WriterLease {
  readonly state: WriterState;
  /** Keeps the state, where this lease owns the id that is kept; others are forgotten. */
  save(state: WriterState): Promise<void>;
  release(): Promise<void>;
}

export class WriterStateStore {
  readonly #directory: string;
  readonly #name: string;
  readonly #fs: StateFs;
  readonly #random: Random;

  constructor(options: {
    directory: string;
    repositoryId: RepositoryId;
    fs: StateFs;
    random: Random;
  }) {
    this.#directory = options.directory;
    this.#name = toHex(options.repositoryId);
    this.#fs = options.fs;
    this.#random = options.random;
  }

  /**
   * The state to write with. Call `release` when the session has ended. Where no state can be kept
   * the session works as a writer of its own, which is told.
   */
  async acquire(onNotice: (text: string) => void): Promise<WriterLease> {
    let isOwner = false;
    let known: WriterState | undefined;
    try {
      await this.#fs.makeDirectory(this.#directory);
      isOwner = await this.#lock();
      known = await this.peek();
    } catch (error) {
      onNotice(`Cannot keep the writer state: ${(error as Error).message}`);
      known = await this.peek().catch(() => undefined);
    }
    return {
      state: isOwner && known !== undefined ? known : newWriter(this.#random, known),
      save: async (state) => {
        if (isOwner) await this.#fs.replace(this.#path('json'), encodeState(state));
      },
      release: async () => {
        if (isOwner) await this.#fs.remove(this.#path('lock'));
        isOwner = false;
      },
    };
  }

  /**
   * What was remembered, without taking the writer id; undefined when nothing usable was.
   * @throws the file system's error when there is a state that cannot be read.
   */
  async peek(): Promise<WriterState | undefined> {
    const bytes = await this.#fs.read(this.#path('json'));
    try {
      return parseState(bytes);
    } catch (error) {
      if (error instanceof Malformed) return undefined;
      throw error;
    }
  }

  /** True when this lease now is the only one to write as this client. */
  async #lock(): Promise<boolean> {
    const path = this.#path('lock');
    const content = encodeUtf8(`${process.pid} ${BOOT_ID}\n`);
    if (await this.#fs.createExclusive(path, content)) return true;
    const holder = await this.#fs.read(path).catch(() => undefined);
    if (holder !== undefined && isHeldByLiveProcess(holder)) return false;
    await this.#fs.remove(path);
    return await this.#fs.createExclusive(path, content);
  }

  #path(extension: string): string {
    return join(this.#directory, `${this.#name}.${extension}`);
  }
}

/** A writer that has written nothing, and remembers of others what `known` does. */
export function newWriter(random: Random, known: WriterState | undefined): WriterState {
  return {
    writerId: toHex(random.bytes(16)) as WriterId,
    writerSeq: 0,
    previous: NO_RECORD,
    heads: known?.heads ?? [],
    gcGeneration: known?.gcGeneration ?? 0,
    configNumber: known?.configNumber ?? 0,
  };
}

function isHeldByLiveProcess(lock: Uint8Array): boolean {
  const match = /^([1-9][0-9]{0,9}) ([0-9a-f]{32})\n$/.exec(decodeUtf8(lock) ?? '');
  if (match === null || match[2] !== BOOT_ID) return false;
  try {
    process.kill(Number(match[1]), 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

function encodeState(state: WriterState): Uint8Array {
  const heads = state.heads.map(({ writerId, seq, hash }) => ({ writer_id: writerId, seq, hash }));
  return encodeCanonical({
    writer_id: state.writerId,
    writer_seq: state.writerSeq,
    previous: state.previous,
    heads,
    gc_generation: state.gcGeneration,
    config_number: state.configNumber,
  } satisfies JsonObject);
}

function parseState(bytes: Uint8Array | undefined): WriterState | undefined {
  if (bytes === undefined) return undefined;
  const record = parseCanonical(bytes);
  return {
    writerId: hexField(record, 'writer_id', 16) as WriterId,
    writerSeq: integerField(record, 'writer_seq'),
    previous: hexField(record, 'previous', 32),
    heads: objectListField(record, 'heads').map((head) => ({
      writerId: hexField(head, 'writer_id', 16),
      seq: integerField(head, 'seq', 1),
      hash: hexField(head, 'hash', 32),
    })),
    gcGeneration: integerField(record, 'gc_generation'),
    configNumber: integerField(record, 'config_number'),
  };
}
