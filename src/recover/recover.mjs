/**
 * Restores snapshots from a varve repository without varve.
 *
 *   node recover.mjs REPOSITORY list [--forgotten]
 *   node recover.mjs REPOSITORY restore SNAPSHOT TARGET [PATH] [--forgotten]
 *
 * REPOSITORY is a directory with the files of a repository: the repository itself, or a copy of
 * what an object store holds. SNAPSHOT is an id, the start of one, or `latest`. TARGET is a new or
 * empty directory. A whole snapshot keeps its absolute paths below TARGET; of a PATH that is a
 * directory, TARGET gets what is in it. The passphrase comes from VARVE_PASSWORD or is asked for.
 *
 * This file is all there is. It needs Node 20.19 or newer on a little-endian machine, and zstd:
 * that of Node where Node has it, else the program `zstd`. It uses no index, no cache, and no other
 * line of varve, and it writes nothing but TARGET. It is made to be read, and to be written again
 * in another language: whatever it does follows the repository format, docs/repository-format.md of
 * varve, and `(section 8)` in a comment is a section of that page. The order is that of the data,
 * from keys to files:
 *
 *   1 bytes   2 BLAKE3   3 keys   4 key slots   5 sealed objects   6 zstd   7 packs   8 the table
 *   9 blobs   10 trees   11 snapshots   12 restoring   13 the command
 *
 * What it promises:
 *
 * - Nothing is written that is not what was saved: every piece of a file is compared with its id, a
 *   keyed hash, before it is written. All that a reader can be lenient about rests on this.
 * - It goes on past damage. A file with a gap is restored as NAME.incomplete, with zeros for what
 *   is lost; every gap is listed with its path.
 * - It writes nowhere but below TARGET, whatever the names in a snapshot are.
 * - Exit code 0: everything is there. 3: something is listed as missing. 1: nothing could be done.
 *
 * What it does not restore, and says so: extended attributes and file flags, devices, FIFOs and
 * sockets. Times are right to about a microsecond, which is what Node can set.
 *
 * Memory: about 110 bytes for each stored chunk (2 GB for each TB that the packs hold), and up to
 * some 300 MB for what is in work. Packs are read piece by piece.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { createDecipheriv, createHash, randomBytes, scryptSync } from 'node:crypto';
import * as fs from 'node:fs';
import { endianness } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import * as zlib from 'node:zlib';

// 1 -------------------------------------------------------------------------------------- bytes

/** Something that is not as it should be, in the repository or on the way to the target. */
class Damage extends Error {}

/**
 * @param {unknown} isFine
 * @param {string} otherwise What is wrong when it is not.
 * @returns {asserts isFine}
 */
function demand(isFine, otherwise) {
  if (!isFine) throw new Damage(otherwise);
}

/** Reads fields one after the other and never beyond the end. Integers are little-endian. */
class Reader {
  /** @param {Buffer} bytes */
  constructor(bytes) {
    this.bytes = bytes;
    this.at = 0;
  }

  get left() {
    return this.bytes.length - this.at;
  }

  /** @param {number} size */
  take(size) {
    demand(size <= this.left, 'cut short');
    this.at += size;
    return this.bytes.subarray(this.at - size, this.at);
  }

  u8() {
    return this.take(1).readUInt8();
  }

  u16() {
    return this.take(2).readUInt16LE();
  }

  u32() {
    return this.take(4).readUInt32LE();
  }

  u64() {
    return this.take(8).readBigUInt64LE();
  }

  i64() {
    return this.take(8).readBigInt64LE();
  }

  /** Unsigned LEB128 (section 1). No size that this program reads is larger than 2^28. */
  varint() {
    let value = 0;
    for (let shift = 0; shift < 28; shift += 7) {
      const byte = this.u8();
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
    throw new Damage('a size beyond all bounds');
  }
}

/** @param {number} value */
function u32(value) {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

/** @param {Buffer} bytes */
function isZero(bytes) {
  return bytes.every((byte) => byte === 0);
}

/** @param {string | Buffer} content */
function sha256(content) {
  return createHash('sha256').update(content).digest();
}

/**
 * Text from outside, safe on a terminal: names may hold line ends, control characters and bytes
 * that are no text at all.
 * @param {Buffer} bytes
 */
function printable(bytes) {
  const text = bytes.toString('utf8');
  const isText = Buffer.from(text, 'utf8').equals(bytes);
  const unsafe = /[\p{C}\p{Zl}\p{Zp}\\]/gu;
  if (isText) return text.replace(unsafe, (c) => (c === '\\' ? '\\\\' : escapeBytes(c, 'utf8')));
  return bytes.toString('latin1').replace(/[^ -[\]-~]/g, (c) => escapeBytes(c, 'latin1'));
}

/** @param {string} text @param {'utf8' | 'latin1'} encoding */
function escapeBytes(text, encoding) {
  const bytes = [...Buffer.from(text, encoding)];
  return bytes.map((byte) => `\\x${byte.toString(16).padStart(2, '0')}`).join('');
}

// 2 ------------------------------------------------------------------------------------- BLAKE3
//
// https://github.com/BLAKE3-team/BLAKE3-specs. Input is cut into chunks of 1,024 bytes and these
// into blocks of 64. The blocks of a chunk are compressed one after the other into 8 words, its
// chaining value. Chaining values are joined two by two to a binary tree; the last compression of
// all, that of the root, is marked and gives the hash. (The chunks of BLAKE3 are not those of a
// file.)

const initialValue = Uint32Array.of(
  ...[0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a],
  ...[0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19],
);
const flagChunkStart = 1;
const flagChunkEnd = 2;
const flagParent = 4;
const flagRoot = 8;
const flagKeyed = 16;
const flagContext = 32;
const flagMaterial = 64;

/** For each of the 7 rounds which words of the block are mixed in: the order, applied to itself. */
const schedule = (() => {
  const order = [2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8];
  let row = order.map((_, i) => i);
  const rows = [];
  for (let round = 0; round < 7; round++) {
    rows.push(...row);
    row = order.map((i) => row[i]);
  }
  return Uint8Array.from(rows);
})();

/** The state of the compression function. Its words wrap around at 2^32 by themselves. */
const state = new Uint32Array(16);

/**
 * @param {number} a
 * @param {number} b
 * @param {number} c
 * @param {number} d
 * @param {number} x
 * @param {number} y
 */
function mix(a, b, c, d, x, y) {
  state[a] = state[a] + state[b] + x;
  state[d] ^= state[a];
  state[d] = (state[d] >>> 16) | (state[d] << 16);
  state[c] += state[d];
  state[b] ^= state[c];
  state[b] = (state[b] >>> 12) | (state[b] << 20);
  state[a] = state[a] + state[b] + y;
  state[d] ^= state[a];
  state[d] = (state[d] >>> 8) | (state[d] << 24);
  state[c] += state[d];
  state[b] ^= state[c];
  state[b] = (state[b] >>> 7) | (state[b] << 25);
}

/**
 * @param {Uint32Array} value 8 words, replaced by the result.
 * @param {Uint32Array} words The block is 16 of them, from `at`.
 * @param {number} at
 * @param {{ counter: number, size: number, flags: number }} input Number of the BLAKE3 chunk (the
 *   upper half of this counter stays 0, inputs being far below 4 TiB), and bytes in the block.
 */
function compress(value, words, at, { counter, size, flags }) {
  state.set(value);
  state.set(initialValue.subarray(0, 4), 8);
  state[12] = counter;
  state[13] = 0;
  state[14] = size;
  state[15] = flags;
  /** @param {number} i */
  const word = (i) => words[at + schedule[i]];
  for (let i = 0; i < schedule.length; i += 16) {
    mix(0, 4, 8, 12, word(i), word(i + 1));
    mix(1, 5, 9, 13, word(i + 2), word(i + 3));
    mix(2, 6, 10, 14, word(i + 4), word(i + 5));
    mix(3, 7, 11, 15, word(i + 6), word(i + 7));
    mix(0, 5, 10, 15, word(i + 8), word(i + 9));
    mix(1, 6, 11, 12, word(i + 10), word(i + 11));
    mix(2, 7, 8, 13, word(i + 12), word(i + 13));
    mix(3, 4, 9, 14, word(i + 14), word(i + 15));
  }
  for (let i = 0; i < 8; i++) value[i] = state[i] ^ state[i + 8];
}

const chunkSize = 1024;
const chunkWords = new Uint32Array(chunkSize / 4);
const chunkBytes = new Uint8Array(chunkWords.buffer);

/**
 * The chaining value of one BLAKE3 chunk, of which the last one may be short or empty.
 * @param {Uint32Array} key
 * @param {Buffer} chunk
 * @param {{ counter: number, flags: number, isRoot: boolean }} input
 */
function hashChunk(key, chunk, { counter, flags, isRoot }) {
  chunkBytes.fill(0);
  chunkBytes.set(chunk);
  const value = key.slice();
  const last = Math.max(0, Math.ceil(chunk.length / 64) - 1);
  for (let block = 0; block <= last; block++) {
    const first = block === 0 ? flagChunkStart : 0;
    const end = block === last ? flagChunkEnd | (isRoot ? flagRoot : 0) : 0;
    const size = Math.min(64, chunk.length - 64 * block);
    compress(value, chunkWords, 16 * block, { counter, size, flags: flags | first | end });
  }
  return value;
}

/**
 * @param {Uint32Array} key
 * @param {Buffer} input
 * @param {number} flags
 * @returns {Buffer} 32 bytes.
 */
function blake3(key, input, flags) {
  const chunkCount = Math.max(1, Math.ceil(input.length / chunkSize));
  /** Chaining values of complete subtrees, the largest first. @type {Uint32Array[]} */
  const stack = [];
  const pair = new Uint32Array(16);
  /** @param {boolean} isRoot @param {Uint32Array} right */
  const joinLast = (right, isRoot) => {
    pair.set(/** @type {Uint32Array} */ (stack.pop()));
    pair.set(right, 8);
    const value = key.slice();
    const joined = flags | flagParent | (isRoot ? flagRoot : 0);
    compress(value, pair, 0, { counter: 0, size: 64, flags: joined });
    return value;
  };
  for (let counter = 0; ; counter++) {
    const chunk = input.subarray(counter * chunkSize, (counter + 1) * chunkSize);
    let value = hashChunk(key, chunk, { counter, flags, isRoot: chunkCount === 1 });
    if (counter === chunkCount - 1) {
      while (stack.length > 0) value = joinLast(value, stack.length === 1);
      return Buffer.from(value.buffer);
    }
    // A subtree is complete for each zero bit at the end of the number of chunks so far.
    for (let count = counter + 1; count % 2 === 0; count /= 2) value = joinLast(value, false);
    stack.push(value);
  }
}

/**
 * KH of section 1.
 * @param {Buffer} key
 * @param {Buffer} input
 */
export function keyedHash(key, input) {
  return blake3(wordsOf(key), input, flagKeyed);
}

/**
 * DK of section 1, with the context of section 3.
 * @param {string} purpose
 * @param {Buffer} material
 */
export function deriveKey(purpose, material) {
  const context = Buffer.from(`varve 2026-11-20 format 1 ${purpose}`);
  const contextKey = blake3(initialValue, context, flagContext);
  return blake3(wordsOf(contextKey), material, flagMaterial);
}

/** @param {Buffer} key */
function wordsOf(key) {
  return Uint32Array.from({ length: 8 }, (_, i) => key.readUInt32LE(4 * i));
}

// 3 --------------------------------------------------------------------------------------- keys

const typeData = 1;
const typeTree = 2;
const typeList = 3;

/**
 * @typedef {object} Generation The keys of one root secret (section 3).
 * @property {Buffer[]} enc By class: 0 data, 1 metadata, 2 control.
 * @property {Buffer} header
 *
 * @typedef {object} Keys
 * @property {Buffer} repositoryId
 * @property {Map<number, Generation>} generations
 * @property {Map<number, Buffer>} id Key of ids, by type of blob.
 */

/** @param {string} ring The key ring, JSON (section 4). @returns {Keys} */
export function keysOf(ring) {
  const record = parseRecord(Buffer.from(ring), 'varve.keyring/1');
  const repositoryId = Buffer.from(record.repo_id, 'hex');
  const dedupSecret = Buffer.from(record.dedup_secret, 'hex');
  const generations = new Map();
  for (const { number, root_secret } of record.generations) {
    const material = Buffer.concat([repositoryId, Buffer.from(root_secret, 'hex')]);
    generations.set(number, {
      enc: ['data', 'metadata', 'control'].map((name) => deriveKey(`enc ${name}`, material)),
      header: deriveKey('header mac', material),
    });
  }
  const names = ['data', 'tree', 'list'];
  const id = new Map(names.map((name, i) => [i + 1, deriveKey(`id ${name}`, dedupSecret)]));
  return { repositoryId, generations, id };
}

/**
 * The key of one object, pack directory or class of frames in a pack: K(label) of section 3.
 * @param {Keys} keys
 * @param {'frame' | 'directory' | 'object'} label
 * @param {{ generation: number, kind: number, salt: Buffer }} header
 * @param {number} keyClass
 */
function objectKey(keys, label, { generation, kind, salt }, keyClass) {
  const own = keys.generations.get(generation);
  demand(own, `the key ring has no generation ${generation}`);
  const text = Buffer.from(`${label}\0`);
  const input = Buffer.concat([text, Buffer.of(kind), keys.repositoryId, salt]);
  return keyedHash(own.enc[keyClass], input);
}

/** @param {number} domain @param {number} counter */
function nonceOf(domain, counter) {
  const nonce = Buffer.alloc(12);
  nonce.writeUInt32LE(domain);
  nonce.writeBigUInt64LE(BigInt(counter), 4);
  return nonce;
}

/**
 * AES-256-GCM. @throws {Damage} when the tag is wrong: then nothing of the plaintext is used.
 * @param {Buffer} key
 * @param {Buffer} nonce
 * @param {Buffer} aad Associated data, which the tag covers too.
 * @param {Buffer} sealed Ciphertext and 16 bytes of tag.
 */
function openAead(key, nonce, aad, sealed) {
  demand(sealed.length >= 16, 'cut short');
  const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: 16 });
  decipher.setAAD(aad);
  decipher.setAuthTag(sealed.subarray(-16));
  const plaintext = decipher.update(sealed.subarray(0, -16));
  try {
    decipher.final();
  } catch {
    throw new Damage('the tag does not fit');
  }
  return plaintext;
}

