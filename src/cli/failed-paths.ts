/**
 * Paths that could not be read or written. Each is told of when it happens; the summary names them
 * again, where whoever looks at the end of a long output finds them.
 */
import { printable } from '../util/printable.ts';
import { formatCount } from './format.ts';
import type { Output } from './output.ts';

/** So many paths are named in the summary; bounds what is held in memory. */
const LISTED_COUNT_MAX = 1000;

export class FailedPaths {
  readonly #listed: { code: string; path: Uint8Array }[] = [];
  #count = 0;

  add(code: string, path: Uint8Array): void {
    this.#count += 1;
    if (this.#listed.length < LISTED_COUNT_MAX) this.#listed.push({ code, path });
  }

  /** Nothing when there are none. */
  report(output: Output, title: string): void {
    if (this.#count === 0) return;
    output.report(`${title}: ${formatCount(this.#count, 'path')}`);
    for (const { code, path } of this.#listed) output.report(`  ${code}  ${printable(path)}`);
    const unnamed = this.#count - this.#listed.length;
    if (unnamed > 0) output.report(`  and ${unnamed.toLocaleString('en')} more`);
  }
}
