/**
 * What an entry of the source has beside content and `stat`: extended attributes and file flags. Both
 * are read from the very file that is saved, by its descriptor, or of a symlink or special file by the
 * handle of its directory. What cannot be read of them does not cost the entry; it is told.
 */
import type { AttributePlace } from '../platform/extended-attributes.ts';
import {
  ATTRIBUTE_NAME_SIZE_MAX,
  ATTRIBUTES_SIZE_MAX,
  type Attribute,
  attributesSize,
} from '../tree/attributes.ts';
import { compareBytes } from '../util/bytes.ts';
import { type SourceFailure, sourceReason } from './source-error.ts';
import type { SourceFs } from './source-fs.ts';

export interface SourceExtras {
  /** Names ascending, as in a node; undefined where there are none. */
  readonly attributes: readonly Attribute[] | undefined;
  /** Undefined where none is set. */
  readonly flags: number | undefined;
  /** The first thing that could not be read, if any. */
  readonly failure: ExtrasFailure | undefined;
}

export type ExtrasFailure = Omit<SourceFailure, 'path'>;

/** Nearly every entry has nothing; then there is no object for it. */
export function readExtras(fs: SourceFs, place: AttributePlace): SourceExtras | undefined {
  let found: FoundExtras | undefined;
  try {
    const names = fs.listAttributes(place);
    if (names.length > 0) {
      found = newExtras();
      addAttributes(fs, { place, names }, found);
    }
  } catch (cause) {
    found = noteFailure(found, 'read attributes of', cause);
  }
  try {
    const flags = typeof place === 'number' ? fs.flags(place) : 0;
    if (flags !== 0) {
      found ??= newExtras();
      found.flags = flags;
    }
  } catch (cause) {
    found = noteFailure(found, 'read flags of', cause);
  }
  return found;
}

/** Of an entry that could not be looked at for them. */
export function unreadExtras(cause: unknown): SourceExtras {
  return noteFailure(undefined, 'read attributes of', cause);
}

interface FoundExtras {
  attributes: Attribute[] | undefined;
  flags: number | undefined;
  failure: ExtrasFailure | undefined;
}

function newExtras(): FoundExtras {
  return { attributes: undefined, flags: undefined, failure: undefined };
}

function noteFailure(
  found: FoundExtras | undefined,
  operation: string,
  cause: unknown,
): FoundExtras {
  const noted = found ?? newExtras();
  noted.failure ??= { operation, reason: sourceReason(cause), cause };
  return noted;
}

function addAttributes(
  fs: SourceFs,
  { place, names }: { place: AttributePlace; names: Uint8Array[] },
  found: FoundExtras,
): void {
  const attributes: Attribute[] = [];
  let size = 0;
  for (const name of names.sort(compareBytes)) {
    const attribute = getOne(fs, { place, name }, found);
    if (attribute === undefined) continue;
    const ownSize = attributesSize([attribute]);
    if (size + ownSize > ATTRIBUTES_SIZE_MAX || name.length > ATTRIBUTE_NAME_SIZE_MAX) {
      found.failure ??= { operation: 'save all attributes of', reason: 'unsupported' };
    } else {
      size += ownSize;
      attributes.push(attribute);
    }
  }
  if (attributes.length > 0) found.attributes = attributes;
}

/** Undefined where it is gone since it was listed, or cannot be read. */
function getOne(
  fs: SourceFs,
  { place, name }: { place: AttributePlace; name: Uint8Array },
  found: FoundExtras,
): Attribute | undefined {
  try {
    const value = fs.getAttribute(place, name);
    return value && [name, value];
  } catch (cause) {
    noteFailure(found, 'read attributes of', cause);
    return undefined;
  }
}
