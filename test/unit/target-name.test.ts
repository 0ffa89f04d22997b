import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nameFault, windowsFault } from '../../src/restore/target-name.ts';

test('nameFault() takes one component of any bytes', () => {
  for (const name of ['a', '...', '..x', ' ', 'a\\b', 'con', '\n', '\xff']) {
    assert.equal(nameFault(Buffer.from(name, 'latin1')), undefined, name);
  }
  for (const name of ['', '.', '..', '/', 'a/b', 'a\0', '\0']) {
    assert.notEqual(nameFault(Buffer.from(name, 'latin1')), undefined, name);
  }
});

test('windowsFault() knows separators, streams, devices and endings (X01, X05)', () => {
  for (const name of ['a', 'console', 'com', 'com10', 'a.b', '.x', 'nul-', 'x.con']) {
    assert.equal(windowsFault(name), undefined, name);
  }
  const hostile = [
    '..\\x',
    'c:',
    'file:stream',
    'a?',
    'a\n',
    'a.',
    'a ',
    'CON',
    'nul.txt',
    'com1',
    'Lpt9.x',
  ];
  for (const name of hostile) assert.notEqual(windowsFault(name), undefined, name);
});
