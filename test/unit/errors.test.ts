/** The operating errors: every exported class has its own stable name, code and message shape. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as errors from '../../src/errors.ts';
import { errnoCode, VarveError } from '../../src/errors.ts';

const path = Uint8Array.of(0x2f, 0x61, 0xff);
const cause = new Error('the cause');

/** One of each class, with its code and message. */
const examples = {
  NotFoundError: {
    error: new errors.NotFoundError('snapshot', '0123abcd', undefined, cause),
    code: 'NOT_FOUND',
    message: 'Cannot find snapshot "0123abcd"',
  },
  NoRepositoryError: {
    error: new errors.NoRepositoryError('/backup', undefined, cause),
    code: 'NO_REPOSITORY',
    message: 'Cannot open repository "/backup": no "config" there',
  },
  RepositoryExistsError: {
    error: new errors.RepositoryExistsError('/backup'),
    code: 'REPOSITORY_EXISTS',
    message: 'Cannot create repository "/backup": there is one already',
  },
  VersionError: {
    error: new errors.VersionError('this repository', 'format 2', 'format 1'),
    code: 'UNSUPPORTED_VERSION',
    message: 'Cannot use this repository: found format 2, this program supports format 1',
  },
  KeyError: {
    error: new errors.KeyError('Cannot open repository "/backup": no key slot opens', cause),
    code: 'WRONG_KEY',
    message: 'Cannot open repository "/backup": no key slot opens',
  },
  BusyError: {
    error: new errors.BusyError('89abcdef', 'Cannot commit snapshot "89abcdef": fenced', 12),
    code: 'BUSY',
    message: 'Cannot commit snapshot "89abcdef": fenced',
  },
  CorruptionError: {
    error: new errors.CorruptionError(
      { kind: 'pack', which: '00ff', found: 'another hash', expected: 'its name', offset: 64 },
      cause,
    ),
    code: 'CORRUPT',
    message: 'Cannot read pack "00ff" at offset 64: another hash, expected its name',
  },
  StorageError: {
    error: new errors.StorageError('write', 'data/00/00ff', 'no space left', { cause }),
    code: 'STORAGE',
    message: 'Cannot write "data/00/00ff": no space left',
  },
  SourceError: {
    error: new errors.SourceError(path, 'open', 'permission', 'Cannot open "/a": denied', cause),
    code: 'SOURCE',
    message: 'Cannot open "/a": denied',
  },
  TargetError: {
    error: new errors.TargetError(path, 'write', 'io', 'Cannot write "/a": I/O error', cause),
    code: 'TARGET',
    message: 'Cannot write "/a": I/O error',
  },
};

const exported = new Map<string, unknown>(Object.entries(errors));
const exportedClasses = [...exported.keys()].filter((name) => {
  const value = exported.get(name);
  return typeof value === 'function' && value.prototype instanceof VarveError;
});

test('there is one example of every exported error class', () => {
  assert.deepEqual(Object.keys(examples).sort(), exportedClasses.sort());
  assert.equal(exportedClasses.length, 10);
});

for (const [name, { error, code, message }] of Object.entries(examples)) {
  test(`${name} has its name, code and message`, () => {
    const Class = exported.get(name) as typeof VarveError;

    assert(error instanceof Class && error instanceof VarveError && error instanceof Error);
    assert.equal(error.name, name);
    assert.equal(error.code, code);
    assert.equal(error.message, message);
    assert.match(error.message, /^Cannot [a-z]+ .*[^.]$/);
  });
}

test('error codes are unique and classes are siblings', () => {
  const all = Object.values(examples).map(({ error }) => error);

  assert.equal(new Set(all.map(({ code }) => code)).size, all.length);
  for (const error of all) {
    assert.equal(Object.getPrototypeOf(Object.getPrototypeOf(error)), VarveError.prototype);
  }
});

test('errors keep their cause and have none unless given', () => {
  const without: VarveError[] = [
    examples.VersionError.error,
    examples.RepositoryExistsError.error,
    examples.BusyError.error,
  ];

  for (const { error } of Object.values(examples)) {
    const expected = without.includes(error) ? undefined : cause;
    assert.equal(error.cause, expected, error.name);
    assert.equal('cause' in error, expected !== undefined);
  }
});

test('errors carry what they know as fields', () => {
  const plain = new errors.CorruptionError({ kind: 'a', which: 'b', found: 'c', expected: 'd' });
  const transient = new errors.StorageError('read', 'x', 'reset', { isTransient: true });

  assert.deepEqual(
    { ...plain, name: '' },
    {
      name: '',
      code: 'CORRUPT',
      kind: 'a',
      which: 'b',
      found: 'c',
      expected: 'd',
      offset: undefined,
    },
  );
  assert.equal(plain.message, 'Cannot read a "b": c, expected d');
  assert.equal(transient.isTransient, true);
  assert.equal(examples.StorageError.error.isTransient, false);
  assert.equal(examples.BusyError.error.sinceMs, 12);
  assert.deepEqual(examples.SourceError.error.path, path);
  assert.equal(examples.TargetError.error.reason, 'io');
  assert.equal(examples.NotFoundError.error.which, '0123abcd');
});

test('errnoCode() takes the code of system errors only', () => {
  assert.equal(errnoCode(Object.assign(new Error('no'), { code: 'ENOENT' })), 'ENOENT');
  assert.equal(errnoCode(Object.assign(new Error('no'), { code: 'ERR_INVALID_ARG' })), undefined);
  assert.equal(errnoCode(examples.StorageError.error), undefined);
  assert.equal(errnoCode(new Error('ENOENT')), undefined);
  assert.equal(errnoCode(undefined), undefined);
  assert.equal(errnoCode(null), undefined);
  assert.equal(errnoCode('ENOENT'), undefined);
});
