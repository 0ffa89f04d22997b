/**
 * Records of forgetting and collecting: tombs, marks, sweeps and merged sweeps. This version reads
 * them, because they say which snapshots and packs no longer count; it does not write them yet.
 */
import { demand } from '../util/byte-reader.ts';
import type { JsonObject } from './canonical-json.ts';
import { type ChainFields, parseChain, parseRecord } from './record.ts';
import { hexField, hexListField, integerField, objectListField } from './record-fields.ts';

const FORGOTTEN_COUNT_MAX = 100_000;
const CLOSED_COUNT_MAX = 300_000;
const SWEPT_COUNT_MAX = 200_000;

export interface Tomb {
  chain: ChainFields;
  forgotten: { sessionId: string; writerId: string; writerSeq: number; hash: string }[];
  /** Tombs this one replaces, and sessions closed for ever; empty unless merged. */
  merges: string[];
  closed: string[];
}

export function parseTomb(payload: Uint8Array): Tomb {
  const record = parseRecord(payload, 'tomb');
  const forgotten = objectListField(record, 'forgotten').map((entry) => ({
    sessionId: hexField(entry, 'session_id', 16),
    writerId: hexField(entry, 'writer_id', 16),
    writerSeq: integerField(entry, 'writer_seq', 1),
    hash: hexField(entry, 'hash', 32),
  }));
  const closed = optionalHexList(record, 'closed', 16);
  demand(forgotten.length <= FORGOTTEN_COUNT_MAX, 'too many forgotten snapshots in one tomb');
  demand(closed.length <= CLOSED_COUNT_MAX, 'too many closed sessions in one tomb');
  return {
    chain: parseChain(record),
    forgotten,
    merges: optionalHexList(record, 'merges', 32),
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
  delete: string[];
}

export function parseSweep(payload: Uint8Array): Sweep {
  const record = parseRecord(payload, 'sweep');
  return {
    chain: parseChain(record),
    generation: integerField(record, 'generation', 1),
    delete: hexListField(record, 'delete', 32),
  };
}

/** A merged sweep: everything swept in the generations `from` to `generation`. */
export interface MergedSweep {
  chain: ChainFields;
  generation: number;
  from: number;
  delete: string[];
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

function optionalHexList(record: JsonObject, key: string, size: number): string[] {
  return record[key] === undefined ? [] : hexListField(record, key, size);
}
