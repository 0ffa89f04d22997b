/** What was learned of packs, in files: kept, replaced, bounded, and never in the way. */
import assert from 'node:assert/strict';
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { blobKey, type PackName, type RepositoryId } from '../../src/id.ts';
import { PackLedger } from '../../src/repository/pack-ledger.ts';
import { nodeStateFs } from '../../src/repository/state-fs.ts';
import { seededRandom } from '../helpers/seeded-random.ts';
import { tempDir } from '../helpers/temp-dir.ts';

const repositoryId = new Uint8Array(32).fill(7) as RepositoryId;
const NAME = '07'.repeat(32);
const [a, b] = ['a'.repeat(64), 'b'.repeat(64)] as [PackName, PackName];

function ledgerIn(directory: string): PackLedger {
  return new PackLedger({ directory, repositoryId, fs: nodeStateFs });
}

test('PackLedger keeps times and damage from process to process', async (t) => {
  const directory = join(tempDir(t), 'state');
  const id = blobKey(seededRandom().bytes(32));
  const ledger = ledgerIn(directory);

  await ledger.saveTimes(new Map([[a, 5]]));
  await ledger.saveDamage(new Map([[a, new Set([id])]] as const));
  await ledger.saveTimes(new Map([[b, 7]]));
  const again = ledgerIn(directory);

  assert.deepEqual(await again.readTimes(), new Map([[b, 7]]));
  assert.deepEqual(await again.damage(), new Map([[a, new Set([id])]]));
  assert.deepEqual(readdirSync(directory).sort(), [`${NAME}.damage`, `${NAME}.read`]);
});

test('PackLedger writes no file about damage while there never was any', async (t) => {
  const directory = tempDir(t);

  await ledgerIn(directory).saveDamage(new Map());

  assert.deepEqual(readdirSync(directory), []);
});

test('PackLedger passes over lines that make no sense', async (t) => {
  const directory = tempDir(t);
  const junk = ['', 'x', `${a} -1`, `${a} 1 2`, `${a.slice(1)} 3`, a, `${a} 12345678901234567`];
  writeFileSync(join(directory, `${NAME}.read`), `${junk.join('\n')}\n${b} 9\n${a} 4`);
  writeFileSync(join(directory, `${NAME}.damage`), `${b} all\n${b} ${'1'.repeat(64)}\n${a} al\n`);
  const ledger = ledgerIn(directory);

  assert.deepEqual(
    await ledger.readTimes(),
    new Map([
      [b, 9],
      [a, 4],
    ] as const),
  );
  assert.deepEqual(await ledger.damage(), new Map([[b, 'all']]));
});

test('PackLedger distrusts a pack as a whole rather than keep too many blobs', async (t) => {
  const directory = tempDir(t);
  const random = seededRandom();
  const keys = new Set(Array.from({ length: 2 ** 16 }, () => blobKey(random.bytes(32))));

  await ledgerIn(directory).saveDamage(
    new Map([
      [a, keys],
      [b, new Set(['x'.repeat(32)])],
    ] as const),
  );

  const damage = await ledgerIn(directory).damage();
  assert.equal((damage.get(a) as Set<string>).size, keys.size);
  assert.equal(damage.get(b), 'all');
});

test('PackLedger remembers damage in its process where no file can be written', async (t) => {
  const path = join(tempDir(t), 'file');
  writeFileSync(path, '');
  const ledger = ledgerIn(path);

  await assert.rejects(ledger.saveDamage(new Map([[a, 'all']] as const)), {
    code: /EEXIST|ENOTDIR/,
  });

  assert.deepEqual(await ledger.damage(), new Map([[a, 'all']]));
});
