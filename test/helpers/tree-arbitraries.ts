/** Nodes and names for property tests: every field that a type may have, at and inside its limits. */
import fc from 'fast-check';
import type { BlobId } from '../../src/id.ts';
import { type Attribute, attributesSize } from '../../src/tree/attributes.ts';
import type { Content } from '../../src/tree/content.ts';
import { type Node, type NodeType, nameFault } from '../../src/tree/node.ts';
import { compareBytes, toHex } from '../../src/util/bytes.ts';

/** Plain objects, which compare equal to those of the decoder. */
function record<T>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<T> {
  return fc.record<T>(model, { noNullPrototype: true });
}

const u32 = fc.integer({ min: 0, max: 2 ** 32 - 1 });
const u64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });

const id = fc
  .uint8Array({ minLength: 32, maxLength: 32 })
  .map((bytes) => bytes.with(31, (bytes[31] as number) | 1) as BlobId);

export const nameArbitrary: fc.Arbitrary<Uint8Array> = fc
  .oneof(
    fc.string({ minLength: 1, maxLength: 12 }).map((text) => new TextEncoder().encode(text)),
    fc.uint8Array({ minLength: 1, maxLength: 1024, size: 'medium' }),
  )
  .filter((name) => nameFault(name) === undefined);

const time = record({
  seconds: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  nanoseconds: fc.integer({ min: 0, max: 999_999_999 }),
});

const ownerNames = record({
  user: fc.uint8Array({ maxLength: 1024 }),
  group: fc.uint8Array({ maxLength: 1024 }),
}).filter(({ user, group }) => user.length + group.length > 0);

const content: fc.Arbitrary<Content> = fc.oneof(
  fc.constant<Content>({ kind: 'empty' }),
  record({
    kind: fc.constant('blob' as const),
    id,
    length: fc.bigInt({ min: 1n, max: 2n ** 24n }),
  }),
  record({
    id,
    height: fc.integer({ min: 0, max: 7 }),
    chunks: fc.bigInt({ min: 1n, max: 2n ** 20n }),
    // Far from 2^63, so that a directory of such files keeps its totals below 2^64.
    moreBytes: fc.bigInt({ min: 0n, max: 2n ** 55n }),
  }).map(
    ({ id: root, height, chunks, moreBytes }): Content => ({
      kind: 'list',
      id: root,
      height,
      length: chunks + moreBytes,
      chunks,
    }),
  ),
);

const attributes = fc
  .uniqueArray(
    fc.tuple(
      fc.uint8Array({ minLength: 1, maxLength: 40 }).filter((name) => !name.includes(0)),
      fc.uint8Array({ maxLength: 200 }),
    ),
    { minLength: 1, maxLength: 6, selector: ([name]) => toHex(name) },
  )
  .map((list): Attribute[] => list.sort(([a], [b]) => compareBytes(a, b)))
  .filter((list) => attributesSize(list) <= 1024);

const unknown = fc
  .uniqueArray(fc.tuple(fc.integer({ min: 19, max: 127 }), fc.uint8Array({ maxLength: 300 })), {
    minLength: 1,
    maxLength: 3,
    selector: ([tag]) => tag,
  })
  .map((fields) => fields.sort(([a], [b]) => a - b));

const fields = fc.record(
  {
    mode: fc.integer({ min: 0, max: 0o7777 }),
    owner: record({ uid: u32, gid: u32 }),
    ownerNames,
    mtime: time,
    ctime: time,
    birthTime: time,
    inode: u64,
    linkGroup: fc.uint8Array({ minLength: 8, maxLength: 8 }),
    directory: record({
      id,
      height: fc.integer({ min: 0, max: 16 }),
      entries: fc.bigInt({ min: 1n, max: 2n ** 40n }),
      bytes: fc.bigInt({ min: 0n, max: 2n ** 50n }),
    }),
    attributes,
    attributeBlob: id,
    flags: u32,
    unknown,
  },
  { requiredKeys: [], noNullPrototype: true },
);

const anyNode = record({
  name: nameArbitrary,
  type: fc.constantFrom<NodeType>('f', 'd', 'l', 'c', 'b', 'p', 's'),
  content,
  target: fc.uint8Array({ minLength: 1, maxLength: 5000 }),
  device: record({ major: u32, minor: u32 }),
  fields,
});

/** Any valid node. */
export const nodeArbitrary: fc.Arbitrary<Node> = anyNode.map(
  ({ name, type, content: fileContent, target, device, fields: common }) => {
    const { linkGroup, directory, attributeBlob, ...rest } = common;
    const node: Node = { name, type, ...rest };
    if (type === 'f') {
      node.content = fileContent;
      node.size = fileContent.kind === 'empty' ? 0n : fileContent.length;
    }
    if (type === 'l') node.target = target;
    if (type === 'c' || type === 'b') node.device = device;
    if (type === 'd' && directory !== undefined) node.directory = directory;
    if (type !== 'd' && linkGroup !== undefined) node.linkGroup = linkGroup;
    if (node.attributes === undefined && attributeBlob !== undefined) {
      node.attributeBlob = attributeBlob;
    }
    return node;
  },
);

/** Nodes of one directory: different names, in order. */
export function directoryArbitrary(countMax: number): fc.Arbitrary<Node[]> {
  const selector = ({ name }: Node): string => toHex(name);
  return fc
    .uniqueArray(nodeArbitrary, { minLength: 1, maxLength: countMax, selector })
    .map((nodes) => nodes.sort((a, b) => compareBytes(a.name, b.name)));
}
