/**
 * Walking a random tree as a restore does, with what PathSelection says, against the rule itself,
 * asked for each entry of its own. Patterns are compared component by component, without expressions.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { PathSelection } from '../../src/walk/path-selection.ts';
import { b } from '../helpers/raw-path.ts';
import { testSeed } from '../helpers/seeded-random.ts';

/** A directory, or the absence of one: a file. */
interface Tree {
  readonly [name: string]: Tree | 'file';
}

interface Patterns {
  readonly includes: readonly string[];
  readonly excludes: readonly string[];
}

type Path = readonly string[];

const nameArbitrary = fc.constantFrom('a', 'b', 'c\n', 'é');
const { tree: treeArbitrary } = fc.letrec<{ tree: Tree; entry: Tree | 'file' }>((tie) => ({
  tree: fc.dictionary(nameArbitrary, tie('entry'), { maxKeys: 3 }),
  entry: fc.oneof({ depthSize: 'medium', maxDepth: 5 }, fc.constant('file' as const), {
    arbitrary: tie('tree'),
    weight: 3,
  }),
}));
const patternArbitrary = fc
  .record({
    sign: fc.constantFrom('', '', '', '!'),
    start: fc.constantFrom('', '/'),
    components: fc.array(
      fc.oneof({ arbitrary: nameArbitrary, weight: 3 }, fc.constantFrom('*', '**')),
      {
        minLength: 1,
        maxLength: 4,
      },
    ),
    end: fc.constantFrom('', '', '/'),
  })
  .map(({ sign, start, components, end }) => sign + start + components.join('/') + end);
const patternsArbitrary = fc.record({
  includes: fc.array(patternArbitrary, { maxLength: 3 }),
  excludes: fc.array(patternArbitrary, { maxLength: 2 }),
});

function fitsComponents(pattern: Path, path: Path): boolean {
  const [first, ...rest] = pattern;
  const [name, ...below] = path;
  if (first === undefined) return name === undefined;
  if (first === '**' && rest.length === 0) return name !== undefined;
  if (first === '**') return path.some((_, i) => fitsComponents(rest, path.slice(i)));
  return name !== undefined && [name, '*'].includes(first) && fitsComponents(rest, below);
}

function fitsLast(patterns: readonly string[], path: Path, isDirectory: boolean): boolean {
  let isFit = false;
  for (const pattern of patterns) {
    const text = pattern.replace(/^!/, '');
    const components = text.split('/').filter((one) => one !== '');
    if (!text.startsWith('/')) components.unshift('**');
    const isKind = isDirectory || !text.endsWith('/');
    if (isKind && fitsComponents(components, path)) isFit = pattern === text;
  }
  return isFit;
}

/** The path with all directories above it. */
function upTo(path: Path): Path[] {
  return path.map((_, i) => path.slice(0, i + 1));
}

/** All entries below a directory, from the top down. */
function entriesBelow(tree: Tree, above: Path): { path: Path; isDirectory: boolean }[] {
  return Object.entries(tree).flatMap(([name, entry]) => {
    const path = [...above, name];
    if (entry === 'file') return [{ path, isDirectory: false }];
    return [{ path, isDirectory: true }, ...entriesBelow(entry, path)];
  });
}

/** By the rule: what is wanted, and the directories that lead there. */
function expected({ includes, excludes }: Patterns, tree: Tree, start: Path): string[] {
  const found = new Set<string>();
  for (const { path, isDirectory } of entriesBelow(tree, start)) {
    const isDirectoryAt = (one: Path) => one.length < path.length || isDirectory;
    const below = upTo(path).slice(start.length);
    const isOut = below.some((one) => fitsLast(excludes, one, isDirectoryAt(one)));
    const isIn = upTo(path).some((one) => fitsLast(includes, one, isDirectoryAt(one)));
    if (isOut || !(isIn || includes.length === 0)) continue;
    for (const one of below) found.add(one.join('/'));
  }
  return [...found].sort();
}

interface Walk {
  readonly selection: PathSelection;
  readonly found: Set<string>;
  onPassed(path: Path): void;
}

/** As a restore does it: passed directories come with what is found in them. */
function walk(run: Walk, tree: Tree, here: { path: Path; isChosen: boolean }): void {
  const path = b(`/${here.path.join('/')}`);
  const choose = run.selection.testIn({ path, isChosen: here.isChosen });
  for (const [name, entry] of Object.entries(tree)) {
    const choice = choose({ name: b(name), isDirectory: entry !== 'file' });
    const below = [...here.path, name];
    if (choice === 'chosen') for (const one of upTo(below)) run.found.add(one.join('/'));
    if (choice === 'passed') run.onPassed(below);
    if (choice === 'none' || entry === 'file') continue;
    walk(run, entry, { path: below, isChosen: choice === 'chosen' });
  }
}

test('PathSelection chooses what the rule says, wherever the walk begins', () => {
  const seen = { some: 0, none: 0, passed: 0 };
  fc.assert(
    fc.property(
      patternsArbitrary,
      treeArbitrary,
      fc.array(nameArbitrary, { maxLength: 2 }),
      (patterns, tree, start) => {
        const selection = new PathSelection(patterns);
        const found = new Set<string>();
        const isChosen = selection.isChosen(start.map((name) => b(name)));

        walk({ selection, found, onPassed: () => seen.passed++ }, tree, { path: start, isChosen });

        const above = new Set(upTo(start).map((one) => one.join('/')));
        const below = [...found].filter((path) => !above.has(path)).sort();
        assert.deepEqual(below, expected(patterns, tree, start));
        seen[below.length > 0 ? 'some' : 'none'] += 1;
      },
    ),
    { seed: testSeed, numRuns: 5000 },
  );
  assert.ok(
    Object.values(seen).every((count) => count > 500),
    JSON.stringify(seen),
  );
});

test('PathSelection passes through directories only where an include may fit below', () => {
  const cases: [include: string, passed: string[]][] = [
    ['/home/alice/docs', ['/home', '/home/alice']],
    ['/home/*/docs/x', ['/home', '/home/alice', '/home/bob', '/home/alice/docs']],
    ['/home/alice/**/x', ['/home', '/home/alice', '/home/alice/docs', '/home/alice/docs/deep']],
    ['/var', []],
    ['!/home/alice/docs', []],
  ];
  const tree = { home: { alice: { docs: { deep: {} } }, bob: {} }, var: { log: {} } };

  for (const [include, passed] of cases) {
    const selection = new PathSelection({ includes: [include] });
    const asked: string[] = [];
    const onPassed = (path: Path) => asked.push(`/${path.join('/')}`);
    walk({ selection, found: new Set(), onPassed }, tree, { path: [], isChosen: false });

    assert.deepEqual(asked.sort(), passed.sort(), include);
  }
});

test('PathSelection refuses patterns that make no sense, and says which', () => {
  assert.throws(() => new PathSelection({ includes: ['[a'] }), {
    name: 'RangeError',
    message: 'Cannot use include pattern "[a": it has a bracket that is not closed',
  });
  assert.throws(
    () => new PathSelection({ excludes: ['../a'] }),
    /Cannot use exclude pattern "..\/a"/,
  );
});
