/**
 * From the paths a user names to one tree of what is to be saved. Everything is done on text: paths
 * become absolute, `.` and `..` are resolved, a source inside another is saved once, and the
 * directories above a source are only parents, which hold nothing but what leads to sources.
 */
import { joinPath } from '../platform/directory-handle.ts';
import { bufferOf, compareBytes } from '../util/bytes.ts';

/** One directory or source on the way from `/`. */
export interface PlannedEntry {
  /** Absolute. */
  readonly path: Uint8Array;
  readonly isSource: boolean;
  /** By name as latin1 text. Below a source they are sources too, to be found while it is walked. */
  readonly children: ReadonlyMap<string, PlannedEntry>;
}

export interface SourcePlan {
  /** The directory `/`. */
  readonly root: PlannedEntry;
  /** Absolute paths of the sources, sorted, without those inside another. */
  readonly paths: readonly Uint8Array[];
}

/** @throws RangeError on an empty path or one with a zero byte. */
export function planSources(
  paths: readonly (string | Uint8Array)[],
  workingDirectory: string | Uint8Array,
): SourcePlan {
  const root = newEntry(Uint8Array.of(slash));
  for (const path of paths) {
    let entry = root;
    for (const name of componentsOf(path, workingDirectory)) entry = childOf(entry, name);
    entry.isSource = true;
  }
  return { root, paths: outermostSources(root).sort(compareBytes) };
}

/** Every source at or below `entry` that was named. */
export function plannedSources(entry: PlannedEntry): PlannedEntry[] {
  const below = [...entry.children.values()].flatMap(plannedSources);
  return entry.isSource ? [entry, ...below] : below;
}

/** Paths of the sources at or below `entry` that are not inside another, in the order of the walk. */
export function outermostSources(entry: PlannedEntry): Uint8Array[] {
  if (entry.isSource) return [entry.path];
  const names = [...entry.children.keys()].sort();
  return names.flatMap((name) => outermostSources(entry.children.get(name) as PlannedEntry));
}

interface MutableEntry extends PlannedEntry {
  isSource: boolean;
  readonly children: Map<string, MutableEntry>;
}

const slash = 0x2f;

function newEntry(path: Uint8Array): MutableEntry {
  return { path, isSource: false, children: new Map() };
}

function childOf(parent: MutableEntry, name: string): MutableEntry {
  const existing = parent.children.get(name);
  if (existing !== undefined) return existing;
  const child = newEntry(joinPath(parent.path, Buffer.from(name, 'latin1')));
  parent.children.set(name, child);
  return child;
}

/** Names from `/` to the path, as latin1 text. */
function componentsOf(path: string | Uint8Array, workingDirectory: string | Uint8Array): string[] {
  const text = byteText(path);
  if (text === '') throw new RangeError('Cannot use source path "": it is empty');
  if (text.includes('\0')) throw new RangeError('Cannot use source path: it has a zero byte');
  const absolute = text.startsWith('/') ? text : `${byteText(workingDirectory)}/${text}`;
  const names: string[] = [];
  for (const name of absolute.split('/')) {
    if (name === '..') names.pop();
    else if (name !== '' && name !== '.') names.push(name);
  }
  return names;
}

/** One character per byte: JavaScript then sorts, splits and compares by bytes. */
function byteText(path: string | Uint8Array): string {
  const bytes = typeof path === 'string' ? Buffer.from(path) : bufferOf(path);
  return bytes.toString('latin1');
}
