/**
 * What a long call tells while it runs. One function type for all operations; the front end decides
 * what to show and how often.
 */

export interface Progress {
  /** What is going on: "index", "snapshot", "restore", "packs", "trees", … */
  readonly phase: string;
  /** Files; of the index, segments; while packs or trees are checked, packs or entries. */
  readonly filesDone: number;
  readonly bytesDone: number;
  /** Undefined while the total is not known. */
  readonly filesTotal?: number;
  readonly bytesTotal?: number;
  /** Raw bytes of the path being worked on. */
  readonly currentPath?: Uint8Array;
}

export type OnProgress = (progress: Progress) => void;

/** What every long call takes. */
export interface LongCall {
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: OnProgress | undefined;
}
