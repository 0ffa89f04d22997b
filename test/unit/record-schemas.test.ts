/** The records of format 1, one table: what each must hold, may hold, and must not be refused for. */
import { AssertionError } from 'node:assert';
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  encodeCanonical,
  type JsonObject,
  type JsonValue,
} from '../../src/record/canonical-json.ts';
import {
  CLOSED_COUNT_MAX,
  encodeDone,
  encodeMark,
  encodeMergedSweep,
  encodeSweep,
  encodeTomb,
  FORGOTTEN_COUNT_MAX,
  MERGES_COUNT_MAX,
  parseDone,
  parseMark,
  parseMergedSweep,
  parseSweep,
  parseTomb,
} from '../../src/record/collector-records.ts';
import { encodeConfig, parseConfig } from '../../src/record/config.ts';
import { encodeKeyRing, parseKeyRing } from '../../src/record/key-ring.ts';
import { RECORD_SIZE_MAX } from '../../src/record/object-kind.ts';
import { encodeChain, parseChain, SEEN_COUNT_MAX } from '../../src/record/record.ts';
import {
  encodeFence,
  encodeHeartbeat,
  encodeSession,
  parseFence,
  parseSession,
} from '../../src/record/session-records.ts';
import { DEFAULT_CONFIG } from '../../src/repository/default-config.ts';
import { assertRefused, assertTooNew } from '../helpers/damaged-bytes.ts';

const hash = '0f'.repeat(32);
const otherHash = '1f'.repeat(32);
const writerId = '2f'.repeat(16);
const sessionId = '3f'.repeat(16);
const clear = new Uint8Array(128);
const clearText = Buffer.from(clear).toString('base64');

const seen = [
  { hash, seq: 1, writer_id: writerId },
  { hash, seq: 2 ** 53 - 1, writer_id: '30'.repeat(16) },
];
const chain = {
  config_number: 0,
  gc_generation: 0,
  previous: hash,
  program: 'varve 0.1.0',
  repo_id: hash,
  seen,
  writer_id: writerId,
  writer_seq: 1,
};

const notHex32: JsonValue[] = [
  hash.slice(1),
  `${hash}0`,
  hash.toUpperCase(),
  'g'.repeat(64),
  5,
  null,
];
const notHex16: JsonValue[] = [hash, writerId.toUpperCase(), '', 5, null];
const notCount: JsonValue[] = [-1, '1', null, [], true];
const notPositive: JsonValue[] = [...notCount, 0];
const notText: JsonValue[] = [5, null, [], {}];
const notHashes: JsonValue[] = [null, {}, hash, [5], [hash.slice(1)], [null]];

const wrongChain: Record<string, JsonValue[]> = {
  config_number: notCount,
  gc_generation: notCount,
  previous: notHex32,
  program: notText,
  repo_id: notHex32,
  seen: [
    null,
    {},
    [5],
    [{}],
    [{ ...seen[0], seq: 0 } as JsonObject],
    [{ ...seen[0], hash: '' } as JsonObject],
    [{ ...seen[0], writer_id: hash } as JsonObject],
    [seen[0], seen[0]] as JsonValue,
    [seen[1], seen[0]] as JsonValue,
    new Array(4097).fill(0).map((_, i) => ({
      hash,
      seq: 1,
      writer_id: i.toString(16).padStart(32, '0'),
    })),
  ],
  writer_id: notHex16,
  writer_seq: notPositive,
};

const forgotten = { hash, session_id: sessionId, writer_id: writerId, writer_seq: 1 };
const counted = { root: hash, session_id: sessionId };
const generation = {
  created_ms: 1_700_000_000_000,
  number: 0,
  root_secret: hash,
  state: 'current',
};
const chunker = { average: 65536, maximum: 131072, minimum: 32768, name: 's16p/1' };

interface Schema {
  parse: (payload: Uint8Array) => unknown;
  /** Every mandatory field. */
  fields: JsonObject;
  /** Fields that may be absent. */
  optional?: JsonObject;
  /** Values that the field of this name must not have. */
  wrong: Record<string, JsonValue[]>;
}

