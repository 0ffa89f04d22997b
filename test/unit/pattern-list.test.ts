import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Excludes, excludeHash } from '../../src/walk/excludes.ts';
import { PatternList, type Verdict } from '../../src/walk/pattern-list.ts';
import { b } from '../helpers/raw-path.ts';

/** What patterns say of one absolute path. */
function verdictOn(path: string | Buffer, ...patterns: (string | Uint8Array)[]): Verdict {
  const text = Buffer.from(path as Buffer).toString('latin1');
  const cut = text.lastIndexOf('/');
  const directory = Buffer.from(text.slice(0, cut) || '/', 'latin1');
  return new PatternList(patterns).testIn({ path: directory })(text.slice(cut + 1));
}

/** Pattern, paths that it leaves out, paths that it does not. */
const examples: readonly [pattern: string, out: readonly string[], kept: readonly string[]][] = [
  // Names, as in the manuals of restic and git.
  ['*.go', ['/work/main.go', '/.go', '/a/b/c.go'], ['/work/main.c', '/x.go/y', '/main.goo']],
  ['foo', ['/foo', '/dir/foo'], ['/dir/foobar', '/barfoo', '/foo/file']],
  ['/bin', ['/bin'], ['/usr/bin', '/bin/bash']],
  ['/bin/*', ['/bin/bash'], ['/bin', '/usr/bin/bash', '/bin/a/b']],
  ['b*ash', ['/bin/bash', '/bash', '/b.ash'], ['/bin/ash', '/b/ash']],
  ['foo/**/bar', ['/foo/bar', '/dir1/foo/dir2/bar', '/tmp/foo/x/y/bar'], ['/foobar', '/bar']],
  ['**/foo', ['/foo', '/a/b/foo'], ['/a/xfoo']],
  ['**/foo/bar', ['/foo/bar', '/a/foo/bar'], ['/bar', '/foo/x/bar']],
  ['abc/**', ['/abc/x', '/q/abc/x/y'], ['/abc', '/q/abc', '/abcd/x']],
  ['/abc/**', ['/abc/x', '/abc/x/y'], ['/abc', '/q/abc/x']],
  ['a/**/b', ['/a/b', '/a/x/b', '/a/x/y/b'], ['/a', '/b']],
  ['doc/frotz', ['/doc/frotz', '/a/doc/frotz'], ['/doc/x/frotz', '/adoc/frotz']],
  ['**', ['/a', '/a/b'], []],
  ['//a//b', ['/a/b'], ['/x/a/b']],
  // Wildcards.
  ['?', ['/a', '/é', '/€', '/😀'], ['/ab', '/éa']],
  ['a?b', ['/axb', '/aéb'], ['/ab', '/axxb']],
  ['[abc]x', ['/ax', '/cx'], ['/dx', '/x', '/abx']],
  ['[!a-c]x', ['/dx', '/éx', '/-x'], ['/ax', '/bx', '/x']],
  ['[^a]', ['/b'], ['/a']],
  ['[]a]', ['/]', '/a'], ['/b']],
  ['[a-]', ['/a', '/-'], ['/b']],
  ['[\\]]', ['/]'], ['/\\']],
  ['[α-ω]*', ['/λόγος'], ['/logos']],
  ['file[0-9].txt', ['/file1.txt'], ['/fileA.txt', '/file10.txt']],
  ['a**b', ['/ab', '/axyb'], ['/a/b']],
  ['***', ['/a', '/a/b'], []],
  ['a[+-9]b/x', ['/a5b/x', '/a+b/x'], ['/a/b/x']],
  // Nothing else is special.
  ['foo (1).txt', ['/foo (1).txt'], ['/foo 1.txt']],
  ['a+b|c{1}^$', ['/a+b|c{1}^$'], ['/aab']],
  ['*.{c,h}', ['/x.{c,h}'], ['/x.c']],
  ['*+(a)$.', ['/x+(a)$.'], ['/xa.']],
  ['#x', ['/#x'], []],
  ['\\*', ['/*'], ['/a', '/\\*']],
  ['\\\\*', ['/\\', '/\\x'], ['/*']],
  ['\\!x', ['/!x'], ['/x']],
  ['a\\b', ['/ab'], ['/a\\b']],
  [' x ', ['/ x '], ['/x']],
  ['.*', ['/.profile', '/.a'], ['/a']],
  ['*', ['/.profile', '/a', '/new\nline'], []],
];

for (const [pattern, out, kept] of examples) {
  test(`PatternList: ${JSON.stringify(pattern)}`, () => {
    for (const path of out) assert.equal(verdictOn(path, pattern), 'all', path);
    for (const path of kept) assert.equal(verdictOn(path, pattern), 'none', path);
  });
}