// 4 ---------------------------------------------------------------------------------- key slots

const slotMagic = Buffer.from('8956524b0d0a1a0a', 'hex');

/**
 * Takes a key slot apart (section 4).
 * @param {Buffer} file
 */
function parseSlot(file) {
  const reader = new Reader(file);
  demand(reader.take(8).equals(slotMagic), 'it is no key slot');
  demand(reader.u8() === 1, 'it is of a later format');
  const [kdf, flags] = [reader.u8(), reader.u16()];
  const [log2N, r, p] = [reader.u32(), reader.u32(), reader.u32()];
  demand(kdf === 0 || kdf === 1, `this program cannot open slots of kind ${kdf}`);
  demand(flags === 0, 'it needs a pepper file, which this program does not know');
  const isCostFine = log2N >= 15 && log2N <= 22 && r >= 1 && r <= 32 && p >= 1 && p <= 16;
  demand(kdf === 0 || (isCostFine && 128 * r * 2 ** log2N <= 2 ** 31), 'its cost is out of range');
  const wrappedSize = reader.u32();
  reader.take(4);
  const [repositoryId, salt, commitment] = [reader.take(32), reader.take(32), reader.take(32)];
  reader.take(32);
  const wrapped = reader.take(wrappedSize);
  demand(reader.left === 0, 'it is too long');
  const [committed, aad] = [file.subarray(0, 96), file.subarray(0, 160)];
  return { kdf, log2N, r, p, repositoryId, salt, commitment, committed, aad, wrapped };
}

/**
 * Opens one slot.
 * @param {Buffer} file
 * @param {string} passphrase Not used by a slot that opens without one.
 * @returns {string | undefined} The key ring; undefined when the passphrase is wrong.
 */
export function openSlot(file, passphrase) {
  const { kdf, log2N, r, p, salt, commitment, committed, aad, wrapped } = parseSlot(file);
  const memory = 128 * r * 2 ** log2N;
  const secret =
    kdf === 0
      ? Buffer.concat([deriveKey('public slot a', salt), deriveKey('public slot b', salt)])
      : scryptSync(Buffer.from(passphrase.normalize('NFC')), salt, 64, {
          ...{ N: 2 ** log2N, r, p },
          maxmem: 2 * memory,
        });
  if (!keyedHash(secret.subarray(32), committed).equals(commitment)) return undefined;
  return openAead(secret.subarray(0, 32), Buffer.alloc(12), aad, wrapped).toString();
}

/**
 * @typedef {object} Slot
 * @property {string} name
 * @property {Buffer} file
 * @property {Buffer} repositoryId
 * @property {boolean} isOpen Whether it opens without a passphrase.
 */

/**
 * The key slots. First those that need no passphrase, unless one is given: whoever has it wants
 * what it protects. Slots of another repository than `config` says are left out, unless there are
 * no others: `config` may be what is damaged.
 * @param {string} directory
 * @returns {Slot[]}
 */
function findSlots(directory) {
  const slots = [];
  for (const name of namesIn(directory, 'keys', /^[0-9a-f]{32}$/)) {
    try {
      const file = readObject(directory, name, 2 ** 17);
      const { kdf, repositoryId } = parseSlot(file);
      slots.push({ name, file, repositoryId, isOpen: kdf === 0 });
    } catch (error) {
      note(`cannot use key slot ${name}: ${reasonOf(error)}`);
    }
  }
  const isGiven = process.env['VARVE_PASSWORD'] !== undefined;
  slots.sort((a, b) => Number(b.isOpen !== isGiven) - Number(a.isOpen !== isGiven));
  const own = slots.filter((slot) => slot.repositoryId.equals(configClear(directory).id));
  return (own.length > 0 ? own : slots).slice(0, 32);
}

/** @param {string} directory @returns {Promise<Keys>} */
async function openKeys(directory) {
  const slots = findSlots(directory);
  if (slots.length === 0) throw new Error(`There is no usable key slot in ${directory}/keys`);
  /** @type {string | undefined} */
  let passphrase;
  for (const { name, file, isOpen } of slots) {
    if (!isOpen) passphrase ??= await askPassphrase();
    try {
      const ring = openSlot(file, passphrase ?? '');
      if (ring !== undefined) return keysOf(ring);
    } catch (error) {
      note(`cannot use key slot ${name}: ${reasonOf(error)}`);
    }
  }
  throw new Error('The passphrase opens no key slot');
}

// 5 ----------------------------------------------------------------------------- sealed objects

const objectMagic = Buffer.from('895652560d0a1a0a', 'hex');
const headerSize = 64;
const kindSegment = 3;
const kindSnapshot = 4;
const kindFence = 5;
const kindTomb = 6;
const kindConfig = 10;

/**
 * Checks the header that every pack and every record begins with (section 5). Its MAC ties the
 * object to this repository and, where the name is not a hash, to its name.
 * @param {Keys} keys
 * @param {Buffer} header 64 bytes.
 * @param {{ kinds: number[], name?: string }} expected
 */
function checkHeader(keys, header, { kinds, name = '' }) {
  const reader = new Reader(header);
  demand(reader.take(8).equals(objectMagic), 'it does not begin like an object of varve');
  demand(reader.u8() === 1, 'it is of a later format');
  const [kind, flags, generation] = [reader.u8(), reader.u16(), reader.u32()];
  const salt = reader.take(32);
  const own = keys.generations.get(generation);
  demand(own, `the key ring has no generation ${generation}`);
  const nameSize = Buffer.of(name.length & 0xff, name.length >> 8);
  const input = [keys.repositoryId, nameSize, Buffer.from(name), header.subarray(0, 48)];
  const mac = keyedHash(own.header, Buffer.concat(input)).subarray(0, 16);
  demand(mac.equals(reader.take(16)), 'the MAC of its header does not fit');
  demand(kinds.includes(kind) && flags === 0, `it is of kind ${kind}`);
  return { kind, generation, salt };
}

/**
 * Opens a sealed object: a header, then parts, of which the nonce tells the last one.
 * @param {Keys} keys
 * @param {Buffer} file
 * @param {{ kinds: number[], name?: string, sizeMax?: number }} expected
 */
function openObject(keys, file, { kinds, name = '', sizeMax = 2 ** 24 }) {
  const reader = new Reader(file);
  const header = checkHeader(keys, reader.take(headerSize), { kinds, name });
  const key = objectKey(keys, 'object', header, 2);
  const parts = [];
  for (let j = 0; parts.length === 0 || reader.left > 0; j++) {
    const aad = reader.take(4);
    const sealed = reader.take(aad.readUInt32LE());
    parts.push(openAead(key, nonceOf(2, 2 * j + (reader.left === 0 ? 1 : 0)), aad, sealed));
  }
  const content = new Reader(Buffer.concat(parts));
  const [compression, size] = [content.u8(), Number(content.u64())];
  demand(size <= sizeMax && compression <= 1, 'it is too large');
  let payload = content.take(content.left);
  if (compression === 1) payload = decompressOne({ frame: payload, size });
  demand(payload.length === size, 'its size is wrong');
  return { kind: header.kind, payload };
}

