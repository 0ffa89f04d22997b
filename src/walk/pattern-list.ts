/**
 * A list of patterns that entries of a tree fit or do not, as restic and gitignore have them. What
 * fits is left out of a snapshot (`excludes.ts`), or restored or not (`path-selection.ts`).
 *
 *   name        an entry of this name, at any depth
 *   a/name      … in a directory `a`, at any depth
 *   /a/name     the one entry with this absolute path
 *   a/name/     only if it is a directory
 *   a/x/name    with two stars as `x`: in `a` or anywhere below it; at the end: all there is in `a`
 *   !name       does not fit after all: of all patterns that are about an entry, the last one counts
 *
 * A pattern is about entries, not about what is below them. Whoever leaves out a directory that fits
 * does not enter it, so nothing in it can be brought back.
 *
 * A pattern is split into what its last component says of a name and what the rest says of the
 * directory it is in. The latter is asked once for each directory; the names in it are then put to
 * one test, of names alone, that all patterns alive there share.
 */
import { bufferOf } from '../util/bytes.ts';
import { printable } from '../util/printable.ts';
import { charactersOf, globSource, literalOf } from './glob.ts';

/** Entries of which kind fit; which kind it is may not be known yet. */
export type Verdict = 'none' | 'directories' | 'others' | 'all';

/** Takes a name as latin1 text. */
export type NameTest = (name: string) => Verdict;

interface Pattern {
  /** Without a `!` in front. */
  readonly isPlain: boolean;
  readonly isForDirectories: boolean;
  /** Fits paths of directories (that of `/` is empty); undefined: all. */
  readonly parent: RegExp | undefined;
  /** Source of what fits those directories and all above them. */
  readonly leading: string;
  /** As latin1 text, if only this one name fits; otherwise `source` tells which. */
  readonly literal: string | undefined;
  readonly source: string;
}

/** So many combinations of patterns are kept ready: more than a tree has places that differ. */
const testCountMax = 1000;

export class PatternList {
  readonly #patterns: readonly Pattern[];
  /** Fits directories in which some pattern counts that does not count everywhere. */
  readonly #special: RegExp | undefined;
  /** For all other directories. */
  readonly #common: NameTest;
  readonly #tests = new Map<string, NameTest>();
  /** Undefined: no pattern fits anything. */
  readonly #leading: RegExp | undefined;

  /**
   * @param kind for messages
   * @throws RangeError on a pattern that makes no sense or fits nothing
   */
  constructor(
    patterns: readonly (string | Uint8Array)[],
    kind: 'exclude' | 'include' | 'search' = 'exclude',
  ) {
    this.#patterns = patterns.map((pattern) => parsePattern(pattern, kind));
    this.#leading = leadingOf(this.#patterns);
    this.#common = combine(this.#patterns.filter(({ parent }) => parent === undefined));
    const sources = this.#patterns.flatMap(({ parent }) => parent?.source ?? []);
    this.#special = sources.length === 0 ? undefined : new RegExp(sources.join('|'), 'u');
  }

