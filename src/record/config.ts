/**
 * `config`: 128 clear bytes that say which format this is, then a sealed record with the parameters
 * (docs/repository-format.md section 11). The sealed part repeats the clear one, so that nobody
 * without a key can talk a reader into another version.
 *
 *   magic 8 | major min_reader min_writer min_gc u8 | 4 feature words u64 | repo_id 32 |
 *   shard bits u8 | 0 x 47 | CRC-32C u32
 */
import { VersionError } from '../errors.ts';
import type { RepositoryId } from '../id.ts';
import { ByteReader, demand } from '../util/byte-reader.ts';
import { concatBytes, encodeU32, encodeU64, equalBytes, fromHex, viewOf } from '../util/bytes.ts';
import type { JsonObject } from './canonical-json.ts';
import { FORMAT_MAJOR } from './header.ts';
import { encodeRecord, parseRecord } from './record.ts';
import { integerField, objectField, textField } from './record-fields.ts';

export const CONFIG_CLEAR_SIZE = 128;
const CONFIG_MAGIC = fromHex('895652430d0a1a0a');
const SHARD_BITS = 8;
const CRC_OFFSET = 124;

export interface ConfigClear {
  repositoryId: RepositoryId;
  /** What this program may do here; opening is refused when it may not even read. */
  canWrite: boolean;
  canCollect: boolean;
}

/** Parameters of a repository; an absent key means its default. */
export interface RepositoryConfig {
  chunker: { name: string; average: number; minimum: number; maximum: number };
  pack: { dataTarget: number; metadataTarget: number };
  compressionLevel: number;
  deltaDepthMax: number;
  /** Times of collection, in ms of the storage's clock. */
  gc: {
    /** A session without a sign of life for so long may be fenced. */
    sessionTtlMs: number;
    /** Packs that no segment names are left alone for so long. */
    minimumAgeMs: number;
    /** A forgotten snapshot can be brought back for so long. */
    graceMs: number;
  };
  /** `config.d` number this came from; 0 for `config` itself. */
  number: number;
}

const dayMs = 86_400_000;

/** What a config that says nothing else means; the chunker's own defaults are known to `chunk/`. */
export const DEFAULT_PARAMETERS: Omit<RepositoryConfig, 'chunker'> = {
  pack: { dataTarget: 2 ** 26, metadataTarget: 2 ** 24 },
  compressionLevel: 3,
  deltaDepthMax: 8,
  gc: { sessionTtlMs: dayMs, minimumAgeMs: dayMs, graceMs: dayMs },
  number: 0,
};

/** Largest values of the optional numbers: a pack, a level of zstd, a chain of deltas, 100 years. */
const OPTIONAL_MAX = {
  data_target: 2 ** 30,
  meta_target: 2 ** 30,
  level: 22,
  max_depth: 32,
  session_ttl_ms: 36_525 * dayMs,
  minimum_age_ms: 36_525 * dayMs,
  grace_ms: 36_525 * dayMs,
};
type OptionalKey = keyof typeof OPTIONAL_MAX;

export function encodeConfigClear(repositoryId: RepositoryId): Uint8Array {
  const body = concatBytes(
    CONFIG_MAGIC,
    Uint8Array.of(FORMAT_MAJOR, FORMAT_MAJOR, FORMAT_MAJOR, FORMAT_MAJOR),
    encodeU64(0),
    encodeU64(0),
    encodeU64(0),
    encodeU64(0),
    repositoryId,
    Uint8Array.of(SHARD_BITS),
    new Uint8Array(47),
  );
  return concatBytes(body, encodeU32(crc32c(body)));
}

/**
 * @throws Malformed when it is not the clear part of a config.
 * @throws VersionError when a later format or feature keeps this program from reading.
 */