/**
 * Parses the payload of a record (section 6). The bytes were authenticated, so this need not check
 * whether they are spelled in the one canonical way.
 * @param {Buffer} payload
 * @param {string} schema
 * @returns {any}
 */
function parseRecord(payload, schema) {
  const record = JSON.parse(payload.toString());
  demand(record.schema === schema, `its schema is ${record.schema}`);
  const unknown = record.requires ?? [];
  demand(unknown.length === 0, `it needs ${unknown}, which this program does not know`);
  return record;
}

/**
 * Storage names below a folder, sorted.
 * @param {string} directory
 * @param {string} folder
 * @param {RegExp} pattern
 */
function namesIn(directory, folder, pattern) {
  const path = join(directory, folder);
  const names = fs.existsSync(path) ? fs.readdirSync(path) : [];
  return names
    .filter((name) => pattern.test(name))
    .sort()
    .map((name) => `${folder}/${name}`);
}

/** @param {string} directory @param {string} name @param {number} sizeMax */
function readObject(directory, name, sizeMax) {
  const path = join(directory, name);
  demand(fs.statSync(path).size <= sizeMax, 'it is too large');
  return fs.readFileSync(path);
}

/**
 * The clear part of `config` (section 11), or zeros where there is none.
 * @param {string} directory
 */
function configClear(directory) {
  const path = join(directory, 'config');
  const file = fs.existsSync(path) ? fs.readFileSync(path) : Buffer.alloc(0);
  const clear = Buffer.concat([file, Buffer.alloc(128)]).subarray(0, 128);
  return { clear, id: clear.subarray(44, 76), sealed: file.subarray(128) };
}

/**
 * Compares the two halves of `config`. The sealed half counts; it also says whether this program
 * can read the repository. Without it one can only try.
 * @param {Keys} keys
 * @param {string} directory
 */
function checkConfig(keys, directory) {
  const { clear, sealed } = configClear(directory);
  let stated = clear;
  try {
    const { payload } = openObject(keys, sealed, { kinds: [kindConfig], name: 'config' });
    stated = Buffer.from(parseRecord(payload, 'varve.config/1').clear, 'base64');
    if (!stated.equals(clear)) note('the clear part of config was changed');
  } catch (error) {
    note(`cannot read config, going on without: ${reasonOf(error)}`);
    return;
  }
  const isReadable = stated[9] <= 1 && isZero(stated.subarray(12, 20));
  if (!isReadable) throw new Error('The repository is of a later format than this program');
}

// 6 --------------------------------------------------------------------------------------- zstd
//
// Two things need care: starting a program for each of a hundred thousand pieces would take hours,
// and deltas are zstd frames made with another chunk, their base, as dictionary. Both go away with
// this: a raw dictionary is nothing but content that came before. A frame whose first blocks hold
// the base as it is, followed by the blocks of the delta, is an ordinary frame, and decodes to the
// base followed by what the delta stands for. And a row of ordinary frames is valid input for one
// run of the program.

/**
 * @typedef {object} Compressed
 * @property {Buffer} frame One zstd frame.
 * @property {number} size What it decodes to.
 * @property {Buffer} [base] Of a delta: content of its dictionary.
 */

/** How much one run of the program may give. */
const runSizeMax = 2 ** 25;
const windowMax = 2 ** 25;
const blockSizeMax = 2 ** 17;
const dictionaryMagic = Buffer.from('37a430ec', 'hex');

/** Older Node versions lack it. @type {((input: Buffer, options: object) => Buffer) | undefined} */
const zstdOfNode = /** @type {any} */ (zlib).zstdDecompressSync;

/**
 * Checks that a frame is exactly one, of the size and window that the format allows (section 5),
 * and finds its blocks.
 * @param {Compressed} compressed
 * @returns {Buffer} The blocks.
 */
function blocksOf({ frame, size }) {
  const reader = new Reader(frame);
  demand(reader.u32() === 0xfd2fb528, 'it is no zstd frame');
  const descriptor = reader.u8();
  const isSingleSegment = (descriptor & 0x20) !== 0;
  demand((descriptor & 0b1011) === 0 && (isSingleSegment || descriptor >= 0x40), 'zstd header');
  const window = isSingleSegment ? 0 : reader.u8();
  demand(2 ** (10 + (window >> 3)) * (1 + (window & 7) / 8) <= windowMax, 'zstd window');
  const sizeSize = [1, 2, 4, 8][descriptor >> 6];
  const sizeBytes = Buffer.concat([reader.take(sizeSize), Buffer.alloc(8)]).subarray(0, 8);
  const stated = Number(sizeBytes.readBigUInt64LE()) + (sizeSize === 2 ? 256 : 0);
  demand(stated === size, 'it states another size');
  const begin = reader.at;
  for (let isLast = false; !isLast; ) {
    const block = reader.take(3).readUIntLE(0, 3);
    const type = (block >> 1) & 3;
    demand(type !== 3, 'zstd block');
    isLast = (block & 1) === 1;
    reader.take(type === 1 ? 1 : block >> 3);
  }
  const end = reader.at;
  reader.take((descriptor & 0b100) === 0 ? 0 : 4);
  demand(reader.left === 0, 'there is something behind the zstd frame');
  return frame.subarray(begin, end);
}

/**
 * An ordinary frame that gives the base of a delta, followed by its plaintext. Where the base looks
 * like a dictionary of zstd, one zero byte stands before it (section 7).
 * @param {Compressed & { base: Buffer }} delta
 * @param {Buffer} blocks
 */
function joinBase({ base, size }, blocks) {
  const isPrefixed = base.subarray(0, 4).equals(dictionaryMagic);
  const before = Buffer.concat([Buffer.alloc(isPrefixed ? 1 : 0), base]);
  // Single segment, which needs no window, with a content size of four bytes.
  const parts = [u32(0xfd2fb528), Buffer.of(0xa0), u32(before.length + size)];
  for (let at = 0; at < before.length; at += blockSizeMax) {
    const raw = before.subarray(at, at + blockSizeMax);
    parts.push(u32(raw.length << 3).subarray(0, 3), raw); // Not the last block, and not compressed.
  }
  return { frame: Buffer.concat([...parts, blocks]), skip: before.length };
}

/**
 * Decodes many frames, in as few runs of the program as memory allows.
 * @param {Compressed[]} all
 * @returns {(Buffer | Damage)[]} In the same order.
 */
function decompress(all) {
  /** @type {(Buffer | Damage)[]} */
  const results = new Array(all.length);
  /** @type {Ordinary[]} */
  let run = [];
  let runSize = 0;
  all.forEach((compressed, i) => {
    try {
      const blocks = blocksOf(compressed);
      const { base, size } = compressed;
      const { frame, skip } =
        base === undefined
          ? { frame: compressed.frame, skip: 0 }
          : joinBase({ ...compressed, base }, blocks);
      if (runSize + skip + size > runSizeMax) {
        runZstd(run, results);
        run = [];
        runSize = 0;
      }
      run.push({ i, frame, skip, size });
      runSize += skip + size;
    } catch (error) {
      results[i] = asDamage(error);
    }
  });
  runZstd(run, results);
  return results;
}

/** @param {Compressed} compressed */
function decompressOne(compressed) {
  const [result] = decompress([compressed]);
  if (result instanceof Damage) throw result;
  return result;
}

/**
 * @typedef {object} Ordinary A frame without dictionary.
 * @property {number} i Where its result belongs.
 * @property {Buffer} frame
 * @property {number} skip Bytes at the beginning of what it gives that are not wanted.
 * @property {number} size Bytes that are.
 */

/** @param {Ordinary[]} run @param {(Buffer | Damage)[]} results */
function runZstd(run, results) {
  // Node decodes one frame at a time, the program a row of them.
  const rows = zstdOfNode === undefined ? [run] : run.map((one) => [one]);
  for (const row of rows) if (row.length > 0) decompressRow(row, results);
}

/** @param {Ordinary[]} row @param {(Buffer | Damage)[]} results */
function decompressRow(row, results) {
  const input = Buffer.concat(row.map(({ frame }) => frame));
  const total = row.reduce((sum, { skip, size }) => sum + skip + size, 0);
  const output = callZstd(input, total);
  if (output instanceof Damage && row.length > 1) {
    // One of them does not decode, and the others must not suffer.
    for (const one of row) decompressRow([one], results);
    return;
  }
  let at = 0;
  for (const { i, skip, size } of row) {
    results[i] = output instanceof Damage ? output : output.subarray(at + skip, at + skip + size);
    at += skip + size;
  }
}

/** @param {Buffer} input @param {number} size What it gives. @returns {Buffer | Damage} */
function callZstd(input, size) {
  try {
    const output =
      zstdOfNode?.(input, { maxOutputLength: size, chunkSize: Math.max(64, size) }) ??
      execFileSync('zstd', ['-dcq'], { input, maxBuffer: size + 1, stdio: 'pipe' });
    demand(output.length === size, 'another size');
    return output;
  } catch (error) {
    const { stderr, message } = /** @type {any} */ (error);
    return new Damage(`zstd: ${stderr?.toString().trim() || message}`);
  }
}

/** Says so at once, rather than for each file, when nothing can be decompressed. */
function demandZstd() {
  if (zstdOfNode !== undefined || spawnSync('zstd', ['--version']).status === 0) return;
  throw new Error('Node before 22.15 has no zstd: the program "zstd" is needed');
}

// 7 -------------------------------------------------------------------------------------- packs

const trailerSize = 96;
const frameRecordSize = 16;

/**
 * @typedef {object} Pack
 * @property {string} name
 * @property {number} kind
 * @property {number} generation
 * @property {Buffer} salt
 * @property {Buffer} directory Its plaintext (section 8), kept as it is: the records in it are read
 *   when they are needed.
 * @property {Uint32Array} frameAt For each frame its offset in the file.
 * @property {Uint32Array} recordAt For each blob the offset of its record in the directory,
 * @property {Uint32Array} frameOf the number of its frame,
 * @property {Uint32Array} offsetIn and where it begins in that.
 */

/**
 * Reads the directory at the end of a pack, which says what is where in it.
 * @param {Keys} keys
 * @param {string} directory
 * @param {string} name
 * @returns {Pack}
 */
