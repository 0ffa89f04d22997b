/** What is stored is what was read, whatever a library does. Ids as in docs/regressions.md. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ZstdCodec } from '../../src/util/zstd.ts';
import { newStage } from '../helpers/collection-stage.ts';
import { flipBit } from '../helpers/fault-storage.ts';
import { SOURCE_ROOT } from '../helpers/repository-crash.ts';
import { edited, textOf } from '../helpers/similar-versions.ts';

/** Compresses other bytes than it was given, once. */
class FaultyCodec extends ZstdCodec {
  readonly #at: number;
  count = 0;

  constructor(at: number) {
    super();
    this.#at = at;
  }

  override compress(plaintext: Uint8Array, level: number, base?: Uint8Array): Uint8Array {
    const isHit = this.count++ === this.#at;
    return super.compress(isHit ? flipBit(plaintext, 77) : plaintext, level, base);
  }
}

test('I01 wrong bytes from the compressor, once, are in no snapshot', async (t) => {
  const first = { [`${SOURCE_ROOT}/a`]: textOf(1, 9000) };
  const second = {
    [`${SOURCE_ROOT}/a`]: edited(textOf(1, 9000), 2),
    [`${SOURCE_ROOT}/b`]: textOf(3, 9000),
  };
  for (let at = 0, isDone = false; !isDone; at++) {
    const stage = await newStage(t);
    const client = await stage.client();
    await stage.save(client, first);
    const codec = new FaultyCodec(at);

    const result = await stage.save({ ...client, codec }, second).catch((error: Error) => error);

    isDone = codec.count <= at;
    assert.ok(!isDone || !(result instanceof Error), `${result}`);
    assert.deepEqual(await stage.losses(), [], `fault ${at}: ${result}`);
    if (isDone) assert.ok(at > 2, `${at} calls`);
  }
});
