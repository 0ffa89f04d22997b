/**
 * Extended attributes of one restored entry, by the rules of what may be given back:
 *
 * - attributes of users, and POSIX ACLs, always;
 * - capabilities as root, after the owner was really set: they are rights, like setuid;
 * - what signs the content (`security.ima`, `security.evm`) never: it would be of another file;
 * - all else (`trusted`, SELinux labels, …), which the system gives a meaning, only when asked for.
 *
 * Attributes of users come before the mode, which may take the right to write them, ACLs after it, and
 * capabilities last of all. What was not asked for is counted; what could not be set is an error.
 */

import { errnoCode } from '../errors.ts';
import { descriptorPath } from '../platform/directory-handle.ts';
import type { Attribute } from '../tree/attributes.ts';
import { equalBytes, fromAscii, toLatin1 } from '../util/bytes.ts';
import { printable } from '../util/printable.ts';
import { targetError } from './target-error.ts';
import type { EntryKind, OpenEntry } from './target-metadata.ts';
import type { WriterRun } from './target-run.ts';

export const accessAcl: Uint8Array = fromAscii('system.posix_acl_access');
export const defaultAcl: Uint8Array = fromAscii('system.posix_acl_default');

/** In the order in which they are set. */
type Class = 'user' | 'acl' | 'system' | 'capability' | 'never';

function classOf(name: Uint8Array): Class {
  const text = toLatin1(name);
  if (text.startsWith('user.')) return 'user';
  if (text.startsWith('system.posix_acl_')) return 'acl';
  if (text === 'security.capability') return 'capability';
  return text === 'security.ima' || text === 'security.evm' ? 'never' : 'system';
}

/** @throws TargetError for the first that cannot be set, after all others */
export function applyUserAttributes(
  run: WriterRun,
  entry: OpenEntry,
  attributes: readonly Attribute[],
): void {
  setAll(run, entry, ofClass(attributes, 'user'));
}

/** @throws TargetError for the first that cannot be set, after all others */
export function applyOtherAttributes(
  run: WriterRun,
  entry: OpenEntry,
  { attributes, isOwnerSet }: { attributes: readonly Attribute[]; isOwnerSet: boolean },
): void {
  const { rules, isRoot, notes } = run;
  if (rules.inheritsAcl) removeInherited(run, entry, attributes);
  const system = ofClass(attributes, 'system');
  const capabilities = ofClass(attributes, 'capability');
  const mayHaveRights = isRoot && isOwnerSet;
  notes.attributesLeftOutCount += ofClass(attributes, 'never').length;
  if (!rules.hasAllAttributes) notes.attributesLeftOutCount += system.length;
  setAll(run, entry, [
    ...ofClass(attributes, 'acl'),
    ...(rules.hasAllAttributes ? system : []),
    ...(mayHaveRights ? capabilities : []),
  ]);
  if (mayHaveRights || capabilities.length === 0) return;
  const found = 'capabilities are set as root only, after the owner';
  throw targetError({ path: entry.path(), operation, reason: 'attributes', found });
}

const operation = 'set attributes of';

function ofClass(attributes: readonly Attribute[], wanted: Class): Attribute[] {
  return attributes.filter(([name]) => classOf(name) === wanted);
}

function setAll({ fs }: WriterRun, entry: OpenEntry, attributes: readonly Attribute[]): void {
  let failure: { name: Uint8Array; cause: unknown } | undefined;
  for (const [name, value] of attributes) {
    try {
      fs.setAttribute(placeOf(entry), name, value);
    } catch (cause) {
      failure ??= { name, cause };
    }
  }
  if (failure === undefined) return;
  const { name, cause } = failure;
  const found = `${printable(name)}: ${errnoCode(cause) ?? 'failed'}`;
  throw targetError({ path: entry.path(), operation, reason: 'attributes', found, cause });
}

/** What is made in a directory with a default ACL gets ACLs that it did not have. */
function removeInherited(
  { fs }: WriterRun,
  entry: OpenEntry,
  attributes: readonly Attribute[],
): void {
  for (const acl of inheritedAcls[entry.kind]) {
    if (attributes.some(([name]) => equalBytes(name, acl))) continue;
    try {
      fs.removeAttribute(placeOf(entry), acl);
    } catch (cause) {
      throw targetError({ path: entry.path(), operation, reason: 'attributes', cause });
    }
  }
}

const inheritedAcls: Readonly<Record<EntryKind, readonly Uint8Array[]>> = {
  directory: [accessAcl, defaultAcl],
  file: [accessAcl],
  special: [accessAcl],
  symlink: [],
};

/** A descriptor that only names an entry takes no attributes; a path through it does. */
function placeOf({ fd, kind }: OpenEntry): number | Uint8Array {
  return kind === 'symlink' || kind === 'special' ? descriptorPath(fd) : fd;
}
