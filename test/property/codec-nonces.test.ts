/**
 * No nonce is used twice under a key (I14). Key and nonce of every sealed piece follow from clear
 * bytes and from where it lies, so they are read back here from the outputs of a long run: packs of
 * all kinds, records of all kinds, several clients, crashes with restarts, a dead random source.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BLOB_TYPE } from '../../src/blob/blob-type.ts';
import { createSaltSource, type SaltSource } from '../../src/keys/salt-source.ts';
import { OBJECT_KIND, type ObjectKind, type PackKind } from '../../src/record/object-kind.ts';
import { sealObject, sealParts } from '../../src/record/sealed-object.ts';
import { toHex, viewOf } from '../../src/util/bytes.ts';
import type { Clock } from '../../src/util/clock.ts';
import { openUnderOwnName } from '../helpers/hostile-pack.ts';
import { makeFrame, newPackBuilder } from '../helpers/pack-making.ts';
import { type SeededRandom, seededRandom } from '../helpers/seeded-random.ts';
import { counting, testKeys } from '../helpers/test-keys.ts';

/** Key and nonce of each seal seen, as text; `repeated` collects those seen before. */
class SealLog {
  readonly #seen = new Set<string>();
  readonly repeated: string[] = [];

  get count(): number {
    return this.#seen.size;
  }

  /** `object` is any object with a header; the rest names key and nonce within it. */
  add(object: Uint8Array, label: string, nonce: { domain: number; counter: number }): void {
    const kind = object[9];
    const generation = viewOf(object).getUint32(12, true);
    const salt = toHex(object.subarray(16, 48));
    const seal = `${generation} ${kind} ${salt} ${label} ${nonce.domain} ${nonce.counter}`;
    if (this.#seen.has(seal)) this.repeated.push(seal);
    this.#seen.add(seal);
  }

  addPack(bytes: Uint8Array, kind: PackKind): void {
    const { frames } = openUnderOwnName(bytes, { kind }).directory;
    for (const frame of frames) {
      this.add(bytes, `frame ${frame.class}`, { domain: 0, counter: frame.offset });
    }
    this.add(bytes, 'directory', { domain: 1, counter: 0 });
  }

  addObject(bytes: Uint8Array): void {
    const view = viewOf(bytes);
    for (let part = 0, offset = 64; offset < bytes.length; part++) {
      offset += 4 + view.getUint32(offset, true);
      const isLast = offset === bytes.length;
      this.add(bytes, 'object', { domain: 2, counter: 2 * part + (isLast ? 1 : 0) });
    }
  }
}

/** A random source that always gives the same bytes, as on a cloned or broken machine. */
const deadRandom = { bytes: (size: number) => new Uint8Array(size).fill(4) };

/** A monotonic clock of one machine, shared by its processes. */
function tickingClock(): Clock {
  let now = 1_000n;
  return {
    nowNs: () => 0n,
    monotonicNs: () => now++,
  };
}

const packKinds = [OBJECT_KIND.dataPack, OBJECT_KIND.metadataPack];
const recordKinds = Object.values(OBJECT_KIND).filter((kind) => kind >= OBJECT_KIND.segment);

/** Works like one process until it "crashes": packs and records, each sealed once. */
function runProcess(log: SealLog, newSalt: SaltSource, random: SeededRandom): void {
  for (let i = 0; i < 6; i++) {
    const kind = packKinds[random.below(2)] as PackKind;
    const builder = newPackBuilder({ kind, newSalt });
    for (let frame = random.below(5); frame >= 0; frame--) {
      // Often the same content again, as after a crash.
      const plaintext = new Uint8Array(1 + random.below(3) * 500).fill(1);
      builder.append(makeFrame([{ type: BLOB_TYPE.data, plaintext }]));
      if (kind === OBJECT_KIND.dataPack) continue;
      builder.append(makeFrame([{ type: BLOB_TYPE.treePage, plaintext }]));
    }
    log.addPack(builder.finish().bytes, kind);
    const identity = { kind: recordKinds[random.below(8)] as ObjectKind, name: 'config' };
    log.addObject(sealObject(testKeys, identity, { payload: Uint8Array.of(1), salt: newSalt }));
    const plaintext = new Uint8Array(100 * random.below(20) + 9);
    const salt = newSalt(plaintext);
    log.addObject(sealParts(testKeys, identity, { salt, plaintext, partSizeMax: 100 }));
  }
}

test('no key and nonce repeat over many packs, records, clients and restarts (I14)', () => {
  const log = new SealLog();
  const random = seededRandom();
  const clock = tickingClock();
  for (let client = 0; client < 4; client++) {
    for (let restart = 0; restart < 12; restart++) {
      const writerId = counting(client, 16);
      const newSalt = createSaltSource(testKeys.current, { writerId, random: deadRandom, clock });
      runProcess(log, newSalt, random);
    }
  }

  assert.deepEqual(log.repeated, []);
  assert(log.count > 5000, `${log.count} seals`);
});

test('the log of seals sees a salt that is used twice', () => {
  const log = new SealLog();
  const fixedSalt = (): Uint8Array => counting(0x60);

  runProcess(log, fixedSalt, seededRandom());

  assert.notDeepEqual(log.repeated, []);
});

test('a pack is sealed once: appending the same frames gives another pack', () => {
  const frame = makeFrame([{ type: BLOB_TYPE.data, plaintext: new Uint8Array(500) }]);
  const newSalt = createSaltSource(testKeys.current, {
    writerId: counting(0, 16),
    random: deadRandom,
    clock: tickingClock(),
  });
  const build = (): string => {
    const builder = newPackBuilder({ newSalt });
    builder.append(frame);
    return toHex(builder.finish().bytes.subarray(64));
  };

  assert.notEqual(build(), build());
});
