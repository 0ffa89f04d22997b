/**
 * What a snapshot, or a directory of one, holds, and what is stored for it alone: the blobs that
 * nothing else in the repository needs, which are what `prune` could free if it were gone. These are
 * pages of trees, chunk lists and attributes as well as chunks of files. A blob that is the base of
 * a delta is needed by whoever needs the delta.
 *
 * A directory is one place in one snapshot: what the same directory in another snapshot needs as
 * well, or a copy of it elsewhere in the same one, is not exclusive to either.
 *
 * Nothing is read but trees and the local index. Snapshots that were forgotten need nothing.
 */
import { NotFoundError } from '../errors.ts';
import type { LongCall } from '../progress.ts';
import { BlobOwners, everybody, type OwnedSums } from '../repository/blob-owners.ts';
import type { ReadAccess } from '../repository/read-access.ts';
import type { Snapshot } from '../snapshot/selection.ts';
import type { DirectoryRoot, Node } from '../tree/node.ts';
import { concatBytes, equalBytes } from '../util/bytes.ts';
import { printable } from '../util/printable.ts';
import { type DirectorySize, DirectoryTable, type ExclusiveSize } from './directory-table.ts';
import { ReferenceWalk } from './reference-walk.ts';

export interface SnapshotSize extends ExclusiveSize {
  snapshot: Snapshot;
}

export interface TreeSizes {
  /** Of the whole snapshot. */
  snapshot: SnapshotSize;
  /**
   * What is at the path, a directory or not, and the directories below, each before those in it. The
   * paths are put together as they are asked for, once.
   */
  directories: Iterable<DirectorySize>;
}

export interface TreeSizesOptions extends LongCall {
  snapshot: Snapshot;
  /** Names from `/`; empty for `/` itself. */
  names: readonly Uint8Array[];
  /** Directories so far below the one at the path get a size of their own; 0: none. */
  depthMax: number;
}

const SLASH = Uint8Array.of(0x2f);

/**
 * The sizes of snapshots, in the order they come.
 * @throws NotFoundError, CorruptionError, StorageError, VersionError where something that may need a
 * blob cannot be read: then nobody knows what is exclusive.
 */
export async function measureSnapshots(
  access: ReadAccess,
  wanted: readonly Snapshot[],
  options: LongCall,
): Promise<SnapshotSize[]> {
  const all = withAll(access, wanted);
  const owners = new BlobOwners(access.sync.index);
  const walk = newWalk(access, { owners, snapshots: all, options });
  const ownerOf = new Map(wanted.map(({ id }) => [id, owners.addOwner(everybody)]));
  for (const { id, manifest } of all) {
    await walk.claimTree(manifest.root, ownerOf.get(id) ?? owners.addOwner(everybody));
  }
  const sums = await owners.sum(() => walk.takeTurn());
  return wanted.map((snapshot) => sizeOf(snapshot, sums, ownerOf.get(snapshot.id) as number));
}

/**
 * The sizes of a snapshot and of the directories at and below a path in it.
 * @throws NotFoundError when there is nothing at the path; else as `measureSnapshots`
 */
export async function measureTree(
  access: ReadAccess,
  options: TreeSizesOptions,
): Promise<TreeSizes> {
  const { snapshot, names } = options;
  const { root } = snapshot.manifest;
  if (names.length > 0 && (await access.find(root, names)) === undefined) {
    const path = concatBytes(...names.flatMap((name) => [SLASH, name]));
    throw new NotFoundError('path', printable(path));
  }
  const all = withAll(access, [snapshot]);
  const owners = new BlobOwners(access.sync.index);
  const walk = newWalk(access, { owners, snapshots: all, options });
  for (const { id, manifest } of all) {
    if (id !== snapshot.id) await walk.claimTree(manifest.root, everybody);
  }
  const owner = owners.addOwner(everybody);
  const tree = new TreeWalk(walk, owners, options);
  if (names.length === 0) await tree.measureRoot(root, owner);
  else await tree.measureAt(root, owner, names);
  const sums = await owners.sum(() => walk.takeTurn());
  return { snapshot: sizeOf(snapshot, sums, owner), directories: tree.table.rows(sums) };
}

