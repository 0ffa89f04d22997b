/** Properties of nodes and pages: round trips, and decoders that survive any bytes. */
import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import type { Node } from '../../src/tree/node.ts';
import { decodePage, PageWriter } from '../../src/tree/page.ts';
import { varintSize } from '../../src/tree/varint.ts';
import { Malformed } from '../../src/util/byte-reader.ts';
import { fromAscii } from '../../src/util/bytes.ts';
import { testSeed } from '../helpers/seeded-random.ts';
import { directoryArbitrary, nodeArbitrary } from '../helpers/tree-arbitraries.ts';
import { decodeNode, encodeNode, encodePage } from '../helpers/tree-blobs.ts';

const options = { seed: testSeed, numRuns: 500 };

/** Runs `recode`; the result must be the same bytes, or the only error `Malformed`. */
function checkRecode(bytes: Uint8Array, recode: () => Uint8Array | undefined): void {
  let again: Uint8Array | undefined;
  try {
    again = recode();
  } catch (error) {
    assert.ok(error instanceof Malformed, String(error));
    return;
  }
  if (again !== undefined) assert.deepEqual(again, bytes);
}

function recodeNode(bytes: Uint8Array): Uint8Array | undefined {
  const node = decodeNode(bytes);
  return node.type === 'refused' ? undefined : encodeNode(node);
}

function recodePage(bytes: Uint8Array): Uint8Array | undefined {
  return encodePage(decodePage(bytes));
}

function pageOf(nodes: readonly Node[]): Uint8Array {
  const writer = new PageWriter('leaf');
  for (const node of nodes) writer.addNode(node);
  return writer.take();
}

/** A change of bytes: one replaced, some removed, or some put in. */
const changeArbitrary = fc.record({
  at: fc.nat(),
  removeCount: fc.integer({ min: 0, max: 3 }),
  inserted: fc.uint8Array({ maxLength: 3 }),
});

function change(
  bytes: Uint8Array,
  { at, removeCount, inserted }: { at: number; removeCount: number; inserted: Uint8Array },
): Uint8Array {
  const start = at % (bytes.length + 1);
  const after = bytes.subarray(start + removeCount);
  return new Uint8Array(Buffer.concat([bytes.subarray(0, start), inserted, after]));
}

test('a node decodes to what was encoded', () => {
  const property = fc.property(nodeArbitrary, (node) => {
    assert.deepEqual(decodeNode(encodeNode(node)), node);
  });
  fc.assert(property, options);
});

test('a node with a critical tag keeps name, size and directory, and nothing else is judged', () => {
  const tagArbitrary = fc.integer({ min: 0x80, max: 0xff });
  const property = fc.property(nodeArbitrary, tagArbitrary, (node, tag) => {
    const bytes = Buffer.concat([encodeNode(node), Uint8Array.of(tag, 1, 7)]);
    const typeOffset = 1 + varintSize(node.name.length) + node.name.length + 2;
    bytes[typeOffset] = 0x78;
    const { name, size, directory } = node;
    const counted = { ...(size !== undefined && { size }), ...(directory && { directory }) };

    const refused = decodeNode(new Uint8Array(bytes));

    assert.deepEqual(refused, { name, type: 'refused', tag, ...counted });
  });
  fc.assert(property, options);
});

test('decoding a changed node gives Malformed or a node of the same bytes', () => {
  const property = fc.property(nodeArbitrary, changeArbitrary, (node, edit) => {
    const changed = change(encodeNode(node), edit);
    checkRecode(changed, () => recodeNode(changed));
  });
  fc.assert(property, { ...options, numRuns: 2000 });
});

test('decoding any bytes gives Malformed or a value of the same bytes', () => {
  const head = fc.constantFrom(
    [],
    [0, 1, 0, 0, 1, 0, 0, 0],
    [1, 1, 0, 0, 1, 0, 0, 0],
    [1, 1, 0x61],
  );
  const property = fc.property(head, fc.uint8Array({ maxLength: 200 }), (start, rest) => {
    const bytes = Uint8Array.of(...start, ...rest);
    checkRecode(bytes, () => recodeNode(bytes));
    checkRecode(bytes, () => recodePage(bytes));
  });
  fc.assert(property, { ...options, numRuns: 5000 });
});

test('a page decodes to the nodes it was written from, and a changed page as the codec allows', () => {
  const property = fc.property(directoryArbitrary(12), changeArbitrary, (nodes, edit) => {
    const bytes = pageOf(nodes);
    const page = decodePage(bytes);

    assert.ok(page.kind === 'leaf');
    assert.deepEqual(page.entries, nodes);
    const changed = change(bytes, edit);
    checkRecode(changed, () => recodePage(changed));
  });
  fc.assert(property, { ...options, numRuns: 300 });
});

test('PageWriter refuses a node that breaks a rule', () => {
  const file: Node = { name: fromAscii('a'), type: 'f', size: 0n, content: { kind: 'empty' } };
  const faulty: Node[] = [
    { ...file, name: fromAscii('..') },
    { ...file, size: 1n },
    { ...file, type: 'p' },
    { ...file, mode: 0o100644 },
    { ...file, mode: -1 },
    { ...file, inode: -1n },
    { ...file, inode: 2n ** 64n },
    { ...file, mtime: { seconds: 2n ** 63n, nanoseconds: 0 } },
    { ...file, linkGroup: new Uint8Array(7) },
    { ...file, unknown: [[0x80, new Uint8Array()]] },
    { ...file, unknown: [[3, new Uint8Array()]] },
    { ...file, unknown: [[0x20, new Uint8Array(2 ** 17)]] },
  ];

  for (const node of faulty) {
    assert.throws(() => new PageWriter('leaf').addNode(node), assert.AssertionError);
  }
});
