/** Exclude patterns against a reference that tries everything, on names of any bytes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { decodeUtf8 } from '../../src/util/bytes.ts';
import { PatternList, type Verdict } from '../../src/walk/pattern-list.ts';
import { testSeed } from '../helpers/seeded-random.ts';

/** Characters in hexadecimal: UTF-8 where it is, else single bytes. */
function characters(bytes: Uint8Array): string[] {
  const found: string[] = [];
  for (let i = 0; i < bytes.length; ) {
    const sizes = [4, 3, 2].filter((size) => i + size <= bytes.length);
    const size = sizes.find((one) => [...(decodeUtf8(bytes.slice(i, i + one)) ?? '')].length === 1);
    found.push(Buffer.from(bytes.slice(i, i + (size ?? 1))).toString('hex'));
    i += size ?? 1;
  }
  return found;
}

/** One item of a pattern's component, as bytes and as what it fits. */
interface Item {
  readonly bytes: Uint8Array;
  readonly fits: 'any run' | ((character: string) => boolean);
}

function item(text: string | Uint8Array, fits: Item['fits']): Item {
  return { bytes: Buffer.from(text as Uint8Array), fits };
}

function hex(...texts: string[]): string[] {
  return texts.map((text) => Buffer.from(text).toString('hex'));
}

const wildcards: readonly Item[] = [
  item('*', 'any run'),
  item('?', () => true),
  item('[ab]', (one) => hex('a', 'b').includes(one)),
  item('[!aé]', (one) => !hex('a', 'é').includes(one)),
  item('[a-c€]', (one) => hex('a', 'b', 'c', '€').includes(one)),
  item('\\*', (one) => one === '2a'),
];
/** Bytes that are, begin or end characters, and some that have a meaning elsewhere. */
const pieces: readonly Uint8Array[] = [
  ...['a', 'b', '-', '.', '*', '(', 'é', 'ÿ', '€', '😀'].map((text) => Buffer.from(text)),
  ...[0xff, 0xc3, 0xa9, 0xe2, 0x82].map((byte) => Buffer.from([byte])),
];
/** Of the pieces, these mean themselves in a pattern. */
const plainPieces = pieces.filter((piece) => piece[0] !== 0x2a);

function fitsName(items: readonly Item[], name: readonly string[]): boolean {
  const [first, ...rest] = items;
  if (first === undefined) return name.length === 0;
  if (first.fits === 'any run') {
    return name.some((_, i) => fitsName(rest, name.slice(i))) || fitsName(rest, []);
  }
  const [character, ...others] = name;
  return character !== undefined && first.fits(character) && fitsName(rest, others);
}

type Component = '**' | readonly Item[];

function fitsPath(pattern: readonly Component[], path: readonly (readonly string[])[]): boolean {
  const [first, ...rest] = pattern;
  if (first === undefined) return path.length === 0;
  if (first === '**') {
    if (rest.length === 0) return path.length > 0;
    return path.some((_, i) => fitsPath(rest, path.slice(i)));
  }
  const [name, ...below] = path;
  return name !== undefined && fitsName(first, name) && fitsPath(rest, below);
}

interface Pattern {
  readonly isNegated: boolean;
  readonly isAnchored: boolean;
  readonly isForDirectories: boolean;
  readonly components: readonly Component[];
}

/** Literal bytes next to each other may make a character: they are read again as a whole. */
function regroup(items: readonly Item[]): Item[] {
  const runs: { bytes: number[]; wildcard?: Item }[] = [];
  for (const one of items) {
    const last = runs.at(-1);
    if (wildcards.includes(one)) runs.push({ bytes: [], wildcard: one });
    else if (last === undefined || last.wildcard !== undefined)
      runs.push({ bytes: [...one.bytes] });
    else last.bytes.push(...one.bytes);
  }
  return runs.flatMap(({ bytes, wildcard }) =>
    wildcard === undefined
      ? characters(Uint8Array.from(bytes)).map((text) =>
          item(Buffer.from(text, 'hex'), (character) => character === text),
        )
      : [wildcard],
  );
}

const componentArbitrary: fc.Arbitrary<Component> = fc.oneof(
  fc.constant('**' as const),
  fc
    .array(
      fc.oneof(
        fc.constantFrom(...wildcards),
        fc.constantFrom(...plainPieces).map((piece) => item(piece, () => false)),
      ),
      { minLength: 1, maxLength: 4 },
    )
    .map(regroup)
    .filter((items) => !/^(\.{1,2}|\*\*)$/.test(textOf(items))),
);

const patternArbitrary: fc.Arbitrary<Pattern> = fc.record({
  isNegated: fc.boolean(),
  isAnchored: fc.boolean(),
  isForDirectories: fc.boolean(),
  components: fc.array(componentArbitrary, { minLength: 1, maxLength: 3 }),
});

function textOf(component: Component): string {
  if (component === '**') return component;
  return Buffer.concat(component.map(({ bytes }) => bytes)).toString('latin1');
}

function encode({ isNegated, isAnchored, isForDirectories, components }: Pattern): Uint8Array {
  const path = components.map(textOf).join('/');
  const text = `${isNegated ? '!' : ''}${isAnchored ? '/' : ''}${path}${isForDirectories ? '/' : ''}`;
  return Buffer.from(text, 'latin1');
}

const nameArbitrary = fc
  .array(fc.constantFrom(...pieces), { minLength: 1, maxLength: 4 })
  .map((parts) => Buffer.concat(parts))
  .filter((name) => !/^\.{1,2}$/.test(name.toString('latin1')));

function isOut(
  patterns: readonly Pattern[],
  path: readonly Buffer[],
  isDirectory: boolean,
): boolean {
  const names = path.map(characters);
  let isLeftOut = false;
  for (const { isNegated, isAnchored, isForDirectories, components } of patterns) {
    if (isForDirectories && !isDirectory) continue;
    const all = isAnchored ? components : (['**', ...components] as const);
    if (fitsPath(all, names)) isLeftOut = !isNegated;
  }
  return isLeftOut;
}

function expected(patterns: readonly Pattern[], path: readonly Buffer[]): Verdict {
  const isDirectoryOut = isOut(patterns, path, true);
  const isOtherOut = isOut(patterns, path, false);
  if (isDirectoryOut) return isOtherOut ? 'all' : 'directories';
  return isOtherOut ? 'others' : 'none';
}

test('PatternList says what trying every way to fit says', () => {
  const seen = new Set<Verdict>();
  fc.assert(
    fc.property(
      fc.array(patternArbitrary, { minLength: 1, maxLength: 5 }),
      fc.array(nameArbitrary, { minLength: 1, maxLength: 4 }),
      (patterns, path) => {
        const compiled = new PatternList(patterns.map(encode));
        const slash = Buffer.from('/');
        const above = path.slice(0, -1).flatMap((name) => [slash, name]);
        const directory = above.length === 0 ? slash : Buffer.concat(above);
        const name = (path.at(-1) as Buffer).toString('latin1');

        const verdict = compiled.testIn({ path: directory })(name);

        assert.equal(verdict, expected(patterns, path));
        // Asked again, from what it has kept.
        assert.equal(compiled.testIn({ path: directory })(name), verdict);
        seen.add(verdict);
      },
    ),
    { seed: testSeed, numRuns: 5000 },
  );
  assert.equal(seen.size, 4, 'every verdict has occurred');
});
