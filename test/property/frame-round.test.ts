import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { FRAME_KIND } from '../../src/frame/frame-record.ts';
import type { PackName } from '../../src/id.ts';
import { KEY_CLASS } from '../../src/keys/key-hierarchy.ts';
import { packStorageName } from '../../src/pack/pack-record.ts';
import { OBJECT_KIND } from '../../src/record/object-kind.ts';
import type { BaseFrame } from '../../src/repository/base-plan.ts';
import { FrameRound } from '../../src/repository/frame-round.ts';
import type { WorkerCore } from '../../src/repository/repository.ts';
import { createMemoryStorage } from '../../src/storage/memory.ts';
import type { ByteRange, Storage } from '../../src/storage/storage.ts';
import { toHex } from '../../src/util/bytes.ts';
import { seededRandom } from '../helpers/seeded-random.ts';

const grid = 2 ** 18;
const packCount = 3;
const packLength = 9 * grid + 1000;
/** Less than a frame may take. */
const sizeMax = 3 * grid;
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
    size: fc.integer({ min: 16, max: 4 * grid }),
    isDelta: fc.boolean(),
  })
  .map(({ pack, offset, size, isDelta }): BaseFrame => {
    const storedSize = Math.min(size, packLength - offset);
    const kind = isDelta ? FRAME_KIND.delta : FRAME_KIND.zstd;
    const record = { storedSize, rawSize: 2 * size, blobCount: 1, class: KEY_CLASS.data };
    return { pack: (packs[pack] as (typeof packs)[0]).pack, frame: { offset, ...record, kind } };
  });

test('a round reads all frames that it took, of packs that are there, with few requests', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(wantedFrame), async (frames) => {
      const { storage, requests } = await newStorage();
      const round = new FrameRound(sizeMax);
      const taken = frames.filter((held) => round.add(held));

      const memory = new Uint8Array(round.size);
      const options = { memory, signal: undefined };
      const windows = await round.read({ storage } as WorkerCore, options);

      assert.deepEqual(taken.slice(0, 1), frames.slice(0, 1), 'the first has room');
      for (const { pack, frame } of taken) {
        const { bytes } = packs.find((one) => one.pack === pack) as (typeof packs)[0];
        const window = windows.find(
          ({ pack: name, offset, bytes: { length } }) =>
            name === pack.name &&
            offset <= frame.offset &&
            frame.offset + frame.storedSize <= offset + length,
        );
        if (pack === packs[0]?.pack) assert.equal(window, undefined, 'cannot be read');
        else
          assert.deepEqual(window && bytesOf(window, frame), bytesOf({ offset: 0, bytes }, frame));
      }
      assert.ok(windows.every(({ bytes }) => bytes.buffer === memory.buffer));
      const sizes = requests.map(([, { length }]) => length);
      const size = sizes.reduce((sum, length) => sum + length, 0);
      assert.equal(size, round.size);
      assert.ok(size <= sizeMax || taken.length === 1);
      assertApart(requests);
    }),
  );
});

function bytesOf(
  { offset, bytes }: { offset: number; bytes: Uint8Array },
  frame: BaseFrame['frame'],
): Uint8Array {
  const start = frame.offset - offset;
  return bytes.subarray(start, start + frame.storedSize);
}

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