export function parseConfigClear(config: Uint8Array): ConfigClear {
  demand(config.length >= CONFIG_CLEAR_SIZE, 'shorter than its clear part');
  const reader = new ByteReader(config.subarray(0, CONFIG_CLEAR_SIZE));
  demand(equalBytes(reader.take(8), CONFIG_MAGIC), 'magic');
  const crc = viewOf(config).getUint32(CRC_OFFSET, true);
  demand(crc32c(config.subarray(0, CRC_OFFSET)) === crc, 'check sum of the clear part');
  const [major, minReader, minWriter, minGc] = [reader.u8(), reader.u8(), reader.u8(), reader.u8()];
  const [incompat, readOnlyCompat, gcCompat] = [reader.u64(), reader.u64(), reader.u64()];
  reader.u64(); // compat: ignored by those who do not know it
  if (minReader > FORMAT_MAJOR) {
    throw new VersionError(
      'this repository',
      `format ${major} (readable from format ${minReader} on)`,
      `format ${FORMAT_MAJOR}`,
    );
  }
  if (incompat !== 0n) {
    throw new VersionError('this repository', `feature bits ${incompat.toString(16)}`, 'none');
  }
  const repositoryId = reader.take(32) as RepositoryId;
  demand(reader.u8() === SHARD_BITS, 'shard bits');
  reader.zeros(CRC_OFFSET - reader.offset);
  return {
    repositoryId: new Uint8Array(repositoryId) as RepositoryId,
    canWrite: minWriter <= FORMAT_MAJOR && readOnlyCompat === 0n,
    canCollect: minGc <= FORMAT_MAJOR && gcCompat === 0n,
  };
}

export function encodeConfig(config: RepositoryConfig, clear: Uint8Array): Uint8Array {
  return encodeRecord('config', {
    clear: Buffer.from(clear).toString('base64'),
    chunker: config.chunker,
    pack: { data_target: config.pack.dataTarget, meta_target: config.pack.metadataTarget },
    compression: { level: config.compressionLevel },
    delta: { max_depth: config.deltaDepthMax },
    gc: {
      session_ttl_ms: config.gc.sessionTtlMs,
      minimum_age_ms: config.gc.minimumAgeMs,
      grace_ms: config.gc.graceMs,
    },
  });
}

/**
 * @param number of the update this is, 0 for `config` itself.
 * @throws Malformed when it is no config, or repeats another clear part (a downgrade attempt).
 */
export function parseConfig(
  payload: Uint8Array,
  options: { clear: Uint8Array; number: number; defaults: RepositoryConfig },
): RepositoryConfig {
  const record = parseRecord(payload, 'config');
  const clear = Buffer.from(options.clear).toString('base64');
  demand(textField(record, 'clear') === clear, 'the sealed part repeats another clear part');
  const { defaults } = options;
  const pack = optionalObject(record, 'pack');
  const compression = optionalObject(record, 'compression');
  const delta = optionalObject(record, 'delta');
  const gc = optionalObject(record, 'gc');
  return {
    chunker: record['chunker'] === undefined ? defaults.chunker : parseChunker(record),
    pack: {
      dataTarget: optionalInteger(pack, 'data_target', defaults.pack.dataTarget),
      metadataTarget: optionalInteger(pack, 'meta_target', defaults.pack.metadataTarget),
    },
    compressionLevel: optionalInteger(compression, 'level', defaults.compressionLevel),
    deltaDepthMax: optionalInteger(delta, 'max_depth', defaults.deltaDepthMax),
    gc: {
      sessionTtlMs: optionalInteger(gc, 'session_ttl_ms', defaults.gc.sessionTtlMs),
      minimumAgeMs: optionalInteger(gc, 'minimum_age_ms', defaults.gc.minimumAgeMs),
      graceMs: optionalInteger(gc, 'grace_ms', defaults.gc.graceMs),
    },
    number: options.number,
  };
}

/** Its sizes are judged where files are cut; a reader needs none of them. */
function parseChunker(record: JsonObject): RepositoryConfig['chunker'] {
  const chunker = objectField(record, 'chunker');
  return {
    name: textField(chunker, 'name'),
    average: integerField(chunker, 'average'),
    minimum: integerField(chunker, 'minimum'),
    maximum: integerField(chunker, 'maximum'),
  };
}

function optionalObject(record: JsonObject, key: string): JsonObject {
  return record[key] === undefined ? {} : objectField(record, key);
}

/** The field, or its default where it is absent; never above what the format allows. */
function optionalInteger(record: JsonObject, key: OptionalKey, otherwise: number): number {
  if (record[key] === undefined) return otherwise;
  const value = integerField(record, key);
  demand(value <= OPTIONAL_MAX[key], `${key} is above ${OPTIONAL_MAX[key]}`);
  return value;
}

/** CRC-32C (Castagnoli), bit by bit: it guards 124 bytes once per run. */
function crc32c(bytes: Uint8Array): number {
  let remainder = -1;
  for (const byte of bytes) {
    remainder ^= byte;
    for (let i = 0; i < 8; i++) {
      remainder = (remainder >>> 1) ^ (remainder & 1 ? 0x82f63b78 : 0);
    }
  }
  return ~remainder >>> 0;
}