function readPack(keys, directory, name) {
  const fd = fs.openSync(join(directory, name), 'r');
  try {
    const { size: length } = fs.fstatSync(fd);
    demand(length >= headerSize + trailerSize, 'it is cut short');
    const trailer = readRange(fd, length - trailerSize, trailerSize);
    const isWhole =
      trailer.subarray(80, 88).toString('latin1') === 'VARVEND\n' &&
      sha256(trailer.subarray(0, 88)).subarray(0, 8).equals(trailer.subarray(88));
    demand(isWhole, 'its trailer is damaged');
    demand(Number(trailer.readBigUInt64LE(72)) === length, 'its length is wrong');
    const kinds = [name.startsWith('data/') ? 1 : 2];
    const header = checkHeader(keys, trailer.subarray(0, headerSize), { kinds });
    const sealedSize = trailer.readUInt32LE(64);
    demand(sealedSize <= length - headerSize - trailerSize, 'its directory is too large');
    const end = length - trailerSize - sealedSize;
    const sealed = readRange(fd, end, sealedSize);
    const key = objectKey(keys, 'directory', header, 2);
    const plaintext = openAead(key, nonceOf(1, 0), trailer.subarray(0, 88), sealed);
    return parseDirectory(plaintext, { ...header, name, end });
  } finally {
    fs.closeSync(fd);
  }
}

/** @param {number} fd @param {number} offset @param {number} size */
function readRange(fd, offset, size) {
  const bytes = Buffer.alloc(size);
  for (let at = 0; at < size; ) {
    const count = fs.readSync(fd, bytes, at, size - at, offset + at);
    demand(count > 0, 'the file is cut short');
    at += count;
  }
  return bytes;
}

/**
 * @param {Buffer} plaintext With or without its padding.
 * @param {{ name: string, kind: number, generation: number, salt: Buffer, end: number }} pack `end`
 *   is where the frames end.
 * @returns {Pack}
 */
function parseDirectory(plaintext, { name, kind, generation, salt, end }) {
  const reader = new Reader(plaintext);
  demand(reader.take(4).toString('latin1') === 'VDR1', 'its directory is of a later format');
  const [frameCount, blobCount, body] = [reader.u32(), reader.u32(), reader.u32()];
  demand(frameCount <= 65_536 && blobCount <= 2 ** 20, 'its directory is too large');
  reader.take(48);
  const frames = new Reader(reader.take(frameRecordSize * frameCount));
  const frameAt = new Uint32Array(frameCount);
  const [recordAt, frameOf, offsetIn] = [blobCount, blobCount, blobCount].map(
    (count) => new Uint32Array(count),
  );
  let [at, blob] = [headerSize, 0];
  for (let frame = 0; frame < frameCount; frame++) {
    const { storedSize, rawSize, count, frameKind } = readFrameRecord(frames);
    frameAt[frame] = at;
    at += storedSize;
    demand(at <= end && frameKind <= 3, 'its directory is wrong');
    demand(rawSize <= (count <= 1 ? 2 ** 24 : 2 ** 22) || frameKind === 3, 'a frame is too large');
    demand(blob + count <= blobCount, 'its directory is wrong');
    for (let offset = 0, left = count; left > 0; left--, blob++) {
      recordAt[blob] = reader.at;
      frameOf[blob] = frame;
      offsetIn[blob] = offset;
      const record = readBlobRecord(reader);
      demand((record.base !== undefined) === (frameKind === 2), 'its directory is wrong');
      offset += record.base === undefined ? record.size : record.encodedSize;
    }
  }
  demand(at === end && blob === blobCount && reader.at === body, 'its directory is wrong');
  return {
    name,
    kind,
    generation,
    salt,
    directory: plaintext,
    frameAt,
    recordAt,
    frameOf,
    offsetIn,
  };
}

/** @param {Reader} reader */
function readFrameRecord(reader) {
  const [storedSize, rawSize, count] = [reader.u32(), reader.u32(), reader.u32()];
  const [frameKind, frameClass] = [reader.u8(), reader.u8()];
  reader.take(2);
  return { storedSize, rawSize, count, frameKind, frameClass };
}

/** @param {Reader} reader */
function readBlobRecord(reader) {
  const [id, size] = [reader.take(32), reader.u32()];
  const [type, flags, depth] = [reader.u8(), reader.u8(), reader.u8()];
  reader.take(1);
  demand(size >= 1 && size <= 2 ** 24 && flags <= 3, 'a blob record is wrong');
  const encodedSize = flags & 1 ? reader.u32() : 0;
  const base = flags & 1 ? reader.take(32) : undefined;
  reader.take(flags & 2 ? 24 : 0); // Super-features, of which no reader needs to know.
  return { id, size, type, depth, encodedSize, base };
}

/**
 * Reads all packs. Of those whose own directory is damaged the index has a copy, and the frames of
 * such a pack may be as good as ever.
 * @param {Keys} keys
 * @param {string} directory
 */
export function readPacks(keys, directory) {
  const packs = [];
  /** @type {Set<string>} */
  const damaged = new Set();
  for (const name of packNames(directory)) {
    try {
      packs.push(readPack(keys, directory, name));
    } catch (error) {
      note(`cannot read the directory of pack ${name}: ${reasonOf(error)}`);
      damaged.add(name);
    }
  }
  if (damaged.size > 0) {
    for (const name of namesIn(directory, 'index', /^[0-3]-[0-9a-f]{64}$/)) {
      try {
        packs.push(...readSegment(keys, readObject(directory, name, 2 ** 29), damaged));
      } catch (error) {
        note(`cannot read index segment ${name}: ${reasonOf(error)}`);
      }
    }
  }
  for (const name of damaged) note(`what is in pack ${name} is not known`);
  return packs;
}

/** @param {string} directory */
function packNames(directory) {
  const names = [];
  for (const kind of ['meta', 'data']) {
    for (const folder of namesIn(directory, kind, /^[0-9a-f]{2}$/)) {
      names.push(...namesIn(directory, folder, /^[0-9a-f]{64}$/));
    }
  }
  return names;
}

/**
 * Pack records of an index segment (section 9).
 * @param {Keys} keys
 * @param {Buffer} file
 * @param {Set<string>} wanted Names of packs; those that are found are taken out.
 */
function readSegment(keys, file, wanted) {
  const { payload } = openObject(keys, file, { kinds: [kindSegment], sizeMax: 2 ** 28 });
  const reader = new Reader(payload);
  demand(reader.take(4).toString('latin1') === 'VIX1', 'it is of a later format');
  reader.take(52);
  const [packCount, supersededCount] = [reader.u32(), reader.u32()];
  reader.take(32 + 32 * supersededCount);
  const packs = [];
  for (let i = 0; i < packCount; i++) {
    const [hash, salt] = [reader.take(32).toString('hex'), Buffer.from(reader.take(32))];
    const length = reader.u64();
    const [generation, bodySize, sealedSize] = [reader.u32(), reader.u32(), reader.u32()];
    const kind = reader.u8();
    reader.take(11);
    const body = Buffer.from(reader.take(bodySize)); // The payload itself need not stay.
    const name = `${kind === 1 ? 'data' : 'meta'}/${hash.slice(0, 2)}/${hash}`;
    if (!wanted.has(name)) continue;
    const end = Number(length) - trailerSize - sealedSize;
    packs.push(parseDirectory(body, { name, kind, generation, salt, end }));
    wanted.delete(name);
  }
  return packs;
}

// 8 ---------------------------------------------------------------------------------- the table

/**
 * @typedef {object} Table Where every blob is: a hash table with open addressing. Blobs are
 *   numbered through all packs; a slot holds a number plus one, or 0. Ids are keyed hashes, so
 *   their first bytes serve as they are.
 * @property {Pack[]} packs
 * @property {Uint32Array} firstOf For each pack the number of its first blob.
 * @property {Uint32Array} slots
 */

/** @param {Pack[]} packs @returns {Table} */
export function buildTable(packs) {
  const firstOf = new Uint32Array(packs.length);
  let count = 0;
  packs.forEach((pack, i) => {
    firstOf[i] = count;
    count += pack.recordAt.length;
  });
  const slots = new Uint32Array(2 ** Math.ceil(Math.log2(1.5 * count + 2)));
  packs.forEach(({ directory, recordAt }, i) => {
    for (let blob = 0; blob < recordAt.length; blob++) {
      let slot = directory.readUInt32LE(recordAt[blob]) % slots.length;
      while (slots[slot] !== 0) slot = (slot + 1) % slots.length;
      slots[slot] = firstOf[i] + blob + 1;
    }
  });
  return { packs, firstOf, slots };
}

/**
 * @typedef {object} Copy One place where a blob is stored.
 * @property {Pack} pack
 * @property {number} frame Its number in the pack.
 * @property {number} offset In the frame.
 * @property {number} size Of the blob.
 * @property {number} encodedSize Of the delta.
 * @property {string | undefined} base Id of the base in hex, if this is a delta.
 * @property {number} depth
 */

/**
 * All copies of a blob: whole ones first, then deltas by rising depth.
 * @param {Table} table
 * @param {string} key Id in hex.
 * @param {number} type
 * @returns {Copy[]}
 */
function copiesOf({ packs, firstOf, slots }, key, type) {
  const copies = [];
  const id = Buffer.from(key, 'hex');
  let slot = id.readUInt32LE() % slots.length;
  for (; slots[slot] !== 0; slot = (slot + 1) % slots.length) {
    const number = slots[slot] - 1;
    let [low, high] = [0, packs.length]; // To the last pack whose first number is not above it.
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (firstOf[middle] <= number) low = middle;
      else high = middle;
    }
    const [pack, blob] = [packs[low], number - firstOf[low]];
    const at = pack.recordAt[blob];
    if (pack.directory.compare(id, 0, 32, at, at + 32) !== 0) continue;
    const record = readBlobRecord(new Reader(pack.directory.subarray(at)));
    if (record.type !== type) continue;
    const { size, encodedSize, depth } = record;
    const base = record.base?.toString('hex');
    const [frame, offset] = [pack.frameOf[blob], pack.offsetIn[blob]];
    copies.push({ pack, frame, offset, size, encodedSize, base, depth });
  }
  return copies.sort((a, b) => a.depth - b.depth).slice(0, copyCountMax);
}

// 9 -------------------------------------------------------------------------------------- blobs

const copyCountMax = 1024;
const chainLengthMax = 32;
/** Bytes of frames that are kept decompressed: what is near in a directory is near in a frame. */
const frameCacheSizeMax = 2 ** 26;

