/**
 * `recover.mjs` against the golden vectors: a repository put together from nothing but them, and its own
 * BLAKE3 and key derivation against the vectors and against @noble/hashes.
 */
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { blake3 } from '@noble/hashes/blake3.js';
import { fromHex } from '../../src/util/bytes.ts';
import { loadRecover, recover } from '../helpers/run-recover.ts';
import { seededRandom } from '../helpers/seeded-random.ts';
import { tempDir } from '../helpers/temp-dir.ts';
import type { Scope } from '../helpers/test-repository.ts';
import { readVectors } from '../helpers/vectors.ts';

const vectors = readVectors('format-vectors.json') as {
  readonly keys: Readonly<Record<string, string>>;
  readonly blobs: Readonly<Record<string, { readonly type: number; readonly plain: string }>>;
  readonly pack_kind2: { readonly name: string; readonly file: string };
  readonly index_segment: { readonly name: string; readonly file: string };
  readonly snapshot: { readonly name: string; readonly file: string };
  readonly fence: { readonly file: string };
  readonly key_slot: { readonly passphrase: string; readonly file: string; readonly ring: string };
  readonly config: { readonly file: string };
};

const program = await loadRecover();
const passphrase = vectors.key_slot.passphrase;

function bytes(hex: string): Buffer {
  return Buffer.from(fromHex(hex));
}

/** A directory with the files of the vectors. */
function goldenRepository(scope: Scope, without: RegExp = /^$/): string {
  const directory = tempDir(scope);
  const hash = vectors.pack_kind2.name;
  const files = {
    config: vectors.config.file,
    [`keys/${'0'.repeat(32)}`]: vectors.key_slot.file,
    [`meta/${hash.slice(0, 2)}/${hash}`]: vectors.pack_kind2.file,
    [`index/0-${vectors.index_segment.name}`]: vectors.index_segment.file,
    [vectors.snapshot.name]: vectors.snapshot.file,
  };
  for (const [name, file] of Object.entries(files)) {
    if (without.test(name)) continue;
    mkdirSync(dirname(join(directory, name)), { recursive: true });
    writeFileSync(join(directory, name), bytes(file));
  }
  return directory;
}

test('recover.mjs has the BLAKE3 of @noble/hashes at every kind of length', () => {
  const [key, input] = [seededRandom(1).bytes(32), seededRandom(2).bytes(70_000)];
  const lengths = [0, 1, 3, 63, 64, 65, 127, 128, 1023, 1024, 1025, 2047, 2048, 2049, 3072, 3073];
  lengths.push(4096, 4097, 5120, 6144, 7168, 8192, 8193, 16_384, 31_744, 65_536, 65_537, 70_000);
  const purpose = 'enc data';
  const context = Buffer.from(`varve 2026-11-20 format 1 ${purpose}`);

  for (const length of lengths) {
    const message = input.subarray(0, length);
    const hash = program.keyedHash(Buffer.from(key), Buffer.from(message));
    const derived = program.deriveKey(purpose, Buffer.from(message));

    assert.deepEqual(hash, Buffer.from(blake3(message, { key })), `keyed, ${length} bytes`);
    assert.deepEqual(
      derived,
      Buffer.from(blake3(message, { context })),
      `derived, ${length} bytes`,
    );
  }
});

test('recover.mjs opens the key slot of the vectors and derives their keys', () => {
  const slot = bytes(vectors.key_slot.file);

  const ring = program.openSlot(slot, passphrase) as string;
  const { generations, id } = program.keysOf(ring);

  assert.equal(ring, vectors.key_slot.ring);
  assert.equal(program.openSlot(slot, 'wrong horse'), undefined);
  const { keys } = vectors;
  const { enc, header } = generations.get(0) as { enc: Buffer[]; header: Buffer };
  const names = ['enc_data', 'enc_metadata', 'enc_control', 'header_mac', 'id_data', 'id_tree'];
  assert.deepEqual(
    [...enc, header, id.get(1), id.get(2), id.get(3)].map((one) => one?.toString('hex')),
    [...names, 'id_list'].map((name) => keys[name]),
  );
});

test('recover.mjs decodes every blob of the pack of the vectors, by directory and by index', (t) => {
  const keys = program.keysOf(vectors.key_slot.ring);
  const directory = goldenRepository(t);
  const [folder = ''] = readdirSync(join(directory, 'meta'));
  const pack = join(directory, 'meta', folder, vectors.pack_kind2.name);
  // Class 1 of type 4 is nothing that this program has a key for.
  const blobs = Object.entries(vectors.blobs).filter(([, { type }]) => type < 4);
  for (const isDirectoryLost of [false, true]) {
    const file = bytes(vectors.pack_kind2.file);
    if (isDirectoryLost) writeFileSync(pack, file.subarray(0, file.length - 20));
    const table = program.buildTable(program.readPacks(keys, directory));
    for (const [id, { type, plain }] of blobs) {
      const repository = { directory, keys, table, frames: new Map(), framesSize: 0 };
      const found = program.readBlobs(repository, [bytes(id)], type).get(id);

      assert.deepEqual(found, bytes(plain), id);
    }
  }
});

test('recover.mjs takes no content whose id is another', (t) => {
  const keys = program.keysOf(vectors.key_slot.ring);
  const directory = goldenRepository(t);
  const id = new Map([...keys.id.keys()].map((type) => [type, Buffer.alloc(32, type)]));
  const table = program.buildTable(program.readPacks(keys, directory));
  for (const [name, { type }] of Object.entries(vectors.blobs)) {
    if (type >= 4) continue;
    const repository = {
      directory,
      keys: { ...keys, id },
      table,
      frames: new Map(),
      framesSize: 0,
    };

    const found = program.readBlobs(repository, [bytes(name)], type).get(name);

    assert.ok(found instanceof Error);
    assert.match(found.message, /other content in pack|its base \w+ is lost/);
  }
});

test('recover.mjs lists and restores the repository of the vectors', (t) => {
  const env = { VARVE_PASSWORD: passphrase };
  for (const without of [/^$/, /^config$/, /^index/]) {
    const directory = goldenRepository(t, without);
    const target = join(tempDir(t), 'target');

    const listed = recover([directory, 'list'], { env });
    const restored = recover([directory, 'restore', '8081', target], { env });

    assert.equal(
      listed.stdout,
      '808182838485868788898a8b8c8d8e8f  2023-11-14T22:13:20.000Z  example  home  0 entries  0 bytes\n',
    );
    assert.deepEqual([restored.code, readdirSync(target)], [0, []]);
  }
});

test('recover.mjs takes no record under another name, and no fence for a snapshot', (t) => {
  const env = { VARVE_PASSWORD: passphrase };
  const directory = goldenRepository(t, /^snapshots/);
  mkdirSync(join(directory, 'snapshots'));
  writeFileSync(join(directory, 'snapshots', 'f'.repeat(32)), bytes(vectors.snapshot.file));
  writeFileSync(join(directory, vectors.snapshot.name), bytes(vectors.fence.file));

  const { code, stdout, stderr } = recover([directory, 'list'], { env });

  assert.deepEqual([code, stdout], [3, '']);
  assert.deepEqual(stderr, [
    `missing: snapshots/${'f'.repeat(32)}: the MAC of its header does not fit`,
  ]);
});