/** All live snapshots, and those that are wanted and were forgotten meanwhile. */
function withAll({ view }: ReadAccess, wanted: readonly Snapshot[]): Snapshot[] {
  // What cannot be read may need any blob.
  for (const { error } of view.damaged) throw error;
  const live = new Set(view.snapshots.map(({ id }) => id));
  return [...view.snapshots, ...wanted.filter(({ id }) => !live.has(id))];
}

function newWalk(
  access: ReadAccess,
  {
    owners,
    snapshots,
    options,
  }: { owners: BlobOwners; snapshots: readonly Snapshot[]; options: LongCall },
): ReferenceWalk {
  const entries = snapshots.reduce((sum, { manifest }) => sum + manifest.root.entries, 0n);
  const { signal, onProgress } = options;
  return new ReferenceWalk(access, owners, { signal, onProgress, entriesTotal: Number(entries) });
}

function sizeOf(snapshot: Snapshot, { sizes, blobs }: OwnedSums, owner: number): SnapshotSize {
  return {
    snapshot,
    rawSize: snapshot.manifest.root.bytes,
    exclusiveSize: Math.round(sizes[owner] as number),
    exclusiveBlobs: blobs[owner] as number,
  };
}

/** The walk through the snapshot whose directories become owners. */
class TreeWalk {
  readonly table: DirectoryTable;
  readonly #walk: ReferenceWalk;
  readonly #owners: BlobOwners;
  readonly #options: TreeSizesOptions;

  constructor(walk: ReferenceWalk, owners: BlobOwners, options: TreeSizesOptions) {
    this.#walk = walk;
    this.#owners = owners;
    this.#options = options;
    const above = options.names.slice(0, -1).flatMap((name) => [SLASH, name]);
    this.table = new DirectoryTable(owners, concatBytes(...above));
  }

  /** `/` and what is below; its owner is that of the snapshot. */
  async measureRoot(root: DirectoryRoot, owner: number): Promise<void> {
    this.table.add(owner, new Uint8Array(0), root.bytes);
    await this.#measureBelow(root, { owner, depth: 0 });
  }

  /** Follows a path that is there; all beside it goes to the owner of the snapshot. */
  async measureAt(root: DirectoryRoot, owner: number, names: readonly Uint8Array[]): Promise<void> {
    const [name, ...rest] = names as [Uint8Array, ...Uint8Array[]];
    for await (const nodes of this.#walk.splitDirectory(root, owner)) {
      for (const node of nodes) {
        if (!equalBytes(node.name, name)) await this.#walk.claimEntry(node, owner);
        else if (rest.length === 0) await this.#measureEntry(node, { owner, depth: 0 });
        else {
          this.#walk.claimAttributes(node, owner);
          if (node.directory !== undefined) await this.measureAt(node.directory, owner, rest);
        }
      }
    }
  }

  /** An entry with an owner of its own, below the one given. */
  async #measureEntry(node: Node, parent: { owner: number; depth: number }): Promise<void> {
    const { name, directory, size } = node;
    const owner = this.#owners.addOwner(parent.owner);
    this.table.add(owner, name, directory?.bytes ?? size ?? 0n);
    this.#walk.claimAttributes(node, owner);
    if (directory === undefined) await this.#walk.claimEntry(node, owner);
    else await this.#measureBelow(directory, { owner, depth: parent.depth });
  }

  async #measureBelow(root: DirectoryRoot, at: { owner: number; depth: number }): Promise<void> {
    const { owner, depth } = at;
    if (depth === this.#options.depthMax) {
      await this.#walk.claimTree(root, owner);
      return;
    }
    for await (const nodes of this.#walk.splitDirectory(root, owner)) {
      for (const node of nodes) {
        if (node.type === 'd') await this.#measureEntry(node, { owner, depth: depth + 1 });
        else await this.#walk.claimEntry(node, owner);
      }
    }
  }
}