/**
 * @typedef {object} Repository
 * @property {string} directory
 * @property {Keys} keys
 * @property {Table} table
 * @property {Map<string, Buffer>} frames The cache; the frame that was used last stands last.
 * @property {number} framesSize Bytes in it.
 *
 * @typedef {object} Wanted A blob that was asked for, or the base of one.
 * @property {string} key Its id in hex.
 * @property {number} type
 * @property {number} level How many deltas lie between it and what was asked for.
 * @property {Copy[]} copies Those that were not tried yet.
 * @property {number} open How many of these are considered, from the first on.
 * @property {string} reason Why the last one that was tried did not do.
 * @property {Buffer | undefined} plaintext
 */

/**
 * Decodes blobs (section 7), whatever deltas they rest on, and compares each with its id. It goes
 * in rounds: first what is stored whole, then the deltas on that, then the deltas on those, so that
 * what a round needs is decompressed together. At first only the best copy of each blob is
 * considered; where that leads nowhere, more of them. Copies that depend on each other in a circle
 * are never ready, so nothing needs to look for circles.
 * @param {Repository} repository
 * @param {Buffer[]} ids
 * @param {number} type
 * @returns {Map<string, Buffer | Damage>} By id in hex; each of `ids` is there.
 */
export function readBlobs(repository, ids, type) {
  /** @type {Map<string, Wanted>} */
  const wanted = new Map();
  /** @param {string} key @param {number} level */
  const want = (key, level) => {
    if (wanted.has(key)) return;
    const copies = copiesOf(repository.table, key, type);
    const reason = 'no pack that can be read has it';
    const blob = { key, type, level, copies, open: 0, reason, plaintext: undefined };
    wanted.set(key, blob);
    consider(blob);
  };
  /** Considers one more copy, if there is one, and wants what it rests on. @param {Wanted} blob */
  const consider = (blob) => {
    if (blob.open === blob.copies.length) return false;
    const { base } = blob.copies[blob.open++];
    if (base !== undefined && blob.level < chainLengthMax) want(base, blob.level + 1);
    return true;
  };
  /** @param {Copy} copy */
  const isReady = ({ base }) => base === undefined || wanted.get(base)?.plaintext !== undefined;

  for (const id of ids) want(id.toString('hex'), 0);
  for (let isStuck = false; !isStuck; ) {
    const missing = [...wanted.values()].filter(({ plaintext }) => plaintext === undefined);
    /** @type {Attempt[]} */
    const round = [];
    for (const blob of missing) {
      const i = blob.copies.slice(0, blob.open).findIndex(isReady);
      if (i === -1) continue;
      const [copy] = blob.copies.splice(i, 1);
      blob.open--;
      round.push({ blob, copy, base: wanted.get(copy.base ?? '')?.plaintext });
    }
    tryCopies(repository, round);
    const failed = round.filter(({ blob }) => blob.plaintext === undefined);
    const widened = round.length > 0 ? failed.map(({ blob }) => blob) : missing;
    isStuck = !widened.map(consider).includes(true) && round.length === 0;
  }
  return new Map(
    ids.map((id) => {
      const blob = /** @type {Wanted} */ (wanted.get(id.toString('hex')));
      const waitsFor = blob.copies.find(({ base }) => base !== undefined)?.base;
      const reason = waitsFor === undefined ? blob.reason : `its base ${waitsFor} is lost`;
      return [blob.key, blob.plaintext ?? new Damage(`chunk ${blob.key}: ${reason}`)];
    }),
  );
}

/**
 * @typedef {object} Attempt
 * @property {Wanted} blob
 * @property {Copy} copy
 * @property {Buffer | undefined} base Plaintext of the base.
 */

/**
 * Gives each blob its plaintext, or the reason why this copy does not do.
 * @param {Repository} repository
 * @param {Attempt[]} attempts
 */
function tryCopies(repository, attempts) {
  /** @param {Attempt} attempt @param {Buffer | Damage} found */
  const settle = ({ blob, copy }, found) => {
    if (found instanceof Damage) blob.reason = found.message;
    else if (found.length !== copy.size) blob.reason = `a wrong size in pack ${copy.pack.name}`;
    else if (idOf(repository.keys, blob.type, found) === blob.key) blob.plaintext = found;
    else blob.reason = `other content in pack ${copy.pack.name}`;
  };
  // The order of the files on disk, and each frame once.
  const inOrder = [...attempts].sort(
    ({ copy: a }, { copy: b }) =>
      Number(a.pack.name > b.pack.name) - Number(a.pack.name < b.pack.name) || a.frame - b.frame,
  );
  const deltas = [];
  while (inOrder.length > 0) {
    const frames = readFrames(repository, inOrder);
    while (inOrder.length > 0) {
      const { copy, base } = inOrder[0];
      const content = frames.get(frameKey(copy));
      if (content === undefined) break;
      const attempt = /** @type {Attempt} */ (inOrder.shift());
      const { offset, encodedSize, size } = copy;
      if (content instanceof Damage) settle(attempt, content);
      else if (base === undefined) {
        settle(attempt, Buffer.from(content.subarray(offset, offset + size)));
      } else {
        const frame = Buffer.from(content.subarray(offset, offset + encodedSize));
        deltas.push({ attempt, compressed: { frame, size, base } });
      }
    }
  }
  const decoded = decompress(deltas.map(({ compressed }) => compressed));
  deltas.forEach(({ attempt }, i) => {
    settle(attempt, decoded[i]);
  });
}

/** @param {Keys} keys @param {number} type @param {Buffer} plaintext */
function idOf(keys, type, plaintext) {
  return keyedHash(/** @type {Buffer} */ (keys.id.get(type)), plaintext).toString('hex');
}

/** @param {Copy} copy */
function frameKey({ pack, frame }) {
  return `${pack.name} ${frame}`;
}

/**
 * The contents of the frames of the first attempts, as many as one run of zstd gives: blobs one
 * after the other, or deltas one after the other.
 * @param {Repository} repository
 * @param {Attempt[]} attempts
 * @returns {Map<string, Buffer | Damage>}
 */
function readFrames(repository, attempts) {
  /** @type {Map<string, Buffer | Damage>} */
  const contents = new Map();
  /** @type {{ key: string, compressed: Compressed }[]} */
  const toDecompress = [];
  let total = 0;
  for (const { copy } of attempts) {
    const key = frameKey(copy);
    if (contents.has(key)) continue;
    if (total > runSizeMax) break;
    const cached = repository.frames.get(key);
    if (cached !== undefined) {
      keepFrame(repository, key, cached);
      contents.set(key, cached);
      continue;
    }
    try {
      const { plaintext, frameKind, rawSize } = openFrame(repository, copy);
      total += rawSize;
      contents.set(key, plaintext);
      if (frameKind !== 1) keepFrame(repository, key, plaintext);
      else toDecompress.push({ key, compressed: { frame: plaintext, size: rawSize } });
    } catch (error) {
      contents.set(key, asDamage(error));
    }
  }
  const decompressed = decompress(toDecompress.map(({ compressed }) => compressed));
  toDecompress.forEach(({ key }, i) => {
    const content = decompressed[i];
    contents.set(key, content);
    if (!(content instanceof Damage)) keepFrame(repository, key, content);
  });
  return contents;
}

/** @param {Repository} repository @param {string} key @param {Buffer} content */
function keepFrame(repository, key, content) {
  const { frames } = repository;
  if (!frames.delete(key)) repository.framesSize += content.length;
  frames.set(key, content);
  for (const [oldest, { length }] of frames) {
    if (repository.framesSize <= frameCacheSizeMax) break;
    frames.delete(oldest);
    repository.framesSize -= length;
  }
}

/**
 * Reads and decrypts one frame (section 8). Its record is what the tag covers besides; its place in
 * the pack is the nonce.
 * @param {Repository} repository
 * @param {Copy} copy
 */
function openFrame({ directory, keys }, { pack, frame }) {
  const recordAt = headerSize + frameRecordSize * frame;
  const record = pack.directory.subarray(recordAt, recordAt + frameRecordSize);
  const { storedSize, rawSize, frameKind, frameClass } = readFrameRecord(new Reader(record));
  demand(frameClass <= 1, 'a frame of an unknown class');
  const offset = pack.frameAt[frame];
  const fd = fs.openSync(join(directory, pack.name), 'r');
  try {
    const key = objectKey(keys, 'frame', pack, frameClass);
    const sealed = readRange(fd, offset, storedSize);
    const plaintext = openAead(key, nonceOf(0, offset), record, sealed);
    return { plaintext, frameKind, rawSize };
  } catch (error) {
    throw new Damage(`pack ${pack.name}, frame at ${offset}: ${reasonOf(error)}`);
  } finally {
    fs.closeSync(fd);
  }
}

/** @param {Repository} repository @param {Buffer} id @param {number} type */
function readBlob(repository, id, type) {
  const blob = /** @type {Buffer | Damage} */ (
    readBlobs(repository, [id], type).get(id.toString('hex'))
  );
  if (blob instanceof Damage) throw blob;
  return blob;
}

// 10 ------------------------------------------------------------------------------------- trees

const pageHeightMax = 16;
const nameSizeMax = 1024;

/**
 * @typedef {object} PageRef A tree page as its parent names it.
 * @property {Buffer} id
 * @property {number} height 0 for a leaf.
 * @property {bigint} entries In all that is below.
 * @property {bigint} bytes
 *
 * @typedef {object} Content
 * @property {'none' | 'chunk' | 'list'} kind
 * @property {Buffer} id
 * @property {number} height Of the list.
 *
 * @typedef {object} Node One entry of a directory (section 10).
 * @property {Buffer} name
 * @property {string} type
 * @property {number | undefined} refused A critical tag that this program does not know.
 * @property {number | undefined} mode
 * @property {{ uid: number, gid: number } | undefined} owner
 * @property {number | undefined} mtime Seconds since 1970.
 * @property {bigint} size
 * @property {string | undefined} group Hard links to one file have the same.
 * @property {Content} content
 * @property {PageRef | undefined} root Of a directory that is not empty.
 * @property {Buffer} target
 * @property {string[]} lost What of it this program cannot restore.
 */

