/** The local index and the database under it. Ids as in docs/regressions.md. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

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
