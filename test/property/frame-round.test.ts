import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { FRAME_KIND } from '../../src/frame/frame-record.ts';
import type { PackName } from '../../src/id.ts';
import { KEY_CLASS } from '../../src/keys/key-hierarchy.ts';
import { packStorageName } from '../../src/pack/pack-record.ts';
import { OBJECT_KIND } from '../../src/record/object-kind.ts';
import { type BaseFrame, frameKey } from '../../src/repository/base-plan.ts';
import { FrameRound } from '../../src/repository/frame-round.ts';
import type { WorkerCore } from '../../src/repository/repository.ts';
import { createMemoryStorage } from '../../src/storage/memory.ts';
import type { ByteRange, Storage } from '../../src/storage/storage.ts';
import { toHex } from '../../src/util/bytes.ts';
import { seededRandom } from '../helpers/seeded-random.ts';

const grid = 2 ** 18;
const packCount = 3;
const packLength = 9 * grid + 1000;
const random = seededRandom(11);

function newPack(): { pack: BaseFrame['pack']; bytes: Uint8Array } {
  const name = toHex(random.bytes(32)) as PackName;
  const pack = { name, kind: OBJECT_KIND.dataPack, length: packLength, generation: 1 };
  return { pack: { ...pack, salt: random.bytes(32) }, bytes: random.bytes(packLength) };
}

const packs = Array.from({ length: packCount }, newPack);

/** With the requests that it gets, and with one pack that is not there. */
async function newStorage(): Promise<{ storage: Storage; requests: [string, ByteRange][] }> {
  const storage = createMemoryStorage();
  const [, ...there] = packs;
  for (const { pack, bytes } of there) await storage.put(packStorageName(pack), bytes);
  const requests: [string, ByteRange][] = [];
  const watched: Storage = Object.assign(Object.create(storage), {
    getRange: async (...args: Parameters<Storage['getRange']>) => {
      requests.push([args[0], args[1]]);
      return await storage.getRange(...args);
    },
  });
  return { storage: watched, requests };
}

const wantedFrame = fc
  .record({
    pack: fc.nat(packCount - 1),
    offset: fc.nat(packLength - 2),
    size: fc.integer({ min: 16, max: 3 * grid }),
    isDelta: fc.boolean(),
  })
  .map(({ pack, offset, size, isDelta }): BaseFrame => {
    const storedSize = Math.min(size, packLength - offset);
    const kind = isDelta ? FRAME_KIND.delta : FRAME_KIND.zstd;
    const record = { storedSize, rawSize: 2 * size, blobCount: 1, class: KEY_CLASS.data };
    return { pack: (packs[pack] as (typeof packs)[0]).pack, frame: { offset, ...record, kind } };
  });

test('a round gives all frames that it took, of packs that are there, with few requests', async () => {
  const memorySize = fc.constantFrom(0, 4 * grid, 40 * grid);
  await fc.assert(
    fc.asyncProperty(fc.array(wantedFrame), memorySize, async (frames, size) => {
      const { storage, requests } = await newStorage();
      const limits = { readSize: 12 * grid, openedSize: 20 * grid };
      const round = new FrameRound(limits);
      const taken = frames.filter((held) => round.add(held));

      const options = { memory: new Uint8Array(size), signal: undefined };
      const found = new Set<string>();
      await round.read({ storage } as WorkerCore, options, (held, sealed) => {
        const { bytes } = packs.find(({ pack }) => pack === held.pack) as (typeof packs)[0];
        const { offset, storedSize } = held.frame;
        assert.deepEqual(sealed, bytes.subarray(offset, offset + storedSize));
        assert.ok(!found.has(frameKey(held)), 'each once');
        found.add(frameKey(held));
      });

      const isThere = ({ pack }: BaseFrame): boolean => pack !== packs[0]?.pack;
      assert.deepEqual(found, new Set(taken.filter(isThere).map(frameKey)));
      const keys = new Set(taken.map(frameKey));
      if (frames[0] !== undefined) assert.ok(keys.has(frameKey(frames[0])), 'the first has room');
      const sizes = requests.map(([, { length }]) => length);
      if (keys.size > 1) assert.ok(sizes.reduce((a, b) => a + b, 0) <= limits.readSize);
      assertApart(requests);
    }),
  );
});

/** Requests begin and end on the grid, and no two of them touch. */
function assertApart(requests: readonly [string, ByteRange][]): void {
  for (const [i, [name, { offset, length }]] of requests.entries()) {
    const end = offset + length;
    assert.ok(offset % grid === 0 && (end % grid === 0 || end === packLength));
    for (const [other, range] of requests.slice(i + 1)) {
      const isApart = range.offset > end || range.offset + range.length < offset;
      assert.ok(other !== name || isApart, 'neighbours come with one request');
    }
  }
}