const schemas: Record<string, Schema> = {
  keyring: {
    parse: parseKeyRing,
    fields: { dedup_secret: hash, generations: [generation], label: '', repo_id: hash },
    wrong: {
      dedup_secret: notHex32,
      repo_id: notHex32,
      label: notText,
      generations: [
        null,
        [],
        [5],
        [{ ...generation, state: 'old' }],
        [{ ...generation, state: 'next' }],
        [{ ...generation, number: 2 ** 32 }],
        [{ ...generation, number: -1 }],
        [{ ...generation, root_secret: '' }],
        [{ ...generation, created_ms: '0' }],
        [generation, generation],
        [generation, { ...generation, number: 1 }],
        [generation, { ...generation, state: 'old' }],
        [generation, ...oldGenerations(256)],
      ],
    },
  },
  config: {
    parse: (payload) => parseConfig(payload, { clear, number: 0, defaults: DEFAULT_CONFIG }),
    fields: { clear: clearText },
    optional: {
      chunker,
      compression: { level: 19 },
      delta: { max_depth: 32 },
      pack: { data_target: 2 ** 29, meta_target: 2 ** 24 },
    },
    wrong: {
      clear: [...notText, '', clearText.slice(4), Buffer.alloc(128, 1).toString('base64')],
      chunker: [
        null,
        [],
        {},
        { ...chunker, name: 5 },
        { ...chunker, average: '65536' },
        { ...chunker, minimum: -1 },
        { ...chunker, maximum: null },
      ],
      compression: [null, { level: -1 }, { level: 23 }, { level: '3' }],
      delta: [null, { max_depth: 33 }, { max_depth: -1 }],
      pack: [null, { data_target: 2 ** 30 + 1 }, { meta_target: 2 ** 40 }, { data_target: '1' }],
    },
  },
  fence: {
    parse: parseFence,
    fields: { reason: 'closed' },
    wrong: { reason: [...notText, '', 'open', 'Closed'] },
  },
  session: {
    parse: parseSession,
    fields: {
      host: 'example',
      program: 'varve 0.1.0',
      purpose: 'snapshot',
      session_id: sessionId,
      started_ms: 1_700_000_000_000,
      writer_id: writerId,
    },
    wrong: {
      host: notText,
      program: notText,
      purpose: [...notText, '', 'prune', 'constructor'],
      session_id: notHex16,
      started_ms: notCount,
      writer_id: notHex16,
    },
  },
  tomb: {
    parse: parseTomb,
    fields: { ...chain, forgotten: [forgotten] },
    optional: { closed: [sessionId], merges: [hash, otherHash] },
    wrong: {
      ...wrongChain,
      forgotten: [
        null,
        {},
        [5],
        [{}],
        [{ ...forgotten, hash: '' }],
        [{ ...forgotten, session_id: hash }],
        [{ ...forgotten, writer_id: hash }],
        [{ ...forgotten, writer_seq: 0 }],
        new Array(50_001).fill(forgotten),
      ],
      closed: [null, {}, [hash], [5], new Array(300_001).fill(sessionId)],
      merges: [...notHashes, new Array(50_001).fill(hash)],
    },
  },
  mark: {
    parse: parseMark,
    fields: {
      ...chain,
      condemned: [hash],
      counted: [counted],
      generation: 1,
      previous_sweep: hash,
    },
    wrong: {
      ...wrongChain,
      condemned: notHashes,
      counted: [
        null,
        {},
        [5],
        [{}],
        [{ ...counted, root: '' }],
        [{ ...counted, session_id: hash }],
      ],
      generation: notPositive,
      previous_sweep: notHex32,
    },
  },
  sweep: {
    parse: parseSweep,
    fields: {
      ...chain,
      delete: [hash],
      fenced: [sessionId],
      generation: 1,
      live_snapshots: [sessionId],
      mark: hash,
      rescued: [otherHash],
    },
    wrong: {
      ...wrongChain,
      delete: notHashes,
      fenced: [null, {}, [hash], [5]],
      generation: notPositive,
      live_snapshots: [null, {}, [hash], [5]],
      mark: notHex32,
      rescued: notHashes,
    },
  },
  done: {
    parse: parseDone,
    fields: { generation: 1, sweep: hash },
    wrong: { generation: notPositive, sweep: notHex32 },
  },
  merged: {
    parse: parseMergedSweep,
    fields: { ...chain, delete: [hash, otherHash], from: 1, generation: 2 },
    wrong: {
      ...wrongChain,
      delete: [...notHashes, new Array(200_001).fill(hash)],
      from: [...notPositive, 3],
      generation: notPositive,
    },
  },
};

