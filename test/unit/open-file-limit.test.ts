import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openFileLimit, parseOpenFileLimit } from '../../src/platform/open-file-limit.ts';

const table = (line: string): string =>
  `Limit                     Soft Limit           Hard Limit           Units     
Max processes             95342                95342                processes 
${line}
Max locked memory         8388608              8388608              bytes     
`;

test('parseOpenFileLimit takes the soft limit of open files', () => {
  const line = 'Max open files            4096                 524288               files     ';

  assert.equal(parseOpenFileLimit(table(line)), 4096);
});

test('parseOpenFileLimit takes no limit for a large one, and what it does not know for none', () => {
  const line = 'Max open files            unlimited            unlimited            files     ';

  assert.equal(parseOpenFileLimit(table(line)), Number.MAX_SAFE_INTEGER);
  assert.equal(parseOpenFileLimit(table('Max open files            many')), undefined);
  assert.equal(parseOpenFileLimit(''), undefined);
});

test('openFileLimit is a number of descriptors on Linux', () => {
  const limit = openFileLimit();

  if (process.platform === 'linux') assert.ok(limit !== undefined && limit > 0);
  else assert.equal(limit, undefined);
});
