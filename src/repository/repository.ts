/**
 * An open repository: storage, keys, parameters, local index and writer state as one object, which
 * the operations of `backup/`, `restore/`, `maintain/` and `browse/` work on.
 */
import type { BlobIdentifier } from '../blob/blob-ids.ts';
import type { RepositoryId } from '../id.ts';

import type { RepositoryKeys } from '../keys/key-hierarchy.ts';
import type { RepositoryConfig } from '../record/config.ts';
import type { Storage } from '../storage/storage.ts';
import type { Clock } from '../util/clock.ts';
import type { Random } from '../util/random.ts';
import type { ZstdCodec } from '../util/zstd.ts';
import type { IndexHolder } from './index-holder.ts';
import type { OpenedKeySlot } from './key-slots.ts';
import type { PackLedger } from './pack-ledger.ts';
import type { WriterStateStore } from './writer-state.ts';

/** What this program calls itself in records. */
export const PROGRAM = 'varve 0.1.0';

/** Told once per condition: something a user should know that stops nothing. */
export type OnNotice = (text: string) => void;

/** What is known once the keys are open; enough to read records. */
export interface RepositoryCore {
  readonly id: RepositoryId;
  readonly storage: Storage;
  readonly keys: RepositoryKeys;
  readonly config: RepositoryConfig;
  /** False when a later format says that this program may only read. */
  readonly canWrite: boolean;
  readonly clock: Clock;
  readonly random: Random;
  readonly onNotice: OnNotice;
}

/** What a worker has of a repository: enough to read and write packs. */
export interface WorkerCore extends RepositoryCore {
  readonly identify: BlobIdentifier;
  readonly codec: ZstdCodec;
}

export interface Repository extends WorkerCore {
  /** False when a later format says that this program must not collect. */
  readonly canCollect: boolean;
  /** The one that opened the keys, or took its place when the passphrase was changed. */
  keySlot: OpenedKeySlot;
  /** Threads that an operation may use; 0: everything runs on the calling thread. */
  readonly jobs: number;
  /** Bytes that one operation may use, mapped files aside. */
  readonly memory: number;
  readonly writerStates: WriterStateStore;
  /** What was learned by reading packs. */
  readonly ledger: PackLedger;
  /** The local index, opened at first use. */
  readonly index: IndexHolder;
  close(): Promise<void>;
}
