/**
 * What became of one path over the snapshots: when it appeared, changed and vanished. Content tells
 * versions apart: what comes back with content it had before is the same version again. Of a
 * directory that is all there is in it, with its metadata.
 *
 * Snapshots that share the directories on the way share the answer, so that each costs the pages that
 * changed.
 */
import { blobKey } from '../id.ts';
import type { ReadAccess } from '../repository/read-access.ts';
import type { Snapshot } from '../snapshot/selection.ts';
import { contentLength } from '../tree/content.ts';
import { copyEntry } from '../tree/copy-entry.ts';
import type { DirectoryEntry, DirectoryRoot, Node } from '../tree/node.ts';
import { toHex } from '../util/bytes.ts';
import { systemClock } from '../util/clock.ts';
import { Turns } from '../util/turns.ts';
import { demandKnown, differingMetadata } from './compare-nodes.ts';
import { pathOf } from './compare-trees.ts';
import { inSeries, isSameSeries, type SnapshotRange } from './snapshot-set.ts';

/** Against the snapshot of the same host and source before. */
export type PathChange = 'appeared' | 'content' | 'metadata' | 'vanished';

/** Snapshots that follow each other and have the same at the path. */
export interface PathSpan extends SnapshotRange {
  change: PathChange;
  /** As it is in the first of these snapshots; undefined where it is not there. */
  node: Node | undefined;
  /** From 1 on, the same for the same content; undefined where it is not there. */
  version: number | undefined;
}

/** What a host's snapshots of a source tell; nothing where none of them ever had the path. */
export interface PathHistory {
  host: Uint8Array;
  source: Uint8Array;
  /** Oldest first; it begins when the path appears. */
  spans: PathSpan[];
}

export interface HistoryOptions {
  snapshots: readonly Snapshot[];
  /** Names from `/`, at least one. */
  names: readonly Uint8Array[];
  /** Whether a change of nothing but metadata begins another span. */
  hasMetadata?: boolean | undefined;
  signal?: AbortSignal | undefined;
}

/**
 * By host and source; a history begins with the first snapshot that has the path.
 * @throws CorruptionError, NotFoundError, StorageError when a tree cannot be read
 * @throws VersionError where the entry has fields of a later version
 */
export async function tracePath(
  access: ReadAccess,
  options: HistoryOptions,
): Promise<PathHistory[]> {
  const { snapshots, names, hasMetadata = false, signal } = options;
  const [follower, versions] = [new Follower(access, names), new Versions()];
  const turns = new Turns(systemClock, signal);
  const histories: PathHistory[] = [];
  let last: Snapshot | undefined;
  for (const snapshot of inSeries(snapshots)) {
    if (last === undefined || !isSameSeries(last, snapshot)) {
      const { host, source } = snapshot.manifest;
      histories.push({ host, source, spans: [] });
    }
    last = snapshot;
    const entry = await follower.follow(snapshot);
    const node = entry && demandKnown(entry, pathOf(names));
    const { spans } = histories.at(-1) as PathHistory;
    addToSpans(spans, { snapshot, node, version: node && versions.numberOf(node), hasMetadata });
    if (turns.isOver) await turns.next();
  }
  return histories.filter(({ spans }) => spans.length > 0);
}

function addToSpans(
  spans: PathSpan[],
  found: {
    snapshot: Snapshot;
    node: Node | undefined;
    version: number | undefined;
    hasMetadata: boolean;
  },
): void {
  const { snapshot, node, version, hasMetadata } = found;
  const before = spans.at(-1);
  const change = changeOf(before, { node, version });
  if (change === undefined || (change === 'metadata' && !hasMetadata)) {
    if (before === undefined) return; // It has not appeared yet.
    before.last = snapshot;
    before.count += 1;
    return;
  }
  spans.push({ change, node, version, first: snapshot, last: snapshot, count: 1 });
}

function changeOf(
  before: PathSpan | undefined,
  { node, version }: { node: Node | undefined; version: number | undefined },
): PathChange | undefined {
  const old = before?.node;
  if (old === undefined) return node === undefined ? undefined : 'appeared';
  if (node === undefined) return 'vanished';
  if (before?.version !== version) return 'content';
  return differingMetadata(old, node).length > 0 ? 'metadata' : undefined;
}

/** Finds one path in many trees; what a directory has of a name is looked up once. */
class Follower {
  readonly #access: ReadAccess;
  readonly #names: readonly Uint8Array[];
  /** By directory and how far on the way it is. */
  readonly #known = new Map<string, DirectoryEntry | undefined>();

  constructor(access: ReadAccess, names: readonly Uint8Array[]) {
    this.#access = access;
    this.#names = names;
  }

  async follow({ manifest }: Snapshot): Promise<DirectoryEntry | undefined> {
    let directory: DirectoryRoot | undefined = manifest.root;
    let entry: DirectoryEntry | undefined;
    for (let depth = 0; depth < this.#names.length; depth++) {
      if (directory === undefined) return undefined;
      entry = await this.#look(directory, depth);
      directory = entry?.directory;
    }
    return entry;
  }

  async #look(directory: DirectoryRoot, depth: number): Promise<DirectoryEntry | undefined> {
    const key = `${depth} ${blobKey(directory.id)}${directory.height}:${directory.entries}`;
    if (!this.#known.has(key)) {
      const name = this.#names[depth] as Uint8Array;
      const entry = await this.#access.find(directory, [name]);
      this.#known.set(key, entry && copyEntry(entry));
    }
    return this.#known.get(key);
  }
}

/** Numbers for contents, in the order they are met. */
class Versions {
  readonly #numbers = new Map<string, number>();

  numberOf(node: Node): number {
    const key = contentKey(node);
    const number = this.#numbers.get(key) ?? this.#numbers.size + 1;
    this.#numbers.set(key, number);
    return number;
  }
}

/** Equal for equal content of equal types, and for nothing else. */
function contentKey({ type, content, target, device, directory }: Node): string {
  if (directory !== undefined) return `d ${toHex(directory.id)}`;
  if (target !== undefined) return `l ${toHex(target)}`;
  if (device !== undefined) return `${type} ${device.major} ${device.minor}`;
  if (content === undefined || content.kind === 'empty') return type;
  return `${type} ${toHex(content.id)} ${contentLength(content)}`;
}
