import assert from 'node:assert/strict';
import { test } from 'node:test';
import { printable } from '../../src/util/printable.ts';

test('printable() keeps readable text and escapes what a terminal would act on', () => {
  const cases: [string | number[], string][] = [
    ['/home/zoë/年輪.txt', '/home/zoë/年輪.txt'],
    ['line\nbreak\x1b[31m', 'line\\x0abreak\\x1b[31m'],
    ['right\u202eleft', 'right\\u{202e}left'],
    ['back\\slash', 'back\\\\slash'],
    [[0x61, 0xff, 0x0a, 0x5c], 'a\\xff\\x0a\\x5c'],
  ];
  for (const [bytes, expected] of cases)
    assert.equal(printable(Buffer.from(bytes as string)), expected);
});
