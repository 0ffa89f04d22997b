/**
 * What was judged so far, in a file of JSON lines, so that a campaign of hours can be stopped at any
 * time, also by force, and taken up again: a point that stands in the file is not run again.
 */
import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import type { BlockTally } from './block-runs.ts';

/** One point after it was judged. */
export interface JudgedPoint {
  readonly name: string;
  /** The call that was hit; undefined when the command did not come to it. */
  readonly hit?: string | undefined;
  readonly wasCrashed: boolean;
  /** The same bytes were judged after another fault. */
  readonly isKnown: boolean;
  readonly faults: readonly string[];
}

/** All points of one operation are in the file. */
interface Ended {
  readonly ended: true;
  /** Calls of a run without a fault that a point was aimed at. */
  readonly callCount: number;
  readonly hitCallCount: number;
}

/** All states of one operation or history on one file system. */
interface Blocks {
  readonly tally: BlockTally;
}

type Line = { readonly key: string } & (JudgedPoint | Ended | Blocks);

export class CampaignLog {
  readonly #path: string | undefined;
  readonly #points = new Map<string, JudgedPoint[]>();
  readonly #ended = new Map<string, Ended>();
  readonly #blocks = new Map<string, BlockTally>();

  /** Without a path nothing is kept. */
  constructor(path: string | undefined) {
    this.#path = path;
    if (path === undefined || !existsSync(path)) return;
    for (const text of readFileSync(path, 'utf8').split('\n')) {
      // The last line of a run that was killed may be half a line.
      if (text.startsWith('{') && text.endsWith('}')) this.#take(JSON.parse(text) as Line);
    }
  }

  /** What was judged of an operation, by a key of its own for each campaign. */
  pointsOf(key: string): readonly JudgedPoint[] {
    return this.#points.get(key) ?? [];
  }

  endOf(key: string): Ended | undefined {
    return this.#ended.get(key);
  }

  addPoint(key: string, point: JudgedPoint): void {
    this.#add({ key, ...point });
  }

  addEnd(key: string, calls: Omit<Ended, 'ended'>): void {
    this.#add({ key, ended: true, ...calls });
  }

  blocksOf(key: string): BlockTally | undefined {
    return this.#blocks.get(key);
  }

  addBlocks(key: string, tally: BlockTally): void {
    this.#add({ key, tally });
  }

  #add(line: Line): void {
    this.#take(line);
    if (this.#path !== undefined) appendFileSync(this.#path, `${JSON.stringify(line)}\n`);
  }

  #take(line: Line): void {
    if ('tally' in line) this.#blocks.set(line.key, line.tally);
    else if ('ended' in line) this.#ended.set(line.key, line);
    else this.#points.set(line.key, [...this.pointsOf(line.key), line]);
  }
}
