/**
 * The pages under docs/ and the README as files: links lead somewhere, each page has one title, and
 * nothing in them is bound to the machine they were written on. Pages that the sources name exist.
 */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../../', import.meta.url));

/** Where absolute paths in examples may begin; any other is a path of somebody's machine. */
const exampleRoots = ['home/alice', 'backup', 'dev', 'etc', 'mnt', 'proc', 'srv', 'usr', 'var'];

const pages = [
  'README.md',
  ...readdirSync(join(root, 'docs'), { recursive: true, encoding: 'utf8' }),
]
  .map((path) => (path === 'README.md' ? path : join('docs', path)))
  .filter((path) => path.endsWith('.md') && existsSync(join(root, path)));

function readPage(path: string): string {
  return readFileSync(join(root, path), 'utf8');
}

function withoutCodeBlocks(text: string): string {
  return text.replace(/^```[\s\S]*?^```$/gm, '');
}

function brokenLinks(path: string, text: string): string[] {
  const targets = [...withoutCodeBlocks(text).matchAll(/\]\(([^)\s]+)\)/g)]
    .map((match) => match[1] as string)
    .filter((target) => !/^(?:[a-z]+:|#)/.test(target))
    .map((target) => target.replace(/#.*$/, ''));
  return targets.filter((target) => !existsSync(join(root, dirname(path), target)));
}

function titles(text: string): string[] {
  return withoutCodeBlocks(text).match(/^# .+$/gm) ?? [];
}

function foreignPaths(text: string): string[] {
  const absolute = text.match(/(?<![\w.:/~*<>{}$-])\/[a-z][\w.-]*\/[\w./-]*/gi) ?? [];
  return absolute.filter(
    (path) => !exampleRoots.some((start) => `${path}/`.startsWith(`/${start}/`)),
  );
}

function openMarks(text: string): string[] {
  return text.match(/\b(?:TODO|FIXME|XXX|TBD)\b/g) ?? [];
}

/** Pages that comments of the sources refer to. */
function namedPages(text: string): string[] {
  return text.match(/\bdocs\/[\w/-]+\.md\b/g) ?? [];
}

test('every page that src names exists', () => {
  const sources = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts'))
    .map((path) => readFileSync(join(root, 'src', path), 'utf8'));

  const named = new Set(sources.flatMap(namedPages));

  assert.deepEqual(
    [...named].filter((path) => !existsSync(join(root, path))),
    [],
  );
});

for (const path of pages) {
  test(`${path} has one title, links that lead somewhere, and nothing of a workplace`, () => {
    const text = readPage(path);

    assert.equal(titles(text).length, 1, 'titles');
    assert.ok(text.startsWith('# '), 'the title comes first');
    assert.deepEqual(brokenLinks(path, text), []);
    assert.deepEqual(foreignPaths(text), []);
    assert.deepEqual(openMarks(text), []);
  });
}

test('page checks see planted faults', () => {
  const text = '# a\n\n[x](nowhere.md#part) in `/opt/me/notes.md`, see TODO\n\n# b\n';

  assert.deepEqual(brokenLinks('docs/terms.md', text), ['nowhere.md']);
  assert.deepEqual(titles(text), ['# a', '# b']);
  assert.deepEqual(foreignPaths(text), ['/opt/me/notes.md']);
  assert.deepEqual(openMarks(text), ['TODO']);
});

test('page checks let examples pass', () => {
  const text = '[x](terms.md) [y](https://example.org/a/b) [z](#part) `/home/alice/a` and/or a/b/c';

  assert.deepEqual(brokenLinks('docs/terms.md', text), []);
  assert.deepEqual(foreignPaths(text), []);
});
