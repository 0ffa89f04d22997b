/**
 * The import table of docs/architecture.md, held against the sources. The rules are data: the table
 * is read from the page, the single homes of packages and calls stand below. Files are judged as
 * text, so whatever names a module between quotes counts: values, types and dynamic imports.
 */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../../', import.meta.url));

/** A text that may stand only in files whose path (below `src`) matches. */
const homes: { text: RegExp; home: RegExp }[] = [
  { text: /'koffi'/, home: /^platform\// },
  { text: /'lmdb'/, home: /^index\// },
  { text: /create(?:C|Dec)ipheriv/, home: /^(keys\/aead\.ts|recover\/recover\.mjs)$/ },
];

/** Imports nothing but modules of Node, not even from its own folder. */
const standsAlone = 'recover/recover.mjs';

interface Table {
  readonly openToAll: ReadonlySet<string>;
  /** Module to the modules it may import. */
  readonly allowed: ReadonlyMap<string, ReadonlySet<string>>;
}

/** Path below `src` to text. */
type Sources = ReadonlyMap<string, string>;

function names(cell: string): Set<string> {
  return new Set([...cell.matchAll(/`([\w.]+)`/g)].map((match) => match[1] as string));
}

function readTable(): Table {
  const page = readFileSync(join(root, 'docs/architecture.md'), 'utf8');
  const section = page.split('\n## ').find((part) => part.startsWith('Who may import whom')) ?? '';
  const openToAll = names(/^Open to all: (.*)$/m.exec(section)?.[1] ?? '');
  const rows = [...section.matchAll(/^\| `([\w.]+)` +\| (–|all but `cli`|[`\w., ]+?) +\|$/gm)];
  const modules = rows.map(([, module]) => module as string);
  const allowed = new Map<string, Set<string>>();
  for (const [, module, cell] of rows) {
    const isAll = cell === 'all but `cli`';
    const targets = isAll ? modules.filter((name) => name !== 'cli') : names(cell as string);
    allowed.set(module as string, new Set(targets));
    allowed.get(module as string)?.delete(module as string);
  }
  return { openToAll, allowed };
}

function readSources(): Sources {
  const src = join(root, 'src');
  const paths = readdirSync(src, { recursive: true, encoding: 'utf8' }).filter(
    (path) => /\.(ts|mjs)$/.test(path) && !path.startsWith('chunk/scanner/'),
  );
  return new Map(paths.map((path) => [path, readFileSync(join(src, path), 'utf8')]));
}

/** First folder of a path below `src`; for files that lie there, their own name. */
function moduleOf(path: string): string {
  const first = path.split('/')[0] as string;
  return first === 'index.ts' ? first : first.replace(/\.ts$/, '');
}

function withoutComments(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/^\s*\/\/.*$/gm, '');
}

/** Paths below `src` that a file imports. */
function importsOf(path: string, text: string): string[] {
  const specifiers = withoutComments(text).matchAll(
    /\b(?:from|import|require)\s*\(?\s*['"](\.[^'"]*)['"]/g,
  );
  return [...specifiers].map((match) => normalize(join(dirname(path), match[1] as string)));
}

function moduleEdges(sources: Sources): Map<string, Set<string>> {
  const edges = new Map<string, Set<string>>();
  for (const [path, text] of sources) {
    const from = moduleOf(path);
    const targets = edges.get(from) ?? new Set();
    for (const target of importsOf(path, text)) targets.add(moduleOf(target));
    targets.delete(from);
    edges.set(from, targets);
  }
  return edges;
}

/** Modules that can be reached from themselves. */
function findCycles(edges: ReadonlyMap<string, ReadonlySet<string>>): string[] {
  return [...edges.keys()].filter((start) => {
    const reached = new Set<string>();
    const open = [...(edges.get(start) ?? [])];
    for (let module = open.pop(); module !== undefined; module = open.pop()) {
      if (reached.has(module)) continue;
      reached.add(module);
      open.push(...(edges.get(module) ?? []));
    }
    return reached.has(start);
  });
}

function importBreaches(path: string, text: string, { openToAll, allowed }: Table): string[] {
  const from = moduleOf(path);
  if (!allowed.has(from)) return [`${path}: module "${from}" is not in the table`];
  return importsOf(path, text)
    .filter((target) => {
      const to = moduleOf(target);
      return to !== from && !openToAll.has(to) && !allowed.get(from)?.has(to);
    })
    .map((target) => `${path} imports ${target}`);
}

function codeBreaches(path: string, text: string): string[] {
  const code = withoutComments(text);
  const breaches = homes
    .filter(({ text: pattern, home }) => pattern.test(code) && !home.test(path))
    .map(({ text: pattern }) => `${path} uses ${pattern.source}`);
  if (/\bimport\(\s*[^\s'"]/.test(code)) breaches.push(`${path} imports a computed name`);
  if (path === standsAlone && /\bfrom '(?!node:)|\b(import|require)\(/.test(code)) {
    breaches.push(`${path} imports something else than modules of Node`);
  }
  const ciphers = code.match(/\bcreate(?:C|Dec)ipheriv\([^;]*/g) ?? [];
  if (!ciphers.every((call) => /\bauthTagLength: 16\b/.test(call))) {
    breaches.push(`${path} makes a cipher without authTagLength: 16`);
  }
  return breaches;
}

/** Every breach of the rules, one line each. */
function findBreaches(sources: Sources, table: Table): string[] {
  return [
    ...[...sources].flatMap(([path, text]) => importBreaches(path, text, table)),
    ...[...sources].flatMap(([path, text]) => codeBreaches(path, text)),
    ...findCycles(moduleEdges(sources)).map((module) => `${module} is in a cycle`),
  ];
}

test('docs/architecture.md has a table with a row for every module it names', () => {
  const { openToAll, allowed } = readTable();

  assert.deepEqual([...openToAll].sort(), ['errors', 'id', 'progress', 'util']);
  for (const module of openToAll) assert.ok(allowed.has(module), `no row for ${module}`);
  for (const targets of allowed.values()) {
    for (const module of targets) assert.ok(allowed.has(module), `no row for ${module}`);
  }
  assert.deepEqual(findCycles(allowed), []);
});

test('src imports only what the table of docs/architecture.md allows', () => {
  const sources = readSources();

  assert.ok(sources.size > 0);
  assert.deepEqual(findBreaches(sources, readTable()), []);
});

test('findBreaches() sees every kind of breach', () => {
  const planted: [path: string, text: string, breach: RegExp][] = [
    ['chunk/a.ts', "import { seal } from '../keys/aead.ts';", /chunk\/a\.ts imports keys/],
    ['chunk/a.ts', "import type { Key } from '../keys/aead.ts';", /imports keys/],
    ['chunk/a.ts', "export * from '../keys/aead.ts';", /imports keys/],
    ['chunk/a.ts', "const keys = await import('../keys/aead.ts');", /imports keys/],
    ['chunk/a.ts', "let key: import('../keys/aead.ts').Key;", /imports keys/],
    ['chunk/a.ts', 'const keys = await import(name);', /computed name/],
    ['cli/a.ts', "import { walk } from '../walk/walk.ts';", /imports walk/],
    ['browse/a.ts', "import { main } from '../cli/main.ts';", /imports cli/],
    ['vault/a.ts', '', /"vault" is not in the table/],
    ['walk/a.ts', "import koffi from 'koffi';", /uses 'koffi'/],
    ['repository/a.ts', "import { open } from 'lmdb';", /uses 'lmdb'/],
    ['pack/a.ts', "import { createCipheriv } from 'node:crypto';", /uses create/],
    ['keys/aead.ts', 'createDecipheriv(name, key, nonce);', /without authTagLength/],
    ['recover/recover.mjs', "import { a } from './a.mjs';", /modules of Node/],
    ['recover/recover.mjs', "import a from '@noble/hashes';", /modules of Node/],
    ['recover/recover.mjs', "const a = await import('lmdb');", /modules of Node/],
    ['recover/recover.mjs', 'createDecipheriv(a, key, nonce);', /without authTagLength/],
    ['util/a.ts', "import { toHex } from '../id.ts';", /util is in a cycle/],
  ];

  for (const [path, text, breach] of planted) {
    const sources = new Map([
      [path, text],
      ['id.ts', "import { a } from './util/a.ts';"],
    ] as const);
    assert.match(findBreaches(sources, readTable()).join('\n'), breach, `${path}: ${text}`);
  }
});

test('findBreaches() lets legal imports pass', () => {
  const sources = new Map([
    [
      'cli/main.ts',
      "import { open } from '../index.ts';\nimport { KeyError } from '../errors.ts';",
    ],
    ['cli/commands/init.ts', "import { open } from '../../index.ts';\nimport '../main.ts';"],
    ['index.ts', "export type { Snapshot } from './snapshot/manifest.ts';"],
    ['index/view.ts', "import { open } from 'lmdb';\nimport { id } from '../blob/id.ts';"],
    ['keys/aead.ts', "createCipheriv('aes-256-gcm', key, nonce, { authTagLength: 16 });"],
    ['chunk/a.ts', "/** See `import '../keys/aead.ts'`. */\n// from '../keys/aead.ts'"],
  ]);

  assert.deepEqual(findBreaches(sources, readTable()), []);
});
