/** The key ring: all secrets of a repository, as it lies wrapped in every key slot (section 4). */
import type { RepositoryId } from '../id.ts';
import type { KeyMaterial } from '../keys/key-hierarchy.ts';
import { demand } from '../util/byte-reader.ts';
import { fromHex, toHex } from '../util/bytes.ts';
import { encodeRecord, parseRecord } from './record.ts';
import { bytesField, hexField, integerField, objectListField, textField } from './record-fields.ts';

const GENERATION_COUNT_MAX = 256;
const GENERATION_NUMBER_MAX: number = 2 ** 32 - 1;

export interface KeyRing extends KeyMaterial {
  /** When each generation was made, in its order, ms since 1970. */
  createdMs: number[];
  label: string;
}

export function encodeKeyRing(ring: KeyRing): Uint8Array {
  return encodeRecord('keyring', {
    repo_id: toHex(ring.repositoryId),
    dedup_secret: toHex(ring.dedupSecret),
    generations: ring.generations.map(({ number, rootSecret }, i) => ({
      number,
      root_secret: toHex(rootSecret),
      created_ms: ring.createdMs[i] ?? 0,
      state: number === ring.current ? 'current' : 'old',
    })),
    label: ring.label,
  });
}

/** @throws Malformed for anything that is not a key ring; VersionError for a later one. */
export function parseKeyRing(payload: Uint8Array): KeyRing {
  const record = parseRecord(payload, 'keyring');
  const entries = objectListField(record, 'generations');
  demand(entries.length >= 1 && entries.length <= GENERATION_COUNT_MAX, 'number of generations');
  const currents: number[] = [];
  const generations = entries.map((entry) => {
    const number = integerField(entry, 'number');
    demand(number <= GENERATION_NUMBER_MAX, 'generation number');
    const state = textField(entry, 'state');
    demand(state === 'current' || state === 'old', 'generation state');
    if (state === 'current') currents.push(number);
    return { number, rootSecret: bytesField(entry, 'root_secret', 32) };
  });
  demand(
    new Set(generations.map(({ number }) => number)).size === entries.length,
    'generation twice',
  );
  const [current] = currents;
  demand(current !== undefined && currents.length === 1, 'not exactly one current generation');
  return {
    repositoryId: fromHex(hexField(record, 'repo_id', 32)) as RepositoryId,
    dedupSecret: bytesField(record, 'dedup_secret', 32),
    generations,
    current,
    createdMs: entries.map((entry) => integerField(entry, 'created_ms')),
    label: textField(record, 'label'),
  };
}
