/**
 * The constants table of docs/repository-format.md against the sources: whatever number a module
 * exports in capitals is a number of the format, stands in the table, and is the same there.
 */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../../', import.meta.url));

/** Numbers of the operating system, and of the cache's private rows, are not of the format. */
const otherNumbers = ['platform/', 'index/cache-'];

function readTable(): Map<string, bigint> {
  const page = readFileSync(join(root, 'docs/repository-format.md'), 'utf8');
  const section = page.split('\n## Constants\n')[1] ?? '';
  const rows = section.matchAll(/^\| `([A-Z0-9_]+)` +\| (\d+) +\|/gm);
  return new Map([...rows].map(([, name, value]) => [name as string, BigInt(value as string)]));
}

/** Value of a sum or difference of products and powers of integer literals. */
function evaluate(expression: string): bigint {
  const terms = expression.replaceAll(/[\sn_]/g, '').matchAll(/([+-]?)([^+-]+)/g);
  let sum = 0n;
  for (const [, sign, term] of terms) {
    const factors = (term as string).replaceAll('**', '^').split('*');
    const product = factors
      .map((factor) => factor.split('^').map(BigInt))
      .reduce((value, [base = 0n, power = 1n]) => value * base ** power, 1n);
    sum += sign === '-' ? -product : product;
  }
  return sum;
}

function exportedNumbers(text: string): [name: string, value: bigint][] {
  const constants = text.matchAll(
    /^export const ([A-Z][A-Z0-9_]*)(?:: (?:number|bigint))? = ([\dxoa-fn_*+\s-]+);$/gm,
  );
  return [...constants].map(([, name, value]) => [name as string, evaluate(value as string)]);
}

test('every number exported in capitals has its value in docs/repository-format.md', () => {
  const table = readTable();
  const paths = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' }).filter(
    (path) => path.endsWith('.ts') && !otherNumbers.some((start) => path.startsWith(start)),
  );

  for (const path of paths) {
    for (const [name, value] of exportedNumbers(readFileSync(join(root, 'src', path), 'utf8'))) {
      assert.equal(table.get(name), value, `${name} of src/${path}`);
    }
  }
});

test('the table of constants can be read', () => {
  const table = readTable();

  assert.ok(table.size > 40);
  assert.equal(table.get('BLOB_SIZE_MAX'), 2n ** 24n);
});

test('exportedNumbers() reads the ways in which constants are written', () => {
  const text = [
    'export const LIST_CUT_MIN = 256;',
    'export const FRAME_CONTENT_SIZE_MAX: number = 2 ** 24 + 2 ** 17;',
    'export const TARGET_SIZE_MAX = 65_535;',
    'export const MODE_MAX = 0o7777;',
    'export const U63_MAX: bigint = 2n ** 63n - 1n;',
    "export const CHUNKER_NAME = 's16p/1';",
    'const JSON_DEPTH_MAX = 16;',
  ].join('\n');

  assert.deepEqual(exportedNumbers(text), [
    ['LIST_CUT_MIN', 256n],
    ['FRAME_CONTENT_SIZE_MAX', 2n ** 24n + 2n ** 17n],
    ['TARGET_SIZE_MAX', 65_535n],
    ['MODE_MAX', 0o7777n],
    ['U63_MAX', 2n ** 63n - 1n],
  ]);
});
