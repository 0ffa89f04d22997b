/**
 * Writing the records that are not snapshots: tombs, marks, sweeps. Each continues the chain of this
 * client, and is remembered as its newest once it is stored (`heads.ts`).
 *
 * A process that stops between the two leaves a record that its state does not know; the next session
 * notices and goes on as a new writer, so no number is given twice.
 */
import { createHash } from 'node:crypto';
import { createSaltSource, type SaltSource } from '../keys/salt-source.ts';
import { encodeTomb, type Tomb } from '../record/collector-records.ts';
import { OBJECT_KIND, type ObjectKind } from '../record/object-kind.ts';
import type { ChainFields } from '../record/record.ts';
import { sealObject } from '../record/sealed-object.ts';
import { equalBytes, fromHex, toHex } from '../util/bytes.ts';
import { isOvertaken, newlySeen, nextChain, rememberHeads, rollbackNotice } from './heads.ts';
import { demandWritable } from './open-repository.ts';
import { relyOn } from './rely-on.ts';
import type { Repository } from './repository.ts';
import type { View } from './view.ts';
import { newWriter, type WriterLease, type WriterState } from './writer-state.ts';

export interface PutRecord {
  /** False: another one has the name. */
  isStored: boolean;
  /** SHA-256 of the file that this call made, hex. */
  hash: string;
}

export class ChainWriter {
  readonly newSalt: SaltSource;
  readonly #repository: Repository;
  readonly #lease: WriterLease;
  #view: View;
  #state: WriterState;

  private constructor(
    repository: Repository,
    parts: { lease: WriterLease; view: View; state: WriterState },
  ) {
    const { keys, random, clock } = repository;
    this.#repository = repository;
    this.#lease = parts.lease;
    this.#view = parts.view;
    this.#state = parts.state;
    const writerId = fromHex(parts.state.writerId);
    this.newSalt = createSaltSource(keys.current, { writerId, random, clock });
  }

  /**
   * @param view loaded by this process; what it shows is what the records say they have seen.
   * @throws VersionError where this program may not write.
   */
  static async open(repository: Repository, view: View): Promise<ChainWriter> {
    demandWritable(repository);
    const { writerStates, random, onNotice } = repository;
    const lease = await writerStates.acquire(onNotice);
    const notice = rollbackNotice(repository, { state: lease.state, view });
    if (notice !== undefined) onNotice(notice);
    const isOurs = !isOvertaken(lease.state, view);
    const state = isOurs ? lease.state : newWriter(random, lease.state);
    return new ChainWriter(repository, { lease, view, state });
  }

  /** Of the client, or of this writer alone where another process of the client is at work. */
  get writerId(): string {
    return this.#state.writerId;
  }

  /** From now on records say that they have seen this view, which was loaded later than the one before. */
  see(view: View): void {
    this.#view = view;
  }

  /** Stores a tomb, durably, and gives the hash in its name. */
  async putTomb(tomb: Omit<Tomb, 'chain'>): Promise<string> {
    const { storage } = this.#repository;
    const chain = this.#nextChain(tomb.merges.length > 0);
    const payload = encodeTomb({ ...tomb, chain });
    const { file, hash } = this.#seal({ kind: OBJECT_KIND.tomb, name: '' }, payload);
    await this.#relyOnSeen();
    await storage.put(`tombs/${hash}`, file);
    await storage.sync();
    await this.#remember(chain, hash);
    return hash;
  }

  /**
   * Stores a record under a name that others may want too (a merged one if `isMerging`); durable when this returns. Losing the name
   * to the very same bytes means that an earlier attempt had won it.
   */
  async putIfAbsent(
    identity: { kind: ObjectKind; name: string },
    encode: (chain: ChainFields) => Uint8Array,
    { isMerging = false }: { isMerging?: boolean } = {},
  ): Promise<PutRecord> {
    const { storage } = this.#repository;
    const { name } = identity;
    const chain = this.#nextChain(isMerging);
    const { file, hash } = this.#seal(identity, encode(chain));
    await this.#relyOnSeen();
    const outcome = await storage.putIfAbsent(name, file);
    const isStored = outcome === 'created' || equalBytes(await storage.get(name), file);
    if (isStored) await this.#remember(chain, hash);
    return { isStored, hash };
  }

  async close(): Promise<void> {
    await this.#lease.release().catch(() => {});
  }

  #nextChain(isMerging: boolean): ChainFields {
    return nextChain(this.#repository, { state: this.#state, view: this.#view, isMerging });
  }

  async #relyOnSeen(): Promise<void> {
    const names = newlySeen({ state: this.#state, view: this.#view });
    if (names.length > 0) await relyOn(this.#repository.storage, names);
  }

  #seal(
    identity: { kind: ObjectKind; name: string },
    payload: Uint8Array,
  ): { file: Uint8Array; hash: string } {
    const file = sealObject(this.#repository.keys, identity, { payload, salt: this.newSalt });
    return { file, hash: toHex(createHash('sha256').update(file).digest()) };
  }

  async #remember(chain: ChainFields, head: string): Promise<void> {
    this.#state = rememberHeads({ state: this.#state, view: this.#view, chain, head });
    try {
      await this.#lease.save(this.#state);
    } catch (error) {
      this.#repository.onNotice(`Cannot update the local state: ${(error as Error).message}`);
    }
  }
}
