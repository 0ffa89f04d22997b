/**
 * docs/regressions.md against the tests: every id once and in order, every file that is named is there,
 * and what is said to have a test of its own has one that begins with the id.
 */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../../', import.meta.url));

/** How many items each letter has. */
const counts = { B: 16, G: 35, I: 22, R: 10, S: 9, X: 14, L: 6, F: 10 };

interface Row {
  id: string;
  where: string;
}

function rowsOf(page: string): Row[] {
  const rows = page.matchAll(/^\| ([A-Z]\d\d) +\| [^|]+\| ([^|]+?) +\|$/gm);
  return [...rows].map(([, id, where]) => ({ id: id as string, where: where as string }));
}

/** What is wrong with a row. `readTest` gives the text of a file of tests, if there is one. */
function faultOf(
  { id, where }: Row,
  readTest: (path: string) => string | undefined,
): string | undefined {
  if (/^not yet\b/.test(where)) return undefined;
  const [, own, path] = /^(own: )?`(test\/[\w/.-]+\.ts)`$/.exec(where) ?? [];
  if (path === undefined) return `${id}: "${where}" names no test`;
  const text = readTest(path);
  if (text === undefined) return `${id}: ${path} does not exist`;
  const hasOwn = new RegExp(`\\btest\\(\\s*['\`]${id} `).test(text);
  return own !== undefined && !hasOwn ? `${id}: no test of ${path} begins with it` : undefined;
}

function readTest(path: string): string | undefined {
  return existsSync(join(root, path)) ? readFileSync(join(root, path), 'utf8') : undefined;
}

const rows = rowsOf(readFileSync(join(root, 'docs/regressions.md'), 'utf8'));

test('docs/regressions.md has a row for every item', () => {
  const expected = Object.entries(counts).flatMap(([letter, count]) =>
    Array.from({ length: count }, (_, i) => `${letter}${String(i + 1).padStart(2, '0')}`),
  );

  assert.deepEqual(rows.map(({ id }) => id).sort(), expected.sort());
});

test('docs/regressions.md names tests that are there', () => {
  assert.deepEqual(
    rows.map((row) => faultOf(row, readTest)).filter((fault) => fault !== undefined),
    [],
  );
});

test('every test of test/regression is in docs/regressions.md', () => {
  const files = readdirSync(join(root, 'test/regression')).filter((name) => name.endsWith('.ts'));
  const named = new Map(rows.map(({ id, where }) => [id, where]));

  for (const file of files) {
    const text = readTest(`test/regression/${file}`) ?? '';
    const ids = [...text.matchAll(/\btest\(\s*['`](\S+)/g)].map(([, id]) => id as string);
    assert.ok(ids.length > 0, file);
    for (const id of ids) assert.match(named.get(id) ?? 'nowhere', /^own: /, `${id} in ${file}`);
  }
});

test('faultOf() sees planted faults', () => {
  const text = "test('B01 a listing', () => {});";
  const read = (path: string): string | undefined => (path === 'test/a.test.ts' ? text : undefined);
  const faultAt = (where: string): string | undefined => faultOf({ id: 'B01', where }, read);

  assert.equal(faultAt('own: `test/a.test.ts`'), undefined);
  assert.equal(faultAt('`test/a.test.ts`'), undefined);
  assert.equal(faultAt('not yet: remote storage'), undefined);
  assert.match(faultAt('own: `test/b.test.ts`') ?? '', /does not exist/);
  assert.match(faultAt('somewhere') ?? '', /names no test/);
  const other = faultOf({ id: 'B02', where: 'own: `test/a.test.ts`' }, read);
  assert.match(other ?? '', /no test of test\/a\.test\.ts begins with it/);
});