function oldGenerations(count: number): JsonObject[] {
  return Array.from({ length: count }, (_, i) => ({ ...generation, number: i + 1, state: 'old' }));
}

for (const [name, { parse, fields, optional = {}, wrong }] of Object.entries(schemas)) {
  const whole: JsonObject = { ...fields, ...optional, requires: [], schema: `varve.${name}/1` };
  const parseChanged = (changes: JsonObject): unknown =>
    parse(encodeCanonical({ ...whole, ...changes }));
  const parseWithout = (key: string): unknown => {
    const { [key]: _, ...rest } = whole;
    return parse(encodeCanonical(rest));
  };

  test(`varve.${name}/1 refuses a missing field and ignores unknown ones`, () => {
    const parsed = parse(encodeCanonical(whole));

    for (const key of [...Object.keys(fields), 'schema', 'requires']) {
      assertRefused(() => parseWithout(key), `without ${key}`);
    }
    for (const key of Object.keys(optional)) parseWithout(key);
    const later = { later: [1, null, { x: 'y' }], signature: { key: 'a', value: 'b' }, zz: null };
    assert.deepEqual(parseChanged(later), parsed);
  });

  test(`varve.${name}/1 refuses wrong values of every field`, () => {
    const checked = new Set(Object.keys(wrong));

    for (const key of [...Object.keys(fields), ...Object.keys(optional)]) {
      assert(checked.has(key), `no wrong value for ${key}`);
    }
    for (const [key, values] of Object.entries(wrong)) {
      for (const value of values) {
        const label = `${key}: ${JSON.stringify(value).slice(0, 80)}`;
        assertRefused(() => parseChanged({ [key]: value }), label);
      }
    }
  });

  test(`varve.${name}/1 tells later versions from other records`, () => {
    assertTooNew(() => parseChanged({ requires: ['magic'] }), 'unknown feature');
    assertTooNew(() => parseChanged({ requires: [''] }), 'unknown empty feature');
    assertTooNew(() => parseChanged({ schema: `varve.${name}/2` }), 'later schema');
    assertTooNew(() => parseChanged({ schema: `varve.${name}/999999` }), 'much later schema');
    const others = ['', name, `${name}/1`, 'varve.x/1', 'varve.x/2', `varve.${name}/0`];
    const forms = [`varve.${name}/01`, `varve.${name}/1 `, `Varve.${name}/1`, `varve.${name}/1.0`];
    for (const schema of [...others, ...forms, `varve.${name}/1000000`, 1, null]) {
      assertRefused(() => parseChanged({ schema }), `schema ${schema}`);
    }
    for (const requires of [null, {}, '', [5], [null]]) {
      assertRefused(() => parseChanged({ requires }), `requires ${JSON.stringify(requires)}`);
    }
  });
}

function textOf(payload: Uint8Array): string {
  return new TextDecoder().decode(payload);
}

test('encodeSession(), encodeHeartbeat() and encodeFence() write these bytes', () => {
  const session = {
    sessionId,
    writerId,
    startedMs: 5,
    host: 'h"é',
    program: 'p',
    purpose: 'repack',
  } as const;

  assert.equal(
    textOf(encodeSession(session)),
    `{"host":"h\\"é","program":"p","purpose":"repack","requires":[],"schema":"varve.session/1",` +
      `"session_id":"${sessionId}","started_ms":5,"writer_id":"${writerId}"}`,
  );
  assert.deepEqual(parseSession(encodeSession(session)), session);
  assert.equal(
    textOf(encodeHeartbeat(sessionId, 7)),
    `{"number":7,"requires":[],"schema":"varve.heartbeat/1","session_id":"${sessionId}"}`,
  );
  assert.equal(
    textOf(encodeFence('expired')),
    '{"reason":"expired","requires":[],"schema":"varve.fence/1"}',
  );
  assert.equal(parseFence(encodeFence('expired')), 'expired');
});

test('encodeKeyRing() and parseKeyRing() keep every generation', () => {
  const generations = [generation, ...oldGenerations(255)];
  const payload = encodeCanonical({
    ...schemas['keyring']?.fields,
    generations,
    requires: [],
    schema: 'varve.keyring/1',
  });

  const ring = parseKeyRing(payload);

  assert.equal(ring.current, 0);
  assert.equal(ring.generations.length, 256);
  assert.equal(textOf(encodeKeyRing(ring)), textOf(payload));
});

