/** The local index and the database under it. Ids as in docs/regressions.md. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { openEnvironment, writeAll } from '../../src/index/environment.ts';
import { tempDir } from '../helpers/temp-dir.ts';

const sources = fileURLToPath(new URL('../../../src/index/', import.meta.url));

/** A copy that the database makes of itself was seen to lose records. */
function copyingCalls(text: string): string[] {
  return text.match(/\.backup\(|\bcompact(?:ing|ion)?: *true/gi) ?? [];
}

test('L02 the database never copies or compacts itself', () => {
  const texts = readdirSync(sources).map((name) => readFileSync(join(sources, name), 'utf8'));

  assert.ok(texts.some((text) => text.includes("from 'lmdb'")));
  assert.deepEqual(texts.flatMap(copyingCalls), []);
  assert.deepEqual(copyingCalls('root.backup(path, true)'), ['.backup(']);
});

const killedReader = `
  import { openEnvironment } from '${new URL('../../src/index/environment.js', import.meta.url)}';
  const { root, meta } = await openEnvironment(process.argv[1]);
  root.useReadTransaction();
  meta.get(new Uint8Array(8));
  process.kill(process.pid, 'SIGKILL');
`;

test('L05 a reader that was killed does not keep what is written over', async (t) => {
  const path = tempDir(t);
  const environment = await openEnvironment(path);
  t.after(() => environment.root.close());
  const row = new Uint8Array(3000);
  const writeOften = (): number => {
    for (let i = 0; i < 100; i++) {
      writeAll(environment, () => {
        for (let key = 0; key < 50; key++) environment.packs.putSync(Uint8Array.of(0, key), row);
      });
    }
    return statSync(join(path, 'data.mdb')).size;
  };
  const before = writeOften();

  const args = ['--input-type=module', '--eval', killedReader, path];
  assert.equal(spawnSync(process.execPath, args).signal, 'SIGKILL');

  assert.match(environment.root.readerList(), /\d/, 'it is still registered');
  assert.ok(writeOften() < 2 * before, 'the file does not grow');
});
