/**
 * Seals tombs, marks, sweeps, merged sweeps, config updates and fences, with any content, into the
 * storage of an open repository: what a collector or another client would have left there.
 */
import { createHash } from 'node:crypto';
import type { SessionId } from '../../src/id.ts';
import type { JsonObject } from '../../src/record/canonical-json.ts';
import { encodeConfig, encodeConfigClear, type RepositoryConfig } from '../../src/record/config.ts';
import { OBJECT_KIND, type ObjectKind } from '../../src/record/object-kind.ts';
import {
  type ChainFields,
  encodeChain,
  encodeRecord,
  type SchemaName,
} from '../../src/record/record.ts';
import { sealObject } from '../../src/record/sealed-object.ts';
import { encodeFence, type FenceReason } from '../../src/record/session-records.ts';
import type { RepositoryCore } from '../../src/repository/repository.ts';
import { encodeManifest } from '../../src/snapshot/manifest.ts';
import type { Snapshot } from '../../src/snapshot/selection.ts';
import { toHex } from '../../src/util/bytes.ts';
import { seededRandom } from './seeded-random.ts';

export interface TombContent {
  readonly forgotten?: readonly Snapshot[];
  readonly closed?: readonly string[];
  readonly merges?: readonly string[];
}

export class RecordWriter {
  readonly #core: RepositoryCore;
  readonly #random = seededRandom(4711);
  readonly #writerId: string;
  #seq = 0;

  constructor(core: RepositoryCore) {
    this.#core = core;
    this.#writerId = toHex(this.#random.bytes(16));
  }

  /** Puts a manifest there that says just this, whoever's it is. */
  async snapshot({ id, manifest }: Snapshot): Promise<void> {
    const identity = { kind: OBJECT_KIND.snapshot, name: `snapshots/${id}` };
    await this.#putRecord(identity, encodeManifest(manifest));
  }

  /** Gives the hash in its name. */
  async tomb(content: TombContent, overrides: Partial<ChainFields> = {}): Promise<string> {
    const { forgotten = [], closed = [], merges = [] } = content;
    const fields = {
      ...this.#chain(overrides),
      forgotten: forgotten.map(({ id, hash, manifest }) => ({
        session_id: id,
        writer_id: manifest.chain.writerId,
        writer_seq: manifest.chain.writerSeq,
        hash,
      })),
      ...(closed.length > 0 && { closed: [...closed] }),
      ...(merges.length > 0 && { merges: [...merges] }),
    };
    const file = this.#seal({ kind: OBJECT_KIND.tomb, name: '' }, encodeRecord('tomb', fields));
    const hash = toHex(createHash('sha256').update(file).digest());
    await this.#core.storage.put(`tombs/${hash}`, file);
    return hash;
  }

  async fence(sessionId: SessionId | string, reason: FenceReason = 'expired'): Promise<string> {
    return await this.#putRecord(
      { kind: OBJECT_KIND.fence, name: `snapshots/${sessionId}` },
      encodeFence(reason),
    );
  }

  async mark(
    generation: number,
    content: { condemned: readonly string[]; counted?: readonly Snapshot[] },
    fields: JsonObject = {},
  ): Promise<string> {
    const counted = (content.counted ?? []).map(({ id, manifest }) => ({
      session_id: id,
      root: toHex(manifest.root.id),
    }));
    return await this.#collectorRecord('mark', generation, {
      ...this.#chain({}),
      previous_sweep: '0'.repeat(64),
      counted,
      condemned: [...content.condemned],
      ...fields,
    });
  }

  async sweep(
    generation: number,
    packs: readonly string[],
    fields: JsonObject = {},
  ): Promise<string> {
    const content = {
      ...this.#chain({}),
      mark: '0'.repeat(64),
      delete: [...packs],
      rescued: [],
      fenced: [],
      live_snapshots: [],
      ...fields,
    };
    return await this.#collectorRecord('sweep', generation, content);
  }

  async mergedSweep(
    generation: number,
    content: { from: number; packs: readonly string[] },
  ): Promise<string> {
    const { from, packs } = content;
    const fields = { ...this.#chain({}), from, delete: [...packs] };
    return await this.#collectorRecord('merged', generation, fields);
  }

  async configUpdate(number: number, config: RepositoryConfig): Promise<string> {
    const name = `config.d/${number.toString(16).padStart(8, '0')}`;
    const payload = encodeConfig(config, encodeConfigClear(this.#core.id));
    return await this.#putRecord({ kind: OBJECT_KIND.config, name }, payload);
  }

  async #collectorRecord(
    schema: SchemaName & ('mark' | 'sweep' | 'merged'),
    generation: number,
    fields: JsonObject,
  ): Promise<string> {
    const name = `gc/${generation.toString(16).padStart(16, '0')}.${schema}`;
    const kind = schema === 'mark' ? OBJECT_KIND.mark : OBJECT_KIND.sweep;
    return await this.#putRecord({ kind, name }, encodeRecord(schema, { generation, ...fields }));
  }

  async #putRecord(
    identity: { kind: ObjectKind; name: string },
    payload: Uint8Array,
  ): Promise<string> {
    await this.#core.storage.putIfAbsent(identity.name, this.#seal(identity, payload));
    return identity.name;
  }

  #seal(identity: { kind: ObjectKind; name: string }, payload: Uint8Array): Uint8Array {
    return sealObject(this.#core.keys, identity, { payload, salt: this.#random.bytes(32) });
  }

  #chain(overrides: Partial<ChainFields>): JsonObject {
    this.#seq += 1;
    return encodeChain({
      repositoryId: toHex(this.#core.id),
      writerId: this.#writerId,
      writerSeq: this.#seq,
      previous: '0'.repeat(64),
      seen: [],
      gcGeneration: 0,
      configNumber: 0,
      program: 'test',
      ...overrides,
    });
  }
}
