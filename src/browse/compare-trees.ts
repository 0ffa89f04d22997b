/**
 * What differs between two trees, of snapshots or directories of them, in the order of paths. What
 * both have in common is not read: of two trees that share a directory neither reads it, and of a
 * large directory only the pages that differ. Of what is new or gone everything below is told, too.
 */
import { NotFoundError } from '../errors.ts';
import type { ReadAccess } from '../repository/read-access.ts';
import type { Snapshot } from '../snapshot/selection.ts';
import type { EntryPair } from '../tree/differences.ts';
import type { DirectoryRoot, Node } from '../tree/node.ts';
import { concatBytes } from '../util/bytes.ts';
import { systemClock } from '../util/clock.ts';
import { printable } from '../util/printable.ts';
import { Turns } from '../util/turns.ts';
import {
  demandKnown,
  differingMetadata,
  hasSameContent,
  isSameDirectory,
  type MetadataField,
} from './compare-nodes.ts';

/** Of what is there on both sides: what it is, what it holds, or nothing but its metadata. */
export type DifferenceKind = 'added' | 'removed' | 'type' | 'content' | 'metadata';

export interface Difference {
  kind: DifferenceKind;
  /** Absolute, in the tree that is compared with; of what is gone, in the first one. Raw bytes. */
  path: Uint8Array;
  before: Node | undefined;
  after: Node | undefined;
  /** What differs beside the content; nothing where one of the two is not there. */
  metadata: MetadataField[];
}

/** What is compared: a tree, or an entry of one. */
export interface TreePlace {
  snapshot: Snapshot;
  /** Names from `/`; empty for `/` itself. */
  names: readonly Uint8Array[];
}

export interface CompareOptions {
  before: TreePlace;
  after: TreePlace;
  signal?: AbortSignal | undefined;
}

const SLASH = Uint8Array.of(0x2f);

/** A directory that is being compared. */
interface Level {
  readonly before: Uint8Array;
  readonly after: Uint8Array;
  readonly batches: AsyncGenerator<EntryPair[], void, undefined>;
  batch: readonly EntryPair[];
  position: number;
}

/** The absolute path of names from `/`; empty for `/` itself, so that a name can be added. */
export function pathOf(names: readonly Uint8Array[]): Uint8Array {
  return concatBytes(...names.flatMap((name) => [SLASH, name]));
}

/**
 * @throws NotFoundError when one of the places is not there, CorruptionError, StorageError
 * @throws VersionError where an entry has fields of a later version: nobody knows whether it differs.
 */
export async function* compareTrees(
  access: ReadAccess,
  options: CompareOptions,
): AsyncGenerator<Difference, void, undefined> {
  const [before, after] = [
    await findPlace(access, options.before),
    await findPlace(access, options.after),
  ];
  const comparison = new Comparison(access, options.signal);
  const paths = { before: pathOf(options.before.names), after: pathOf(options.after.names) };
  if (before.node !== undefined && after.node !== undefined) {
    const difference = comparison.compare({ before: before.node, after: after.node }, paths);
    if (difference !== undefined) yield difference;
  } else if (!isSameDirectory(before.directory, after.directory)) {
    comparison.enter(before.directory, after.directory, paths);
  }
  yield* comparison.rest();
}

/** All that is below a directory of one side, each as gone, or as new. */
export async function* listOneSide(
  access: ReadAccess,
  {
    kind,
    directory,
    path,
  }: { kind: 'added' | 'removed'; directory: DirectoryRoot; path: Uint8Array },
  signal: AbortSignal | undefined,
): AsyncGenerator<Difference, void, undefined> {
  const comparison = new Comparison(access, signal);
  const isAdded = kind === 'added';
  comparison.enter(isAdded ? undefined : directory, isAdded ? directory : undefined, {
    before: path,
    after: path,
  });
  yield* comparison.rest();
}

/** What stands at a place; `/` has no node, and no directory when the snapshot is empty. */
export async function findPlace(
  access: ReadAccess,
  { snapshot, names }: TreePlace,
): Promise<{ node: Node | undefined; directory: DirectoryRoot | undefined }> {
  const { root } = snapshot.manifest;
  if (names.length === 0) {
    return { node: undefined, directory: root.entries === 0n ? undefined : root };
  }
  const [entry, path] = [await access.find(root, names), pathOf(names)];
  if (entry === undefined) throw new NotFoundError('path', printable(path));
  const node = demandKnown(entry, path);
  return { node, directory: node.directory };
}

interface PairPaths {
  readonly before: Uint8Array;
  readonly after: Uint8Array;
}

/** A depth-first walk through two trees at once: memory is a page per level and side. */
class Comparison {
  readonly #access: ReadAccess;
  readonly #turns: Turns;
  readonly #levels: Level[] = [];

  constructor(access: ReadAccess, signal: AbortSignal | undefined) {
    this.#access = access;
    this.#turns = new Turns(systemClock, signal);
  }

  enter(
    before: DirectoryRoot | undefined,
    after: DirectoryRoot | undefined,
    paths: PairPaths,
  ): void {
    const batches = this.#access.differences(before, after);
    this.#levels.push({
      before: paths.before,
      after: paths.after,
      batches,
      batch: [],
      position: 0,
    });
  }

  /** Everything below what was entered. */
  async *rest(): AsyncGenerator<Difference, void, undefined> {
    for (let level = this.#levels.at(-1); level !== undefined; level = this.#levels.at(-1)) {
      if (level.position === level.batch.length) {
        const next = await level.batches.next();
        if (next.done === true) this.#levels.pop();
        level.batch = next.done === true ? [] : next.value;
        level.position = 0;
        if (this.#turns.isOver) await this.#turns.next();
        continue;
      }
      const pair = level.batch[level.position] as EntryPair;
      level.position += 1;
      const difference = this.#comparePair(level, pair);
      if (difference !== undefined) yield difference;
    }
  }

  #comparePair(level: Level, { before, after }: EntryPair): Difference | undefined {
    const name = (before?.name ?? after?.name) as Uint8Array;
    // Most pairs are equal, and then nobody asks for a path.
    if (before?.type !== 'refused' && after?.type !== 'refused') {
      if (before !== undefined && after !== undefined && isEqual(before, after)) return undefined;
    }
    const paths = {
      before: concatBytes(level.before, SLASH, name),
      after: concatBytes(level.after, SLASH, name),
    };
    return this.compare(
      {
        before: before && demandKnown(before, paths.before),
        after: after && demandKnown(after, paths.after),
      },
      paths,
    );
  }

  /** The difference between two entries; what is in them is compared next. At least one is there. */
  compare(
    { before, after }: { before: Node | undefined; after: Node | undefined },
    paths: PairPaths,
  ): Difference | undefined {
    if (!isSameDirectory(before?.directory, after?.directory)) {
      this.enter(before?.directory, after?.directory, paths);
    }
    if (before === undefined) {
      return { kind: 'added', path: paths.after, before, after, metadata: [] };
    }
    if (after === undefined) {
      return { kind: 'removed', path: paths.before, before, after, metadata: [] };
    }
    const metadata = differingMetadata(before, after);
    const isSameType = before.type === after.type;
    const isSame = isSameType && hasSameContent(before, after);
    if (isSame && metadata.length === 0) return undefined;
    const kind = isSame ? 'metadata' : isSameType ? 'content' : 'type';
    return { kind, path: paths.after, before, after, metadata };
  }
}

function isEqual(before: Node, after: Node): boolean {
  return (
    before.type === after.type &&
    isSameDirectory(before.directory, after.directory) &&
    hasSameContent(before, after) &&
    differingMetadata(before, after).length === 0
  );
}
