/**
 * The directories a restore has open. One stays open until all that belongs into it is there: files
 * at work, directories below, names that wait for another file. Then come its symlinks, which
 * nothing above may go through, then its metadata, then it is closed.
 *
 * Each of those is a hold on the directory; so is the walk while it is in there.
 */

import type { TargetDirectory } from './target.ts';
import type { TargetMetadata } from './target-metadata.ts';

export interface PlannedSymlink {
  readonly name: Uint8Array;
  readonly linkTarget: Uint8Array;
  /** It takes the place of one that is there. */
  readonly isReplacing: boolean;
  readonly metadata: TargetMetadata;
}

export interface OpenDirectory {
  readonly target: TargetDirectory;
  readonly parent: OpenDirectory | undefined;
  /** For the target itself: none, unless the content of one directory is restored into it. */
  readonly metadata: TargetMetadata | undefined;
  /** Only there for what is restored in it: not to stay behind empty. */
  readonly isPassed: boolean;
  readonly symlinks: PlannedSymlink[];
  holdCount: number;
}

export class OpenDirectories {
  /** In the order they were opened. */
  readonly #open = new Set<OpenDirectory>();
  readonly #onComplete: (directory: OpenDirectory) => void;

  /** @param onComplete makes the symlinks and leaves the directory; does not throw. */
  constructor(onComplete: (directory: OpenDirectory) => void) {
    this.#onComplete = onComplete;
  }

  get count(): number {
    return this.#open.size;
  }

  /** Takes over a directory that was just opened, with one hold. */
  add(
    target: TargetDirectory,
    metadata: TargetMetadata | undefined,
    below?: { readonly parent: OpenDirectory; readonly isPassed: boolean },
  ): OpenDirectory {
    const parent = below?.parent;
    const isPassed = below?.isPassed ?? false;
    const directory = { target, parent, metadata, isPassed, symlinks: [], holdCount: 1 };
    if (parent !== undefined) parent.holdCount += 1;
    this.#open.add(directory);
    return directory;
  }

  /** Ends one hold; the last one completes the directory, and perhaps those above it. */
  release(directory: OpenDirectory): void {
    let last: OpenDirectory | undefined = directory;
    while (last !== undefined && --last.holdCount === 0) {
      this.#open.delete(last);
      this.#onComplete(last);
      last = last.parent;
    }
  }

  /** Closes all that is still open, the deepest first; they get their metadata if they can. */
  giveUp(): void {
    for (const { target, metadata } of [...this.#open].reverse()) {
      try {
        target.leave(metadata);
      } catch {
        // What made the restore give up is what is told.
      }
    }
    this.#open.clear();
  }
}
