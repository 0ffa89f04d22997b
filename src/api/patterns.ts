/** Judging patterns before a call that takes them, which may have to ask for a passphrase first. */
import type { FindCriteria } from '../browse/find-entries.ts';
import { type ExcludeOptions, Excludes } from '../walk/excludes.ts';
import { PathSelection } from '../walk/path-selection.ts';
import { PatternList } from '../walk/pattern-list.ts';
import type { RestorePatterns } from './options.ts';

/** @throws RangeError when a pattern or marker makes no sense, as `snapshot` would */
export function checkExcludes(options: ExcludeOptions): void {
  new Excludes(options);
}

/** @throws RangeError when a pattern makes no sense, as `restore` would */
export function checkRestorePatterns(patterns: RestorePatterns): void {
  new PathSelection(patterns);
}

/** @throws RangeError when a pattern makes no sense, or there is none, as `find` would */
export function checkFindCriteria({ patterns }: FindCriteria): void {
  if (patterns.length === 0) throw new RangeError('Cannot find anything without a pattern');
  new PatternList(patterns, 'search');
}