/** @param {Buffer} bytes @returns {Node} */
function parseNode(bytes) {
  const fields = new Map();
  const reader = new Reader(bytes);
  for (let last = 0; reader.left > 0; ) {
    const tag = reader.u8();
    demand(tag > last, 'the fields of a node are out of order');
    last = tag;
    fields.set(tag, reader.take(reader.varint()));
  }
  /**
   * A field of a node, read to its end; undefined when the node has none.
   * @template T
   * @param {number} tag
   * @param {(field: Reader) => T} read
   * @returns {T | undefined}
   */
  const field = (tag, read) => {
    if (!fields.has(tag)) return undefined;
    const value = new Reader(fields.get(tag));
    const result = read(value);
    demand(value.left === 0, `field ${tag} of a node is too long`);
    return result;
  };
  const name = fields.get(1) ?? Buffer.alloc(0);
  demandName(name);
  const type = field(2, (value) => String.fromCharCode(value.u8())) ?? '';
  const refused = [...fields.keys()].find((tag) => tag >= 128);
  const root = field(13, readPageRef);
  const size = field(6, (value) => value.u64()) ?? 0n;
  if (refused === undefined) {
    demand(type !== '' && 'fdlcbps'.includes(type), 'a node of an unknown type');
    demand(fields.has(12) === (type === 'f'), 'content is missing, or where there is no file');
    demand(fields.has(14) === (type === 'l'), 'a target is missing, or where there is no link');
    demand(root === undefined || type === 'd', 'a tree below something that is no directory');
  }
  const content = (refused === undefined && field(12, (value) => readContent(value, size))) || {
    ...{ kind: /** @type {const} */ ('none'), id: Buffer.alloc(0), height: 0 },
  };
  const lost = [];
  if (fields.has(16) || fields.has(17)) lost.push('extended attributes');
  if (fields.has(18)) lost.push('file flags');
  return {
    ...{ name, type, refused, size, content, root, lost },
    mode: field(3, (value) => value.u32() & 0o7777),
    owner: field(4, (value) => ({ uid: value.u32(), gid: value.u32() })),
    mtime: field(7, (value) => Number(value.i64()) + value.u32() / 1e9),
    group: fields.get(11)?.toString('hex'),
    target: fields.get(14) ?? Buffer.alloc(0),
  };
}

/** @param {Buffer} name */
function demandName(name) {
  const isText = name.length >= 1 && name.length <= nameSizeMax;
  const isPath = name.includes(0) || name.includes(0x2f) || /^\.\.?$/.test(name.toString('latin1'));
  demand(isText && !isPath, 'a name that no file can have');
}

/** @param {Reader} reader @returns {PageRef} */
function readPageRef(reader) {
  const [id, height] = [reader.take(32), reader.u8()];
  return { id, height, entries: reader.u64(), bytes: reader.u64() };
}

/** @param {Reader} reader @param {bigint} size @returns {Content} */
function readContent(reader, size) {
  const kind = reader.u8();
  demand(kind === 0 || kind === 2 || kind === 3, 'content of an unknown kind');
  const id = kind === 0 ? Buffer.alloc(0) : reader.take(32);
  const height = kind === 3 ? reader.u8() : 0;
  const length = kind === 0 ? 0n : reader.u64();
  reader.take(kind === 3 ? 8 : 0);
  demand(length === size && (kind === 0 || !isZero(id)), 'the content of a file is wrong');
  return { kind: kind === 0 ? 'none' : kind === 2 ? 'chunk' : 'list', id, height };
}

/**
 * The nodes of a page that is a leaf, or the pages below one that is not, both in ascending order.
 * @param {Buffer} bytes
 * @param {PageRef} expected
 */
function parsePage(bytes, expected) {
  const reader = new Reader(bytes);
  const [kind, version] = [reader.u8(), reader.u8()];
  reader.take(2);
  const count = reader.u32();
  demand(version === 1 && kind === (expected.height === 0 ? 0 : 1), 'a page of another kind');
  /** @type {Node[]} */
  const nodes = [];
  /** @type {(PageRef & { firstName: Buffer })[]} */
  const pages = [];
  let [entries, bytesBelow] = [0n, 0n];
  /** @type {Buffer | undefined} */
  let last;
  for (let i = 0; i < count; i++) {
    /** @type {Buffer} */
    let name = Buffer.alloc(0);
    if (kind === 0) {
      const node = parseNode(reader.take(reader.varint()));
      nodes.push(node);
      name = node.name;
      entries += 1n + (node.root?.entries ?? 0n);
      bytesBelow += node.size + (node.root?.bytes ?? 0n);
    } else {
      const entry = new Reader(reader.take(reader.varint()));
      name = entry.take(entry.varint());
      const id = entry.take(32);
      const child = { id, height: expected.height - 1, entries: entry.u64(), bytes: entry.u64() };
      demand(entry.left === 0, 'an entry of a page is too long');
      pages.push({ ...child, firstName: name });
      entries += child.entries;
      bytesBelow += child.bytes;
    }
    demand(last === undefined || last.compare(name) < 0, 'the names of a page are out of order');
    last = name;
  }
  // Checked before anything below is looked at, so that no tree is larger than it says.
  const isTotalRight = entries === expected.entries && bytesBelow === expected.bytes;
  demand(reader.left === 0 && isTotalRight, 'a page holds something else than it should');
  return { nodes, pages };
}

/**
 * Goes through the leaves of a directory, each a bounded number of nodes.
 * @param {Repository} repository
 * @param {PageRef} ref
 * @param {{ name?: Buffer, before?: Buffer }} bounds First name of the page, and of the next one.
 * @returns {Generator<{ nodes: Node[] } | { damage: Damage, entries: bigint }>}
 */
function* leavesOf(repository, ref, bounds = {}) {
  let nodes;
  let pages;
  try {
    demand(ref.height <= pageHeightMax, 'a tree is too high');
    ({ nodes, pages } = parsePage(readBlob(repository, ref.id, typeTree), ref));
    const names = ref.height === 0 ? nodes.map(({ name }) => name) : pages.map((p) => p.firstName);
    const [first, last] = [names[0], names[names.length - 1]];
    demand(
      bounds.name === undefined || first?.equals(bounds.name),
      'the names of a page are wrong',
    );
    const isBelow = bounds.before === undefined || last.compare(bounds.before) < 0;
    demand(isBelow, 'the names of two pages overlap');
  } catch (error) {
    yield { damage: asDamage(error), entries: ref.entries };
    return;
  }
  if (ref.height === 0) yield { nodes };
  for (const [i, page] of pages.entries()) {
    const before = pages[i + 1]?.firstName ?? bounds.before;
    yield* leavesOf(repository, page, { name: page.firstName, before });
  }
}

/**
 * @typedef {object} Piece A chunk of a file, a hole, or a part that is lost.
 * @property {bigint} offset In the file.
 * @property {bigint} size
 * @property {Buffer | undefined} id Undefined for a hole.
 * @property {Damage | undefined} damage Of a chunk list that told what is here.
 */

/**
 * The pieces of a file in their order (section 10, chunk lists).
 * @param {Repository} repository
 * @param {Content} content
 * @param {{ offset: bigint, size: bigint }} place
 * @returns {Generator<Piece>}
 */
function* piecesOf(repository, { kind, id, height }, { offset, size }) {
  if (kind === 'none') return;
  if (kind === 'chunk') {
    yield { offset, size, id: isZero(id) ? undefined : id, damage: undefined };
    return;
  }
  let children;
  try {
    children = parseList(readBlob(repository, id, typeList), { height, size });
  } catch (error) {
    yield { offset, size, id: undefined, damage: asDamage(error) };
    return;
  }
  let at = offset;
  for (const child of children) {
    const below = height === 0 ? 'chunk' : 'list';
    const content = {
      kind: /** @type {'chunk' | 'list'} */ (below),
      id: child.id,
      height: height - 1,
    };
    yield* piecesOf(repository, content, { offset: at, size: child.size });
    at += child.size;
  }
}

/** @param {Buffer} bytes @param {{ height: number, size: bigint }} expected */
function parseList(bytes, { height, size }) {
  const reader = new Reader(bytes);
  demand(reader.u8() === 2 && reader.u8() === height && height <= 7, 'a list of another kind');
  reader.take(2);
  const count = reader.u32();
  const children = [];
  let total = 0n;
  for (let i = 0; i < count; i++) {
    const child = { id: reader.take(32), size: reader.u64() };
    demand(child.size >= 1n, 'a list is wrong');
    children.push(child);
    total += child.size;
  }
  demand(reader.left === 0 && total === size, 'a list holds something else than it should');
  return children;
}

// 11 --------------------------------------------------------------------------------- snapshots

/**
 * @typedef {object} Snapshot
 * @property {string} id
 * @property {bigint} startedNs
 * @property {boolean} isForgotten
 * @property {any} manifest The keys are in section 6.
 */

/**
 * All snapshots, the oldest first. @param {Keys} keys @param {string} directory
 * @returns {Snapshot[]}
 */
function readSnapshots(keys, directory) {
  const snapshots = [];
  for (const name of namesIn(directory, 'snapshots', /^[0-9a-f]{32}$/)) {
    try {
      const file = readObject(directory, name, 2 ** 25);
      const { kind, payload } = openObject(keys, file, { kinds: [kindSnapshot, kindFence], name });
      if (kind === kindFence) continue; // A session that came to nothing.
      const manifest = parseRecord(payload, 'varve.snapshot/1');
      const id = name.slice('snapshots/'.length);
      snapshots.push({ id, startedNs: BigInt(manifest.started_ns), isForgotten: false, manifest });
    } catch (error) {
      missing(name, reasonOf(error));
    }
  }
  // Only after the snapshots: a tomb that comes later than this counts for nothing here.
  const forgotten = readTombs(keys, directory);
  for (const snapshot of snapshots) snapshot.isForgotten = forgotten.has(snapshot.id);
  return snapshots.sort((a, b) => Number(a.startedNs - b.startedNs) || (a.id < b.id ? -1 : 1));
}

/**
 * Ids of snapshots that were forgotten, or can never have been.
 * @param {Keys} keys
 * @param {string} directory
 */
function readTombs(keys, directory) {
  /** @type {Set<string>} */
  const ids = new Set();
  for (const name of namesIn(directory, 'tombs', /^[0-9a-f]{64}$/)) {
    try {
      const file = readObject(directory, name, 2 ** 25);
      demand(name === `tombs/${sha256(file).toString('hex')}`, 'its hash is not its name');
      const tomb = parseRecord(
        openObject(keys, file, { kinds: [kindTomb] }).payload,
        'varve.tomb/1',
      );
      for (const { session_id } of tomb.forgotten) ids.add(session_id);
      for (const id of tomb.closed ?? []) ids.add(id);
    } catch (error) {
      note(`cannot read ${name}, which may say that snapshots were forgotten: ${reasonOf(error)}`);
    }
  }
  return ids;
}

/** @param {Snapshot[]} snapshots @param {string} text An id, the start of one, or `latest`. */
function selectSnapshot(snapshots, text) {
  const found =
    text === 'latest' ? snapshots.slice(-1) : snapshots.filter(({ id }) => id.startsWith(text));
  if (found.length === 0) throw new Error(`There is no snapshot "${text}"`);
  if (found.length > 1) throw new Error(`"${text}" begins the ids of ${found.length} snapshots`);
  return found[0];
}

/**
 * Text of a record that stands under `key`, or as bytes under `key_b64`.
 * @param {any} record
 * @param {string} key
 */
