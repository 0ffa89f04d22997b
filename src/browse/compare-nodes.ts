/**
 * What differs between two entries of one name: kind, content, metadata. Numbers that a file system
 * gives and no program can set (inode, time of change, time of birth) are no difference: a file that
 * was copied there and back has others.
 */
import { VersionError } from '../errors.ts';
import type { Attribute } from '../tree/attributes.ts';
import type { Content } from '../tree/content.ts';
import type { DirectoryEntry, DirectoryRoot, Node, Time } from '../tree/node.ts';
import { equalBytes } from '../util/bytes.ts';
import { printable } from '../util/printable.ts';

/** What of the metadata differs. */
export type MetadataField = 'mode' | 'owner' | 'mtime' | 'attributes' | 'flags';

/** @throws VersionError where a field of a later version may hide a difference */
export function demandKnown(entry: DirectoryEntry, path: Uint8Array): Node {
  if (entry.type !== 'refused') return entry;
  const what = `entry "${printable(path)}"`;
  throw new VersionError(what, `field ${entry.tag}`, 'none of that number');
}

/** Of two entries of one type: bytes of a file, target of a link, number of a device. */
export function hasSameContent(a: Node, b: Node): boolean {
  return (
    isSameContent(a.content, b.content) &&
    isSameBytes(a.target, b.target) &&
    a.device?.major === b.device?.major &&
    a.device?.minor === b.device?.minor
  );
}

export function isSameDirectory(
  a: DirectoryRoot | undefined,
  b: DirectoryRoot | undefined,
): boolean {
  if (a === undefined || b === undefined) return a === b;
  return a.height === b.height && a.entries === b.entries && equalBytes(a.id, b.id);
}

export function differingMetadata(a: Node, b: Node): MetadataField[] {
  const fields: MetadataField[] = [];
  if (a.mode !== b.mode) fields.push('mode');
  if (!isSameOwner(a, b)) fields.push('owner');
  if (!isSameTime(a.mtime, b.mtime)) fields.push('mtime');
  if (!hasSameAttributes(a, b)) fields.push('attributes');
  if (a.flags !== b.flags) fields.push('flags');
  return fields;
}

export function isSameTime(a: Time | undefined, b: Time | undefined): boolean {
  return a?.seconds === b?.seconds && a?.nanoseconds === b?.nanoseconds;
}

function isSameContent(a: Content | undefined, b: Content | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  if (a.kind === 'empty' || b.kind === 'empty') return a.kind === b.kind;
  return a.kind === b.kind && a.length === b.length && equalBytes(a.id, b.id);
}

/** Names may change with the machine; numbers tell where both are known. */
function isSameOwner(a: Node, b: Node): boolean {
  return (
    a.owner?.uid === b.owner?.uid &&
    a.owner?.gid === b.owner?.gid &&
    isSameBytes(a.ownerNames?.user, b.ownerNames?.user) &&
    isSameBytes(a.ownerNames?.group, b.ownerNames?.group)
  );
}

function hasSameAttributes(a: Node, b: Node): boolean {
  const [own, other] = [a.attributes ?? [], b.attributes ?? []];
  return (
    isSameBytes(a.attributeBlob, b.attributeBlob) &&
    own.length === other.length &&
    own.every((attribute, i) => isSameAttribute(attribute, other[i] as Attribute))
  );
}

function isSameAttribute([name, value]: Attribute, [otherName, otherValue]: Attribute): boolean {
  return equalBytes(name, otherName) && equalBytes(value, otherValue);
}

function isSameBytes(a: Uint8Array | undefined, b: Uint8Array | undefined): boolean {
  return a === undefined || b === undefined ? a === b : equalBytes(a, b);
}
