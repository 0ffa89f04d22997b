/**
 * Attribute blobs in `check`: they are read, decoded and told like tree pages, with every path that
 * names them. Restores and snapshots know attributes in the node alone.
 */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { BLOB_TYPE } from '../../src/blob/blob-type.ts';
import type { BlobId, SessionId } from '../../src/id.ts';
import { KEY_CLASS } from '../../src/keys/key-hierarchy.ts';
import type { FindingKind } from '../../src/maintain/finding.ts';
import { openNamedPack } from '../../src/pack/pack-reader.ts';
import { OBJECT_KIND } from '../../src/record/object-kind.ts';
import type { Repository } from '../../src/repository/repository.ts';
import type { Session } from '../../src/repository/session.ts';
import { type Attribute, encodeAttributeBlob } from '../../src/tree/attributes.ts';
import type { Node } from '../../src/tree/node.ts';
import { toHex } from '../../src/util/bytes.ts';
import { flipBit } from '../helpers/fault-storage.ts';
import { forge, writePage } from '../helpers/forged-snapshot.ts';
import { b } from '../helpers/raw-path.ts';
import { seededRandom } from '../helpers/seeded-random.ts';
import {
  check,
  newClient,
  objectNames,
  openClient,
  replaceObject,
} from '../helpers/test-repository.ts';

const attributes: Attribute[] = [
  [b('user.large'), seededRandom().bytes(3000)],
  [b('user.small'), b('x')],
];

/** The same attributes on a file, a directory with a file in it, and a symlink; another file has none. */
async function writeTree(session: Session, attributeBlob: BlobId) {
  const file = (name: string): Node => ({
    name: b(name),
    type: 'f',
    content: { kind: 'empty' },
    size: 0n,
  });
  const directory = await writePage(session, { ...file('inner'), attributeBlob });
  return await writePage(
    session,
    { name: b('directory'), type: 'd', directory, attributeBlob },
    { ...file('file'), attributeBlob },
    { name: b('link'), type: 'l', target: b('file'), attributeBlob },
    file('other'),
  );
}

const hurtPaths = ['/directory', '/directory/inner', '/file', '/link'];

interface Told {
  readonly kind: FindingKind;
  readonly object: string;
  readonly snapshots: readonly SessionId[];
  readonly paths: readonly string[];
}

/** What a new client finds, with and without reading data. */
async function findings(t: TestContext, repository: Repository): Promise<Told[][]> {
  const told: Told[][] = [];
  for (const isReadingData of [false, true]) {
    const client = await openClient(t, repository.storage);
    const result = await check(client, isReadingData);
    told.push(
      result.findings.map(({ kind, object, snapshots, paths }) => ({
        ...{ kind, object, snapshots },
        paths: paths.map((path) => Buffer.from(path).toString()).sort(),
      })),
    );
  }
  return told;
}

test('check() finds nothing wrong with attribute blobs that are there', async (t) => {
  const { repository } = await newClient(t);
  await forge(repository, async (session) => {
    const id = await session.write(BLOB_TYPE.attributes, encodeAttributeBlob(attributes));
    return await writeTree(session, id);
  });

  assert.deepEqual(await findings(t, repository), [[], []]);
});

test('check() tells all paths of all snapshots whose attribute blob is missing', async (t) => {
  const { repository } = await newClient(t);
  const id = seededRandom(1).bytes(32) as BlobId;
  const first = await forge(repository, (session) => writeTree(session, id));
  const second = await forge(repository, (session) => writeTree(session, id));

  const snapshots = [first.id, second.id].sort();
  for (const told of await findings(t, repository)) {
    assert.deepEqual(
      told.map((one) => ({ ...one, snapshots: [...one.snapshots].sort() })),
      [{ kind: 'blob-missing', object: toHex(id), snapshots, paths: hurtPaths }],
    );
  }
});

test('check() tells the paths of an attribute blob that makes no sense', async (t) => {
  const names = ['user.b', 'user.a'];
  const wrong: Record<string, Uint8Array> = {
    'names that do not ascend': Buffer.concat(
      names.map((name) =>
        Buffer.concat([Uint8Array.of(6), b(name), Uint8Array.of(0xe8, 7), new Uint8Array(1000)]),
      ),
    ),
    'a piece that is cut off': encodeAttributeBlob(attributes).subarray(0, 2000),
    'so short that it belongs in the node': Uint8Array.of(1, 0x61, 1, 0x62),
  };
  for (const [what, plaintext] of Object.entries(wrong)) {
    const { repository } = await newClient(t);
    let object = '';
    const { id } = await forge(repository, async (session) => {
      const blob = await session.write(BLOB_TYPE.attributes, plaintext);
      object = toHex(blob);
      return await writeTree(session, blob);
    });

    const expected = [{ kind: 'tree-malformed', object, snapshots: [id], paths: hurtPaths }];
    assert.deepEqual(await findings(t, repository), [expected, expected], what);
  }
});

test('check() tells the paths of a node that takes another blob for its attributes', async (t) => {
  const { repository } = await newClient(t);
  let object = '';
  const { id } = await forge(repository, async (session) => {
    const blob = await session.write(BLOB_TYPE.data, encodeAttributeBlob(attributes));
    object = toHex(blob);
    return await writeTree(session, blob);
  });

  const expected = [{ kind: 'blob-unreadable', object, snapshots: [id], paths: hurtPaths }];
  assert.deepEqual(await findings(t, repository), [expected, expected]);
});

test('check() tells the paths of a damaged attribute blob', async (t) => {
  const { repository } = await newClient(t);
  const { storage, keys } = repository;
  const filler = encodeAttributeBlob([[b('user.filler'), seededRandom(2).bytes(2 ** 20 - 100)]]);
  let object = '';
  const { id } = await forge(repository, async (session) => {
    const blob = await session.write(BLOB_TYPE.attributes, encodeAttributeBlob(attributes));
    // Fills the frame, so that the tree stands in another one.
    await session.write(BLOB_TYPE.attributes, filler);
    object = toHex(blob);
    return await writeTree(session, blob);
  });
  for (const name of await objectNames(storage, 'meta/')) {
    const bytes = await storage.get(name);
    const pack = { name: name.split('/').at(-1) as never, kind: OBJECT_KIND.metadataPack, bytes };
    const { frames, blobs } = openNamedPack(keys, pack).directory;
    const blob = blobs.find(({ type }) => type === BLOB_TYPE.attributes);
    if (blob === undefined) continue;
    const frame = frames[blob.frame];
    assert.equal(frame?.class, KEY_CLASS.metadata);
    await replaceObject(storage, name, flipBit(bytes, 8 * (frame.offset + 10)));
  }

  const [quick = [], whole = []] = await findings(t, repository);

  const expected = { kind: 'blob-unreadable', object, snapshots: [id], paths: hurtPaths };
  assert.deepEqual(quick, [expected]);
  assert.deepEqual(whole.map(({ kind }) => kind).sort(), ['blob-unreadable', 'pack-damaged']);
  assert.deepEqual(
    whole.find(({ kind }) => kind === 'blob-unreadable'),
    expected,
  );
});