  /** The test for names in one directory; its absolute path is asked for only when it matters. */
  testIn(directory: { readonly path: Uint8Array }): NameTest {
    if (this.#special === undefined) return this.#common;
    const text = textOf(directory);
    return this.#special.test(text) ? this.#testFor(text) : this.#common;
  }

  /** Whether there may be entries in the directory, or anywhere below it, that a pattern fits. */
  mayFitBelow(directory: { readonly path: Uint8Array }): boolean {
    return this.#leading?.test(textOf(directory)) ?? false;
  }

  #testFor(path: string): NameTest {
    const alive = this.#patterns.map(({ parent }) => parent?.test(path) ?? true);
    const key = alive.map(Number).join('');
    let test = this.#tests.get(key);
    if (test === undefined) {
      if (this.#tests.size === testCountMax) this.#tests.clear();
      test = combine(this.#patterns.filter((_, i) => alive[i]));
      this.#tests.set(key, test);
    }
    return test;
  }
}

function textOf({ path }: { readonly path: Uint8Array }): string {
  const text = charactersOf(bufferOf(path).toString('latin1'));
  return text === '/' ? '' : text;
}

function parsePattern(pattern: string | Uint8Array, kind: string): Pattern {
  const bytes = typeof pattern === 'string' ? Buffer.from(pattern) : bufferOf(pattern);
  try {
    return readPattern(bytes.toString('latin1'));
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    const found = error.message;
    throw new RangeError(`Cannot use ${kind} pattern "${printable(bytes)}": it has ${found}`);
  }
}

function readPattern(text: string): Pattern {
  const isPlain = !text.startsWith('!');
  const path = isPlain ? text : text.slice(1);
  const components = path.split('/').filter((component) => component !== '');
  const last = components.at(-1);
  if (last === undefined) throw new RangeError('no name');
  if (path.includes('\0')) throw new RangeError('a zero byte');
  if (components.includes('.') || components.includes('..')) {
    throw new RangeError('"." or "..", which no path has here');
  }
  const name = last === '**' ? '*' : last;
  const parents = last === '**' ? components : components.slice(0, -1);
  if (!path.startsWith('/')) parents.unshift('**');
  return {
    isPlain,
    isForDirectories: path.endsWith('/'),
    parent:
      parents.every((one) => one === '**') && parents.length > 0 ? undefined : pathOf(parents),
    leading: leadingSource(parents),
    literal: literalOf(name),
    source: globSource(charactersOf(name)),
  };
}

function pathOf(components: readonly string[]): RegExp {
  const sources = components.map((component) =>
    component === '**' ? '(?:/[^/]+)*' : `/${globSource(charactersOf(component))}`,
  );
  return new RegExp(`^${sources.join('')}$`, 'u');
}

function leadingOf(patterns: readonly Pattern[]): RegExp | undefined {
  const sources = patterns.filter(({ isPlain }) => isPlain).map(({ leading }) => leading);
  return sources.length === 0 ? undefined : new RegExp(`^(?:${sources.join('|')})$`, 'u');
}

/** Behind two stars every directory may lead on. */
function leadingSource(components: readonly string[]): string {
  const starsAt = components.indexOf('**');
  const fixed = starsAt === -1 ? components : components.slice(0, starsAt);
  return fixed.reduceRight(
    (below, component) => `(?:/${globSource(charactersOf(component))}${below})?`,
    starsAt === -1 ? '' : '(?:/[^/]+)*',
  );
}

/** What one run of patterns of one kind fits. */
interface NameSet {
  /** As latin1 text. */
  readonly literals: ReadonlySet<string>;
  readonly expression: RegExp | undefined;
}

/** Neighbours that are all plain, or all not: among them the order does not matter. */
interface Group {
  readonly isPlain: boolean;
  readonly directories: NameSet;
  readonly others: NameSet;
}

function combine(patterns: readonly Pattern[]): NameTest {
  const groups = groupsOf(patterns);
  const isKindAsked = patterns.some(({ isForDirectories }) => isForDirectories);
  const isAllPlain = patterns.every(({ isPlain }) => isPlain);
  return (name) => {
    const characters = charactersOf(name);
    const fitsDirectory = fits(groups, { name, characters, isDirectory: true });
    if (!isKindAsked) return fitsDirectory ? 'all' : 'none';
    // What fits any entry fits directories.
    if (isAllPlain && !fitsDirectory) return 'none';
    const fitsOther = fits(groups, { name, characters, isDirectory: false });
    if (fitsDirectory) return fitsOther ? 'all' : 'directories';
    return fitsOther ? 'others' : 'none';
  };
}

/** The last group first. */
function groupsOf(patterns: readonly Pattern[]): Group[] {
  const runs: Pattern[][] = [];
  for (const pattern of patterns) {
    const run = runs.at(-1);
    if (run?.[0]?.isPlain === pattern.isPlain) run.push(pattern);
    else runs.push([pattern]);
  }
  return runs.reverse().map((run) => ({
    isPlain: run[0]?.isPlain === true,
    directories: nameSet(run),
    others: nameSet(run.filter(({ isForDirectories }) => !isForDirectories)),
  }));
}

function nameSet(patterns: readonly Pattern[]): NameSet {
  const literals = new Set<string>();
  const sources: string[] = [];
  for (const { literal, source } of patterns) {
    if (literal === undefined) sources.push(source);
    else literals.add(literal);
  }
  const expression =
    sources.length === 0 ? undefined : new RegExp(`^(?:${sources.join('|')})$`, 'u');
  return { literals, expression };
}

interface Name {
  readonly name: string;
  readonly characters: string;
  readonly isDirectory: boolean;
}

function fits(groups: readonly Group[], { name, characters, isDirectory }: Name): boolean {
  for (const { isPlain, directories, others } of groups) {
    const { literals, expression } = isDirectory ? directories : others;
    if (literals.has(name) || expression?.test(characters) === true) return isPlain;
  }
  return false;
}
