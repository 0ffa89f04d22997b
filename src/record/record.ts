/**
 * What all JSON records share: `schema` says which shape a record has, `requires` names features a
 * reader must know. Records are encoded and parsed here; their own fields are read by the modules
 * beside this one and by `snapshot/`.
 */
import { VersionError } from '../errors.ts';
import { demand } from '../util/byte-reader.ts';
import { encodeCanonical, type JsonObject, parseCanonical } from './canonical-json.ts';
import {
  hexField,
  integerField,
  objectListField,
  textField,
  textListField,
} from './record-fields.ts';

/** Names of the record schemas of format 1, each as `varve.<name>/1`. */
export type SchemaName =
  | 'keyring'
  | 'config'
  | 'snapshot'
  | 'fence'
  | 'tomb'
  | 'mark'
  | 'sweep'
  | 'merged'
  | 'done'
  | 'session'
  | 'heartbeat';

const SCHEMA_PATTERN = /^varve\.([a-z]+)\/([1-9][0-9]{0,5})$/;

/** The payload of a record: `fields` with the schema and an empty `requires`. */
export function encodeRecord(schema: SchemaName, fields: JsonObject): Uint8Array {
  return encodeCanonical({ requires: [], ...fields, schema: `varve.${schema}/1` });
}

/**
 * The fields of a record of this schema.
 * @throws Malformed when it is not one.
 * @throws VersionError for a later shape or a feature this program does not know.
 */
export function parseRecord(payload: Uint8Array, schema: SchemaName): JsonObject {
  const record = parseCanonical(payload);
  const found = textField(record, 'schema');
  const match = SCHEMA_PATTERN.exec(found);
  demand(match !== null && match[1] === schema, `schema ${found}`);
  if (match[2] !== '1') throw new VersionError(`a ${schema} record`, found, `varve.${schema}/1`);
  const requires = textListField(record, 'requires');
  if (requires.length > 0) {
    throw new VersionError(`a ${schema} record`, `required features ${requires}`, 'none');
  }
  return record;
}

/** Newest record of a writer, as others saw it. */
export interface SeenHead {
  writerId: string;
  seq: number;
  /** SHA-256 of the record's file, hex. */
  hash: string;
}

/** Fields that chain the records of one writer and tie them to those of others. */
export interface ChainFields {
  repositoryId: string;
  writerId: string;
  writerSeq: number;
  /** SHA-256 of this writer's previous record file, zeros for the first. */
  previous: string;
  seen: SeenHead[];
  gcGeneration: number;
  configNumber: number;
  program: string;
}

export const SEEN_COUNT_MAX = 4096;

export function encodeChain(chain: ChainFields): JsonObject {
  const seen = chain.seen.map(({ writerId, seq, hash }) => ({ writer_id: writerId, seq, hash }));
  return {
    repo_id: chain.repositoryId,
    writer_id: chain.writerId,
    writer_seq: chain.writerSeq,
    previous: chain.previous,
    seen,
    gc_generation: chain.gcGeneration,
    config_number: chain.configNumber,
    program: chain.program,
  };
}

export function parseChain(record: JsonObject): ChainFields {
  const seen = objectListField(record, 'seen').map((head) => ({
    writerId: hexField(head, 'writer_id', 16),
    seq: integerField(head, 'seq', 1),
    hash: hexField(head, 'hash', 32),
  }));
  demand(seen.length <= SEEN_COUNT_MAX, 'seen too long');
  for (let i = 1; i < seen.length; i++) {
    demand((seen[i - 1]?.writerId ?? '') < (seen[i]?.writerId ?? ''), 'seen out of order');
  }
  return {
    repositoryId: hexField(record, 'repo_id', 32),
    writerId: hexField(record, 'writer_id', 16),
    writerSeq: integerField(record, 'writer_seq', 1),
    previous: hexField(record, 'previous', 32),
    seen,
    gcGeneration: integerField(record, 'gc_generation'),
    configNumber: integerField(record, 'config_number'),
    program: textField(record, 'program'),
  };
}