test('encodeConfig() repeats the clear part, and absent keys mean the defaults', () => {
  const config = {
    ...DEFAULT_CONFIG,
    compressionLevel: 7,
    pack: { dataTarget: 2 ** 25, metadataTarget: 2 ** 23 },
    number: 3,
  };
  const bare = encodeCanonical({ clear: clearText, requires: [], schema: 'varve.config/1' });
  const partly = encodeCanonical({
    clear: clearText,
    pack: { data_target: 2 ** 25 },
    requires: [],
    schema: 'varve.config/1',
  });

  assert.equal(
    textOf(encodeConfig(DEFAULT_CONFIG, clear)),
    '{"chunker":{"average":65536,"maximum":131072,"minimum":32768,"name":"s16p/1"},' +
      `"clear":"${clearText}","compression":{"level":3},"delta":{"max_depth":8},` +
      '"gc":{"grace_ms":86400000,"minimum_age_ms":86400000,"session_ttl_ms":86400000},' +
      '"pack":{"data_target":67108864,"meta_target":16777216},"requires":[],' +
      '"schema":"varve.config/1"}',
  );
  assert.deepEqual(
    parseConfig(encodeConfig(config, clear), { clear, number: 3, defaults: DEFAULT_CONFIG }),
    config,
  );
  assert.deepEqual(
    parseConfig(bare, { clear, number: 0, defaults: DEFAULT_CONFIG }),
    DEFAULT_CONFIG,
  );
  assert.deepEqual(parseConfig(partly, { clear, number: 0, defaults: DEFAULT_CONFIG }).pack, {
    dataTarget: 2 ** 25,
    metadataTarget: 2 ** 24,
  });
});

test('encodeChain() and parseChain() agree', () => {
  assert.deepEqual(encodeChain(parseChain(chain)), chain);
  assert.deepEqual(parseChain({ ...chain, seen: [] }).seen, []);
});

test('records of collection are written as they are read', () => {
  const payload = (name: string): Uint8Array => {
    const { fields = {}, optional = {} } = schemas[name] ?? {};
    return encodeCanonical({ ...fields, ...optional, requires: [], schema: `varve.${name}/1` });
  };
  const mark = encodeCanonical({
    ...schemas['mark']?.fields,
    bases_rewritten: 7,
    requires: [],
    schema: 'varve.mark/1',
  });

  assert.deepEqual(encodeTomb(parseTomb(payload('tomb'))), payload('tomb'));
  assert.deepEqual(encodeMark(parseMark(mark), 7), mark);
  assert.deepEqual(encodeSweep(parseSweep(payload('sweep'))), payload('sweep'));
  assert.deepEqual(encodeMergedSweep(parseMergedSweep(payload('merged'))), payload('merged'));
  assert.deepEqual(encodeDone(parseDone(payload('done'))), payload('done'));
});

test('tombs that say as much as they may are records beside the longest chain', () => {
  const idOf = (i: number): string => i.toString(16).padStart(32, '0');
  const seq = Number.MAX_SAFE_INTEGER;
  const seen = Array.from({ length: SEEN_COUNT_MAX }, (_, i) => {
    return { writerId: idOf(i), seq, hash };
  });
  const longest = { ...parseChain(chain), seen };
  const most = Array.from({ length: FORGOTTEN_COUNT_MAX }, (_, i) => {
    return { sessionId: idOf(i), writerId: idOf(i), writerSeq: seq, hash };
  });
  const merged = {
    merges: new Array<string>(MERGES_COUNT_MAX).fill(hash),
    closed: Array.from({ length: CLOSED_COUNT_MAX }, (_, i) => idOf(i)),
  };

  for (const content of [
    { forgotten: most, merges: [], closed: [] },
    { forgotten: [], ...merged },
  ]) {
    const tomb = { chain: longest, ...content };
    const payload = encodeTomb(tomb);
    assert.ok(payload.length < RECORD_SIZE_MAX, `${payload.length}`);
    assert.deepEqual(parseTomb(payload), tomb);
    const more = Object.entries(content).filter(([, list]) => list.length > 0);
    for (const [key, list] of more) {
      assert.throws(() => encodeTomb({ ...tomb, [key]: [...list, list[0]] }), AssertionError);
    }
  }
});