test('PatternList takes a slash at the end as "directories only"', () => {
  assert.equal(verdictOn('/a/foo', 'foo/'), 'directories');
  assert.equal(verdictOn('/a/foo', '/a/foo/'), 'directories');
  assert.equal(verdictOn('/a/foo', 'fo*/', 'foo'), 'all');
  assert.equal(verdictOn('/a/bar', 'foo/'), 'none');
});

test('PatternList lets the last pattern count that fits', () => {
  assert.equal(verdictOn('/a.o', '*.o', '!a.o'), 'none');
  assert.equal(verdictOn('/b.o', '*.o', '!a.o'), 'all');
  assert.equal(verdictOn('/a.o', '!a.o', '*.o'), 'all');
  assert.equal(verdictOn('/a.o', '*.o', '!a.*', 'a.o'), 'all');
  // Everything but directories, and but one file.
  const patterns = ['*', '!*/', '!/home/keep'];
  assert.equal(verdictOn('/home/x', ...patterns), 'others');
  assert.equal(verdictOn('/home/keep', ...patterns), 'none');
  assert.equal(verdictOn('/keep', ...patterns), 'others');
  // A home with some of its directories.
  const home = ['/home/u/*', '!/home/u/Documents', '!/home/u/.emacs.d', 'node_modules'];
  assert.equal(verdictOn('/home/u/Music', ...home), 'all');
  assert.equal(verdictOn('/home/u/Documents', ...home), 'none');
  assert.equal(verdictOn('/home/u/Documents/x', ...home), 'none');
  assert.equal(verdictOn('/home/u/Documents/node_modules', ...home), 'all');
});

test('PatternList takes bytes that are no UTF-8 as characters that equal themselves', () => {
  const stray = Buffer.from([0x2f, 0x61, 0xff]);
  const cut = Buffer.from([0x2f, 0xe2, 0x82]);

  assert.equal(verdictOn(stray, 'a?'), 'all');
  assert.equal(verdictOn(stray, Buffer.from([0x61, 0xff])), 'all');
  assert.equal(verdictOn(stray, Buffer.from([0x2a, 0xff])), 'all');
  assert.equal(verdictOn(stray, Buffer.from([0x2a, 0xfe])), 'none');
  assert.equal(verdictOn(cut, '??'), 'all');
  assert.equal(verdictOn(cut, '?'), 'none');
  // A character with the number of the byte is another thing.
  assert.equal(verdictOn(stray, 'aÿ*'), 'none');
  assert.equal(verdictOn('/aÿ', Buffer.from([0x61, 0xff, 0x2a])), 'none');
  // Not the first two bytes of "€".
  assert.equal(verdictOn('/€', Buffer.from([0xe2, 0x82, 0x2a])), 'none');
  assert.equal(verdictOn('/€', '*??'), 'none');
  assert.equal(verdictOn(Buffer.from([...b('/d'), 0xff, ...b('/x')]), 'd?/x'), 'all');
});

for (const [pattern, found] of [
  ['', 'no name'],
  ['/', 'no name'],
  ['!', 'no name'],
  ['./a', '"." or ".."'],
  ['a/../b', '"." or ".."'],
  ['a\0', 'a zero byte'],
  ['[a', 'a bracket that is not closed'],
  ['[]', 'a bracket that is not closed'],
  ['x/[!/y', 'a bracket that is not closed'],
  ['[z-a]', 'a range that runs backwards'],
  ['[[:alpha:]]', 'a named class'],
  ['a\\', 'a backslash at the end'],
  ['a\\/b', 'a backslash at the end'],
] as const) {
  test(`PatternList refuses ${JSON.stringify(pattern)}`, () => {
    assert.throws(
      () => new PatternList([pattern]),
      (error: Error) => error instanceof RangeError && error.message.includes(found),
    );
  });
}

test('Excludes refuses a marker that is no name', () => {
  for (const name of ['', 'a/b', 'a\0']) {
    assert.throws(() => new Excludes({ markers: [{ name }] }), RangeError);
  }
});

test('excludeHash() tells whether two snapshots used the same excludes', () => {
  const all = [
    {},
    { patterns: ['a', 'b'] },
    { patterns: ['b', 'a'] },
    { patterns: ['a'] },
    { patterns: ['a', 'b'], isSkippingCaches: true },
    { isSkippingCaches: true },
    { isOneFileSystem: true },
    { markers: [{ name: 'a' }] },
    { markers: [{ name: 'a', header: 'b' }] },
    { markers: [{ name: 'a' }, { name: 'b' }] },
  ];

  const hashes = all.map(excludeHash);

  assert.equal(new Set(hashes).size, all.length);
  assert.equal(hashes[0], '');
  assert.match(hashes[1] as string, /^[0-9a-f]{64}$/);
  assert.equal(excludeHash({ patterns: [], markers: [], isOneFileSystem: false }), '');
  assert.equal(excludeHash({ patterns: [b('a'), 'b'] }), hashes[1]);
  assert.equal(excludeHash({ markers: [{ name: 'b' }, { name: 'a', header: '' }] }), hashes[9]);
});