function outsideText(record, key) {
  return printable(
    record[key] === undefined
      ? Buffer.from(record[`${key}_b64`], 'base64')
      : Buffer.from(record[key]),
  );
}

/** @param {Snapshot} snapshot */
function describe({ id, startedNs, isForgotten, manifest }) {
  const { root, partial } = manifest;
  const time = new Date(Number(startedNs / 1_000_000n)).toISOString();
  const words = [id, time, outsideText(manifest, 'host'), outsideText(manifest, 'source')];
  words.push(`${root.entries} entries`, `${root.bytes} bytes`);
  if (partial) words.push('partial');
  if (isForgotten) words.push('forgotten');
  return words.join('  ');
}

// 12 --------------------------------------------------------------------------------- restoring
//
// Section 23. Every directory below the target is made by this run, held open, and everything in it
// is named through that handle: `/proc/self/fd/7/name` is what other languages call openat(). So no
// link is followed, even if somebody else changes the tree meanwhile. Where there is no /proc
// (macOS) paths are joined as text; then nobody else may write to the target while this runs.

const pathDepthMax = 4096;
const batchSizeMax = 2 ** 24;
const batchCountMax = 4096;
const { O_RDONLY, O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW, O_DIRECTORY } = fs.constants;
const hasHandles = fs.existsSync('/proc/self/fd');
const isRootUser = process.geteuid?.() === 0;
const noId = 2 ** 32 - 1;

/**
 * @typedef {object} Directory One below the target.
 * @property {number} fd
 * @property {Buffer} prefix What stands before a name in it for the system.
 * @property {Buffer} path For hard links. Made of names that were checked, through directories that
 *   this run made.
 * @property {string} shown Path in the snapshot, for people.
 * @property {number} depth
 *
 * @typedef {object} Run
 * @property {Repository} repository
 * @property {Map<string, { path: Buffer, dev: bigint, ino: bigint } | undefined>} links First names
 *   of files with several, by link group; undefined until that name is there.
 * @property {{ files: number, directories: number, links: number, bytes: bigint }} counts
 */

/**
 * @param {Buffer} systemPath How the system finds it.
 * @param {{ path: Buffer, shown: string, depth: number, mayBeLink?: boolean }} directory Only the
 *   target itself, which the user named, may be a link to a directory.
 * @returns {Directory}
 */
function openDirectory(systemPath, { path, shown, depth, mayBeLink = false }) {
  const fd = fs.openSync(systemPath, O_RDONLY | O_DIRECTORY | (mayBeLink ? 0 : O_NOFOLLOW));
  const slash = Buffer.from('/');
  const prefix = hasHandles ? Buffer.from(`/proc/self/fd/${fd}/`) : Buffer.concat([path, slash]);
  return { fd, prefix, path, shown, depth };
}

/** @param {Directory} directory @param {Buffer | string} name */
function at({ prefix }, name) {
  return Buffer.concat([prefix, Buffer.from(name)]);
}

/** @param {Directory} directory @param {Buffer} name */
function pathIn({ path }, name) {
  return Buffer.concat([path, Buffer.from('/'), name]);
}

/** @param {Directory} directory @param {Buffer} name */
function shownIn({ shown }, name) {
  return `${shown}/${printable(name)}`;
}

/**
 * Owner, mode and times, in this order: a change of owner takes special bits away, and both change
 * the times.
 * @param {number} fd
 * @param {Node} node
 * @param {string} shown
 */
function setMetadata(fd, node, shown) {
  const { owner, mode, mtime, lost } = node;
  for (const what of lost) leaveOut(what, shown);
  try {
    const isOwnerSet =
      owner !== undefined && setOwner(owner, shown, (uid, gid) => fs.fchownSync(fd, uid, gid));
    if (mode !== undefined) {
      // They give rights: only to whom they belonged. A sticky directory takes rights away only.
      const special = node.type === 'd' ? 0o6000 : 0o7000;
      if (!isOwnerSet && (mode & special) !== 0) leaveOut('setuid, setgid or sticky bits', shown);
      fs.fchmodSync(fd, isOwnerSet ? mode : mode & ~special);
    }
    // As text, because Node takes a negative number for a mistake.
    if (mtime !== undefined) fs.futimesSync(fd, `${mtime}`, `${mtime}`);
  } catch (error) {
    missing(shown, `owner, mode or times: ${reasonOf(error)}`);
  }
}

/**
 * @param {{ uid: number, gid: number }} owner
 * @param {string} shown
 * @param {(uid: number, gid: number) => void} change
 * @returns {boolean} Whether the special bits may be given: as root only, after the owner was set.
 */
function setOwner({ uid, gid }, shown, change) {
  // To the system the largest number means "leave it".
  if (isRootUser && uid !== noId && gid !== noId) {
    change(uid, gid);
    return true;
  }
  if (uid !== process.geteuid?.() || gid !== process.getegid?.()) leaveOut('owners', shown);
  return false;
}

/** A file that is being written, under a name of its own until it is complete. */
class TargetFile {
  /** @param {Run} run @param {Directory} here @param {Node} node */
  constructor(run, here, node) {
    this.run = run;
    this.here = here;
    this.node = node;
    this.shown = shownIn(here, node.name);
    this.temporary = at(here, `.varve-${randomBytes(8).toString('hex')}`);
    /** @type {number | undefined} */
    this.fd = undefined;
    /** What the system refused. @type {Damage | undefined} */
    this.failure = undefined;
    /** @type {{ from: bigint, to: bigint, reason: string }[]} */
    this.gaps = [];
    this.written = 0n;
  }

  /** @param {() => void} action Not done any more after one has failed. */
  attempt(action) {
    try {
      if (this.failure === undefined) action();
    } catch (error) {
      this.failure = asDamage(error);
    }
  }

