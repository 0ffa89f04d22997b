/**
 * Which entries of a tree are wanted, by patterns (`pattern-list.ts`) that say what is included
 * and what is left out. An entry is wanted when nothing leaves it out and, where includes are given,
 * it or a directory above it fits one of them. A directory that is left out is not entered, so
 * nothing in it is wanted. One that no include fits is passed through where something below it may.
 *
 * Whoever walks the tree asks from the top down and says what became of the directory he is in; that
 * is all there is to know of those above it.
 */
import { joinPath } from '../platform/directory-handle.ts';
import { bufferOf } from '../util/bytes.ts';
import { type NameTest, PatternList } from './pattern-list.ts';

export interface PathSelectionOptions {
  /** None or an empty list: everything. */
  readonly includes?: readonly (string | Uint8Array)[] | undefined;
  readonly excludes?: readonly (string | Uint8Array)[] | undefined;
}

/** Of an entry: it is wanted; it is a directory that may hold something wanted; or neither. */
export type Choice = 'chosen' | 'passed' | 'none';

interface Entry {
  readonly name: Uint8Array;
  readonly isDirectory: boolean;
}

interface SelectedDirectory {
  /** Absolute. */
  readonly path: Uint8Array;
  /** Not merely passed. */
  readonly isChosen: boolean;
}

export class PathSelection {
  readonly #includes: PatternList | undefined;
  readonly #excludes: PatternList | undefined;

  /** @throws RangeError on a pattern that makes no sense */
  constructor({ includes = [], excludes = [] }: PathSelectionOptions) {
    if (includes.length > 0) this.#includes = new PatternList(includes, 'include');
    if (excludes.length > 0) this.#excludes = new PatternList(excludes);
  }

  /**
   * Whether a directory, given by its names from `/`, or one above it is included. What a walk
   * begins with was named, so what leaves things out is not asked of it.
   */
  isChosen(names: readonly Uint8Array[]): boolean {
    const includes = this.#includes;
    if (includes === undefined) return true;
    return names.some((name, i) => {
      const path = joinPath(new Uint8Array(0), ...names.slice(0, i));
      return fits(includes.testIn({ path }), { name, isDirectory: true });
    });
  }

  /** The test for the entries of a directory. */
  testIn({ path, isChosen }: SelectedDirectory): (entry: Entry) => Choice {
    const includes = isChosen ? undefined : this.#includes;
    const isIncluded = includes?.testIn({ path });
    const isExcluded = this.#excludes?.testIn({ path });
    return (entry) => {
      if (isExcluded !== undefined && fits(isExcluded, entry)) return 'none';
      if (isIncluded === undefined || fits(isIncluded, entry)) return 'chosen';
      const mayHold =
        entry.isDirectory && includes?.mayFitBelow({ path: joinPath(path, entry.name) });
      return mayHold ? 'passed' : 'none';
    };
  }
}

function fits(test: NameTest, { name, isDirectory }: Entry): boolean {
  const verdict = test(bufferOf(name).toString('latin1'));
  return verdict === 'all' || verdict === (isDirectory ? 'directories' : 'others');
}
