/**
 * Records of forgetting and collecting: tombs, marks, sweeps, merged sweeps and what says that a
 * sweep was carried out (docs/repository-format.md section 6). They decide which snapshots and packs
 * no longer count. Names of packs are 64 hex digits, ids of sessions 32.
 */
import { assert } from '../util/assert.ts';
import { demand } from '../util/byte-reader.ts';
import type { JsonObject } from './canonical-json.ts';
import { type ChainFields, encodeChain, encodeRecord, parseChain, parseRecord } from './record.ts';
import { hexField, hexListField, integerField, objectListField } from './record-fields.ts';

/** Of a tomb. A record with all of them beside the longest chain fields is below `RECORD_SIZE_MAX`. */
export const FORGOTTEN_COUNT_MAX = 50_000;
export const MERGES_COUNT_MAX = 50_000;
export const CLOSED_COUNT_MAX = 300_000;
/** Packs that one record names. */
export const SWEPT_COUNT_MAX = 200_000;

/** A snapshot as a tomb names it. */
export interface ForgottenSnapshot {
  sessionId: string;
  writerId: string;
  writerSeq: number;
  /** SHA-256 of the manifest's file, hex. */
  hash: string;
}

export interface Tomb {
  chain: ChainFields;
  forgotten: ForgottenSnapshot[];
  /** Hashes of the tombs this one replaces, and sessions closed for ever; empty unless merged. */
  merges: string[];
  closed: string[];
}

export function encodeTomb({ chain, forgotten, merges, closed }: Tomb): Uint8Array {
  assert(forgotten.length <= FORGOTTEN_COUNT_MAX, 'forgotten snapshots in one tomb');
  assert(merges.length <= MERGES_COUNT_MAX, 'tombs merged in one');
  assert(closed.length <= CLOSED_COUNT_MAX, 'closed sessions in one tomb');
  return encodeRecord('tomb', {
    ...encodeChain(chain),
    forgotten: forgotten.map(({ sessionId, writerId, writerSeq, hash }) => ({
      session_id: sessionId,
      writer_id: writerId,
      writer_seq: writerSeq,
      hash,
    })),
    ...(merges.length > 0 && { merges }),
    ...(closed.length > 0 && { closed }),
  });
}

export function parseTomb(payload: Uint8Array): Tomb {
  const record = parseRecord(payload, 'tomb');
  const forgotten = objectListField(record, 'forgotten').map((entry) => ({
    sessionId: hexField(entry, 'session_id', 16),
    writerId: hexField(entry, 'writer_id', 16),
    writerSeq: integerField(entry, 'writer_seq', 1),
    hash: hexField(entry, 'hash', 32),
  }));
  const merges = optionalHexList(record, 'merges', 32);
  const closed = optionalHexList(record, 'closed', 16);
  demand(forgotten.length <= FORGOTTEN_COUNT_MAX, 'too many forgotten snapshots in one tomb');
  demand(merges.length <= MERGES_COUNT_MAX, 'too many tombs merged in one');
  demand(closed.length <= CLOSED_COUNT_MAX, 'too many closed sessions in one tomb');
  return {
    chain: parseChain(record),
    forgotten,
    merges,
    closed,
  };
}

export interface Mark {
  chain: ChainFields;
  generation: number;
  previousSweep: string;
  /** Snapshots whose reachable blobs the collector counted as live. */
  counted: { sessionId: string; root: string }[];
  condemned: string[];
}

/** @param basesRewritten how many deltas the repack stored whole, so that their bases can go. */
export function encodeMark(mark: Mark, basesRewritten: number): Uint8Array {
  assert(mark.condemned.length <= SWEPT_COUNT_MAX, 'packs in one mark');
  return encodeRecord('mark', {
    ...encodeChain(mark.chain),
    generation: mark.generation,
    previous_sweep: mark.previousSweep,
    counted: mark.counted.map(({ sessionId, root }) => ({ session_id: sessionId, root })),
    condemned: mark.condemned,
    bases_rewritten: basesRewritten,
  });
}

export function parseMark(payload: Uint8Array): Mark {
  const record = parseRecord(payload, 'mark');
  return {
    chain: parseChain(record),
    generation: integerField(record, 'generation', 1),
    previousSweep: hexField(record, 'previous_sweep', 32),
    counted: objectListField(record, 'counted').map((entry) => ({
      sessionId: hexField(entry, 'session_id', 16),
      root: hexField(entry, 'root', 32),
    })),
    condemned: hexListField(record, 'condemned', 32),
  };
}

export interface Sweep {
  chain: ChainFields;
  generation: number;
  /** SHA-256 of the mark's file, hex. */
  mark: string;
  delete: string[];
  /** Packs that the mark condemned and that are needed after all. */
  rescued: string[];
  /** Sessions that the collector fenced. */
  fenced: string[];
  /** Snapshots that were live when it was decided. */
  liveSnapshots: string[];
}

export function encodeSweep(sweep: Sweep): Uint8Array {
  assert(sweep.delete.length <= SWEPT_COUNT_MAX, 'packs in one sweep');
  return encodeRecord('sweep', {
    ...encodeChain(sweep.chain),
    generation: sweep.generation,
    mark: sweep.mark,
    delete: sweep.delete,
    rescued: sweep.rescued,
    fenced: sweep.fenced,
    live_snapshots: sweep.liveSnapshots,
  });
}

export function parseSweep(payload: Uint8Array): Sweep {
  const record = parseRecord(payload, 'sweep');
  return {
    chain: parseChain(record),
    generation: integerField(record, 'generation', 1),
    mark: hexField(record, 'mark', 32),
    delete: hexListField(record, 'delete', 32),
    rescued: hexListField(record, 'rescued', 32),
    fenced: hexListField(record, 'fenced', 16),
    liveSnapshots: hexListField(record, 'live_snapshots', 16),
  };
}

/** A merged sweep: everything swept in the generations `from` to `generation`. */
export interface MergedSweep {
  chain: ChainFields;
  generation: number;
  from: number;
  delete: string[];
}

export function encodeMergedSweep(merged: MergedSweep): Uint8Array {
  assert(merged.delete.length <= SWEPT_COUNT_MAX, 'packs in one merged sweep');
  return encodeRecord('merged', {
    ...encodeChain(merged.chain),
    generation: merged.generation,
    from: merged.from,
    delete: merged.delete,
  });
}

export function parseMergedSweep(payload: Uint8Array): MergedSweep {
  const record = parseRecord(payload, 'merged');
  const merged = {
    chain: parseChain(record),
    generation: integerField(record, 'generation', 1),
    from: integerField(record, 'from', 1),
    delete: hexListField(record, 'delete', 32),
  };
  demand(merged.from <= merged.generation, 'merged sweep covers nothing');
  demand(merged.delete.length <= SWEPT_COUNT_MAX, 'too many swept packs in one merged sweep');
  return merged;
}

/** Says that everything a sweep names is deleted. */
export interface Done {
  generation: number;
  /** SHA-256 of the sweep's file, hex. */
  sweep: string;
}

export function encodeDone({ generation, sweep }: Done): Uint8Array {
  return encodeRecord('done', { generation, sweep });
}

export function parseDone(payload: Uint8Array): Done {
  const record = parseRecord(payload, 'done');
  return {
    generation: integerField(record, 'generation', 1),
    sweep: hexField(record, 'sweep', 32),
  };
}

function optionalHexList(record: JsonObject, key: string, size: number): string[] {
  return record[key] === undefined ? [] : hexListField(record, key, size);
}