  open() {
    this.fd ??= fs.openSync(this.temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
    return this.fd;
  }

  /** @param {Piece} piece @param {Buffer | Damage} content */
  put({ offset, size }, content) {
    if (!(content instanceof Damage) && BigInt(content.length) === size) {
      this.attempt(() => writeAll(this.open(), content, Number(offset)));
      this.written += size;
      return;
    }
    const reason = content instanceof Damage ? content.message : 'a chunk of another size';
    const last = this.gaps.at(-1);
    if (last?.to === offset) last.to += size;
    else this.gaps.push({ from: offset, to: offset + size, reason });
  }

  /** The file gets its size, its metadata and its name. */
  finish() {
    const { node, here, shown, gaps } = this;
    for (const { from, to, reason } of gaps) {
      missing(shown, `bytes ${from} to ${to - 1n}: ${reason}`);
    }
    const isWorthless = gaps.length > 0 && this.written === 0n;
    const isComplete = gaps.length === 0;
    const name = isComplete ? node.name : Buffer.concat([node.name, Buffer.from('.incomplete')]);
    if (!isWorthless) {
      this.attempt(() => {
        const fd = this.open();
        fs.ftruncateSync(fd, Number(node.size)); // A hole at the end is not written.
        setMetadata(fd, node, shown);
        renameNew(this.temporary, at(here, name));
      });
    }
    if (this.fd !== undefined) {
      if (!isWorthless && this.failure === undefined) this.count(name, isComplete);
      else fs.rmSync(this.temporary, { force: true });
      fs.closeSync(this.fd);
    }
    if (this.failure !== undefined) missing(shown, this.failure.message);
  }

  /** @param {Buffer} name @param {boolean} isComplete */
  count(name, isComplete) {
    const { run, here, node } = this;
    run.counts.files += isComplete ? 1 : 0;
    run.counts.bytes += isComplete ? node.size : 0n;
    if (isComplete) rememberLink(run, here, node);
    else console.error(`  restored with gaps as ${shownIn(here, name)}`);
  }
}

/** @param {number} fd @param {Buffer} content @param {number} position */
function writeAll(fd, content, position) {
  for (let done = 0; done < content.length; ) {
    done += fs.writeSync(fd, content, done, content.length - done, position + done);
  }
}

/** NAME.incomplete, made by this run, may be in the way. @param {Buffer} from @param {Buffer} to */
function renameNew(from, to) {
  demand(fs.lstatSync(to, { throwIfNoEntry: false }) === undefined, 'another file has its name');
  fs.renameSync(from, to);
}

/** @param {Run} run @param {Directory} here @param {Node} node */
function rememberLink(run, here, node) {
  if (node.group === undefined) return;
  const { dev, ino } = fs.lstatSync(at(here, node.name), { bigint: true });
  run.links.set(linkKey(node), { path: pathIn(here, node.name), dev, ino });
}

/** @param {Node} node */
function linkKey({ type, group }) {
  return `${type}${group}`;
}

/**
 * Makes another name of a file that this run made.
 * @param {Run} run
 * @param {Directory} here
 * @param {Node} node
 * @returns {boolean} False when there is none, or it cannot be done: then it is made as one of its
 *   own.
 */
function makeLink(run, here, node) {
  const first = run.links.get(linkKey(node));
  if (first === undefined) return false;
  const place = at(here, node.name);
  try {
    fs.linkSync(first.path, place);
    const { dev, ino } = fs.lstatSync(place, { bigint: true });
    if (dev === first.dev && ino === first.ino) {
      run.counts.links++;
      return true;
    }
    fs.unlinkSync(place);
  } catch (error) {
    asDamage(error);
  }
  leaveOut('hard links (restored as files of their own)', shownIn(here, node.name));
  return false;
}

/**
 * Restores files of one directory: first those that are new, then other names of files.
 * @param {Run} run
 * @param {Directory} here
 * @param {Node[]} nodes
 */
function restoreFiles(run, here, nodes) {
  /** @type {Set<Node>} */
  const otherNames = new Set();
  for (const node of nodes) {
    if (node.group === undefined) continue;
    if (run.links.has(linkKey(node))) otherNames.add(node);
    else run.links.set(linkKey(node), undefined);
  }
  const fresh = nodes.filter((node) => !otherNames.has(node));
  writeFiles(run, here, fresh);
  for (const node of otherNames) {
    if (!makeLink(run, here, node)) writeFiles(run, here, [node]);
  }
}

/**
 * Writes files. Their chunks are read some 16 MiB at a time, of many small files or a part of a
 * large one.
 * @param {Run} run
 * @param {Directory} here
 * @param {Node[]} nodes
 */
function writeFiles(run, here, nodes) {
  /** @type {{ file: TargetFile, piece: Piece | undefined }[]} */
  let batch = [];
  let size = 0n;
  const writeBatch = () => {
    const ids = batch.flatMap(({ piece }) => piece?.id ?? []);
    const blobs = readBlobs(run.repository, ids, typeData);
    for (const { file, piece } of batch) {
      if (piece === undefined) file.finish();
      else if (piece.damage !== undefined) file.put(piece, piece.damage);
      else {
        const key = /** @type {Buffer} */ (piece.id).toString('hex');
        file.put(piece, /** @type {Buffer | Damage} */ (blobs.get(key)));
      }
    }
    batch = [];
    size = 0n;
  };
  for (const node of nodes) {
    const file = new TargetFile(run, here, node);
    for (const piece of piecesOf(run.repository, node.content, { offset: 0n, size: node.size })) {
      if (piece.id === undefined && piece.damage === undefined) continue; // A hole.
      batch.push({ file, piece });
      size += piece.id === undefined ? 0n : piece.size;
      if (size >= batchSizeMax || batch.length >= batchCountMax) writeBatch();
    }
    batch.push({ file, piece: undefined });
  }
  writeBatch();
}

/** @param {Run} run @param {Directory} here @param {Node} node */
function restoreSymlink(run, here, node) {
  const [place, shown] = [at(here, node.name), shownIn(here, node.name)];
  if (makeLink(run, here, node)) return;
  try {
    fs.symlinkSync(node.target, place);
    run.counts.links++;
    const { owner, mtime, lost } = node;
    for (const what of lost) leaveOut(what, shown);
    if (owner) setOwner(owner, shown, (uid, gid) => fs.lchownSync(place, uid, gid));
    if (mtime !== undefined) fs.lutimesSync(place, `${mtime}`, `${mtime}`);
    rememberLink(run, here, node);
  } catch (error) {
    missing(shown, reasonOf(error));
  }
}

/**
 * Restores a directory that is open, and all below it. Not by recursion: 4,096 directories in each
 * other are more than the stack of Node holds.
 * @param {Run} run
 * @param {Directory} top
 * @param {{ root: PageRef | undefined, node: Node | undefined }} source
 */
function restoreTree(run, top, { root, node }) {
  const open = [{ here: top, node, directories: restoreContent(run, top, root) }];
  for (let last = open.at(-1); last !== undefined; last = open.at(-1)) {
    const { value: next } = last.directories.next();
    if (next !== undefined) {
      const here = makeDirectory(run, last.here, next);
      const source = here && restoreContent(run, here, next.root);
      if (here && source) open.push({ here, node: next, directories: source });
    } else {
      const { here } = last;
      if (last.node !== undefined) setMetadata(here.fd, last.node, here.shown);
      fs.closeSync(here.fd);
      open.pop();
    }
  }
}

/**
 * @param {Run} run
 * @param {Directory} here
 * @param {Node} node
 * @returns {Directory | undefined} Open, and private until it is done.
 */
function makeDirectory(run, here, node) {
  const [place, shown] = [at(here, node.name), shownIn(here, node.name)];
  try {
    demand(here.depth < pathDepthMax, 'too many directories in each other');
    fs.mkdirSync(place, 0o700);
    run.counts.directories++;
    return openDirectory(place, { path: pathIn(here, node.name), shown, depth: here.depth + 1 });
  } catch (error) {
    missing(shown, `and all that is in it: ${reasonOf(error)}`);
    return undefined;
  }
}

/**
 * Restores what is in a directory page by page, but for the directories in it, which it hands over;
 * symbolic links when all else is there, so that nothing is ever written through one.
 * @param {Run} run
 * @param {Directory} here
 * @param {PageRef | undefined} root
 * @returns {Generator<Node, undefined>}
 */
function* restoreContent(run, here, root) {
  /** @type {Node[]} */
  const symlinks = [];
  for (const leaf of root === undefined ? [] : leavesOf(run.repository, root)) {
    if ('damage' in leaf) {
      missing(`${here.shown}/`, `${leaf.entries} entries in or below it: ${leaf.damage.message}`);
      continue;
    }
    const { files, directories, links } = sortNodes(here, leaf.nodes);
    symlinks.push(...links);
    restoreFiles(run, here, files);
    yield* directories;
  }
  for (const node of symlinks) restoreSymlink(run, here, node);
}

/** By what is done with them. @param {Directory} here @param {Node[]} nodes */
function sortNodes(here, nodes) {
  const known = nodes.filter(({ name, refused }) => {
    if (refused !== undefined) missing(shownIn(here, name), `it has the unknown field ${refused}`);
    return refused === undefined;
  });
  /** @param {string} wanted */
  const ofType = (wanted) => known.filter(({ type }) => wanted.includes(type));
  for (const { name } of ofType('cbps')) {
    leaveOut('devices, FIFOs and sockets', shownIn(here, name));
  }
  return { files: ofType('f'), directories: ofType('d'), links: ofType('l') };
}

/** @param {Repository} repository @param {PageRef | undefined} root @param {Buffer} name */
function findNode(repository, root, name) {
  for (const leaf of root === undefined ? [] : leavesOf(repository, root)) {
    if ('damage' in leaf) missing('a part of a directory on the way', leaf.damage.message);
    else {
      const node = leaf.nodes.find((one) => one.name.equals(name));
      if (node !== undefined) return node;
    }
  }
  throw new Error(`The snapshot has no "${printable(name)}" there`);
}

/**
 * Restores a snapshot, or the path in it, into a new or empty directory.
 * @param {Repository} repository
 * @param {Snapshot} snapshot
 * @param {{ target: string, path: string }} options
 */
function restore(repository, { manifest }, { target, path }) {
  const { id, height, entries, bytes } = manifest.root;
  /** @type {PageRef | undefined} */
  let root = { id: Buffer.from(id, 'hex'), height, entries: BigInt(entries), bytes: BigInt(bytes) };
  /** @type {Node | undefined} */
  let node;
  const names = path.split('/').filter((name) => name !== '');
  for (const name of names) {
    node = findNode(repository, root, Buffer.from(name));
    root = node.root;
  }
  const counts = { files: 0, directories: 0, links: 0, bytes: 0n };
  const run = { repository, links: new Map(), counts };
  fs.mkdirSync(target, { recursive: true, mode: 0o700 });
  if (fs.readdirSync(target).length > 0) throw new Error(`${target} is not empty`);
  const isDirectory = node === undefined || node.type === 'd';
  const shown = (isDirectory ? names : names.slice(0, -1)).map((name) => `/${name}`).join('');
  const absolute = Buffer.from(resolve(target));
  const here = openDirectory(absolute, { path: absolute, shown, depth: 0, mayBeLink: true });
  if (node === undefined || isDirectory) restoreTree(run, here, { root, node });
  else {
    const { files, links } = sortNodes(here, [node]);
    restoreFiles(run, here, files);
    for (const link of links) restoreSymlink(run, here, link);
  }
  const { files, directories, links } = counts;
  console.log(
    `Restored ${files} files (${counts.bytes} bytes), ${directories} directories, ${links} links`,
  );
}

// 13 ------------------------------------------------------------------------------- the command

const usage = `Usage:
  node recover.mjs REPOSITORY list [--forgotten]
  node recover.mjs REPOSITORY restore SNAPSHOT TARGET [PATH] [--forgotten]

SNAPSHOT is an id, the start of one, or "latest". TARGET is a new or empty directory. The passphrase
comes from VARVE_PASSWORD or is asked for. --forgotten: also snapshots that were forgotten, of which
parts may be gone.
Exit code: 0 all is there, 3 something is listed as missing, 1 nothing could be done.`;

/** What was left out, by kind. @type {Map<string, { count: number, first: string }>} */
const leftOut = new Map();

/** Something that is good to know and costs nothing by itself. @param {string} text */
function note(text) {
  console.error(`note: ${text}`);
}

/** Something that should be there and is not. @param {string} what @param {string} reason */
function missing(what, reason) {
  console.error(`missing: ${what}: ${reason}`);
  process.exitCode = 3;
}

/** Something this program or user cannot restore. @param {string} what @param {string} shown */
function leaveOut(what, shown) {
  const { count, first } = leftOut.get(what) ?? { count: 0, first: shown };
  leftOut.set(what, { count: count + 1, first });
}

/**
 * Of damage and of what the system refuses; everything else is a mistake in this program.
 * @param {unknown} error
 */
function reasonOf(error) {
  return asDamage(error).message;
}

/** @param {unknown} error @returns {Damage} */
function asDamage(error) {
  if (error instanceof Damage) return error;
  const { code, message } = /** @type {NodeJS.ErrnoException} */ (error);
  if (typeof code !== 'string' || code.startsWith('ERR_INVALID')) throw error;
  return new Damage(code.startsWith('E') && !code.startsWith('ERR') ? code : message);
}

/** From the environment, or the terminal without showing it. */
async function askPassphrase() {
  const given = process.env['VARVE_PASSWORD'];
  if (given !== undefined) return given;
  if (!process.stdin.isTTY) throw new Error('A passphrase is needed: set VARVE_PASSWORD');
  process.stderr.write('Passphrase: ');
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
  const terminal = createInterface({ input: process.stdin, output: nowhere, terminal: true });
  terminal.on('SIGINT', () => process.exit(130));
  const passphrase = await new Promise((answer) => terminal.question('', answer));
  terminal.close();
  process.stderr.write('\n');
  return /** @type {string} */ (passphrase);
}

/** @param {string[]} words */
async function main(words) {
  const operands = words.filter((word) => word !== '--forgotten');
  const [directory, command, wanted, target, path = '/'] = operands;
  const isList = command === 'list' && operands.length === 2;
  const isRestore = command === 'restore' && (operands.length === 4 || operands.length === 5);
  if (directory === undefined || !(isList || isRestore)) throw new Error(usage);
  if (endianness() !== 'LE') throw new Error('This program needs a little-endian machine');
  demandZstd();
  const keys = await openKeys(directory);
  checkConfig(keys, directory);
  const isForgottenWanted = words.includes('--forgotten');
  const snapshots = readSnapshots(keys, directory).filter(
    ({ isForgotten }) => isForgottenWanted || !isForgotten,
  );
  if (isList) {
    for (const snapshot of snapshots) console.log(describe(snapshot));
    return;
  }
  const snapshot = selectSnapshot(snapshots, wanted);
  const table = buildTable(readPacks(keys, directory));
  restore({ directory, keys, table, frames: new Map(), framesSize: 0 }, snapshot, { target, path });
  for (const [what, { count, first }] of leftOut) {
    console.error(`left out: ${what}: ${count}, first of ${first}`);
  }
}

if (process.argv[1] && fs.realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  try {
    await main(process.argv.slice(2));
  } catch (error) {
    const isExpected = error instanceof Error && (error.constructor === Error || 'code' in error);
    console.error(isExpected || error instanceof Damage ? error.message : error);
    process.exitCode = 1;
  }
}
