/**
 * Every byte of a page or list changed in three ways: the decoder takes exactly the changes that the
 * vectors say it takes, and what it takes encodes to the changed bytes.
 */
import assert from 'node:assert/strict';
import test from 'node:test';
import { decodeChunkList, ListWriter } from '../../src/tree/chunk-list.ts';
import { decodePage } from '../../src/tree/page.ts';
import { Malformed } from '../../src/util/byte-reader.ts';
import { toHex } from '../../src/util/bytes.ts';
import { encodePage, expandHex } from '../helpers/tree-blobs.ts';
import { treeVectors } from '../helpers/tree-vectors.ts';

function recodePage(bytes: Uint8Array): Uint8Array | undefined {
  return encodePage(decodePage(bytes));
}

function recodeList(bytes: Uint8Array): Uint8Array {
  const { height, children } = decodeChunkList(bytes);
  const writer = new ListWriter(height);
  for (const child of children) writer.add(child);
  return writer.take();
}

/** Whether the bytes are taken; what else than `Malformed` is thrown fails the test. */
function isAccepted(bytes: Uint8Array, recode: typeof recodePage): boolean {
  try {
    const again = recode(bytes);
    if (again !== undefined) assert.deepEqual(again, bytes);
    return true;
  } catch (error) {
    if (error instanceof Malformed) return false;
    throw error;
  }
}

for (const [i, vector] of treeVectors.one_byte_changes.entries()) {
  test(`changing one byte of ${vector.what} ${i} is taken exactly where the vector says`, () => {
    const bytes = expandHex(vector.bytes);
    const recode = vector.what === 'page' ? recodePage : recodeList;
    let acceptedCount = 0;
    for (const [mask, acceptedBits] of Object.entries(vector.accepted_bits)) {
      const accepted = new Uint8Array(Math.ceil(bytes.length / 8));
      for (let at = 0; at < bytes.length; at++) {
        const changed = Uint8Array.from(bytes);
        changed[at] = (bytes[at] as number) ^ Number.parseInt(mask, 16);
        if (!isAccepted(changed, recode)) continue;
        accepted[at >> 3] = (accepted[at >> 3] as number) | (1 << (at & 7));
        acceptedCount++;
      }

      assert.equal(toHex(accepted), toHex(expandHex(acceptedBits)));
    }
    assert.equal(acceptedCount, vector.accepted);
  });
}
