/**
 * A node: everything kept of one entry of a source directory. Here are its fields and the rules
 * they keep whoever made them; `node-codec.ts` turns a node into bytes and back.
 */
import type { BlobId } from '../id.ts';
import {
  type Attribute,
  attributesFault,
  attributesSize,
  INLINE_ATTRIBUTES_SIZE_MAX,
} from './attributes.ts';
import { type Content, contentFault, contentLength, FILE_SIZE_MAX } from './content.ts';
import type { Fault } from './fault.ts';

export const NAME_SIZE_MAX = 1024;
export const OWNER_NAME_SIZE_MAX = 1024;
export const TARGET_SIZE_MAX = 65_535;
export const MODE_MAX = 0o7777;
export const PAGE_HEIGHT_MAX = 16;
/** Tags from here on are critical: who does not know one must not use the node. */
export const CRITICAL_TAG_MIN = 0x80;
/** Tags from here on have no meaning in this version. */
export const UNKNOWN_TAG_MIN = 19;

const nanosecondsMax = 999_999_999;
const slash = 0x2f;
const dot = 0x2e;

/** File, directory, symlink, character device, block device, fifo, socket. */
export type NodeType = 'f' | 'd' | 'l' | 'c' | 'b' | 'p' | 's';

/** Since 1970, UTC; nanoseconds always count forward. */
export interface Time {
  seconds: bigint;
  nanoseconds: number;
}

/** Root page of a directory with what its pages hold in all: nodes and file bytes, at any depth. */
export interface DirectoryRoot {
  id: BlobId;
  height: number;
  entries: bigint;
  bytes: bigint;
}

/** Byte strings and ids of a decoded node are views of the page it was decoded from. */
export interface Node {
  /** One path component, raw bytes. */
  name: Uint8Array;
  type: NodeType;
  /** Permission, setuid, setgid and sticky bits; no type bits. */
  mode?: number | undefined;
  owner?: { uid: number; gid: number } | undefined;
  /** Raw bytes; one of the two may be empty. */
  ownerNames?: { user: Uint8Array; group: Uint8Array } | undefined;
  /** Of files only, and of all files; equal to the length of the content. */
  size?: bigint | undefined;
  mtime?: Time | undefined;
  ctime?: Time | undefined;
  birthTime?: Time | undefined;
  inode?: bigint | undefined;
  /** Eight bytes shared by all names of one hard-linked file. */
  linkGroup?: Uint8Array | undefined;
  content?: Content | undefined;
  /** Absent when the directory is empty. */
  directory?: DirectoryRoot | undefined;
  /** Symlink target, raw bytes. */
  target?: Uint8Array | undefined;
  device?: { major: number; minor: number } | undefined;
  /** Extended attributes that fit into the node, else `attributeBlob`; never both. */
  attributes?: readonly Attribute[] | undefined;
  attributeBlob?: BlobId | undefined;
  flags?: number | undefined;
  /** Fields of a later version that may be ignored but must be kept. */
  unknown?: readonly UnknownField[] | undefined;
}

export type UnknownField = readonly [tag: number, value: Uint8Array];

/** A node with a critical field of a later version: it keeps its place and counts, nothing else. */
export interface RefusedNode {
  name: Uint8Array;
  type: 'refused';
  /** The first critical tag. */
  tag: number;
  size?: bigint | undefined;
  directory?: DirectoryRoot | undefined;
}

/** What stands in a tree page; told apart by `type`. */
export type DirectoryEntry = Node | RefusedNode;

/** What is wrong with the values of a node, if anything. */
export function nodeFault(node: Node): Fault {
  return (
    countedFault(node) ??
    typeFault(node) ??
    ownerFault(node) ??
    timeFault(node.mtime) ??
    timeFault(node.ctime) ??
    timeFault(node.birthTime) ??
    contentOfNodeFault(node) ??
    attributesOfNodeFault(node) ??
    unknownFault(node.unknown)
  );
}

/** What is wrong with the fields that place and count an entry, refused or not. */
export function countedFault({ name, size, directory }: DirectoryEntry): Fault {
  if (size !== undefined && size > FILE_SIZE_MAX) return 'size too large';
  return nameFault(name) ?? (directory && directoryFault(directory));
}

export function nameFault(name: Uint8Array): Fault {
  const { length } = name;
  if (length < 1 || length > NAME_SIZE_MAX) return 'name length';
  for (let i = 0; i < length; i++) {
    if (name[i] === 0 || name[i] === slash) return 'name holds a zero byte or a slash';
  }
  const isDots = length <= 2 && name[0] === dot && name[length - 1] === dot;
  return isDots ? 'name is . or ..' : undefined;
}

function directoryFault({ height, entries }: DirectoryRoot): Fault {
  if (height > PAGE_HEIGHT_MAX) return 'page height too large';
  return entries < 1n ? 'directory without entries' : undefined;
}

/** Which fields a type must have and which it must not. */
function typeFault(node: Node): Fault {
  const { type } = node;
  const isFile = type === 'f';
  if ((node.size !== undefined) !== isFile) return 'size on the wrong type or missing';
  if ((node.content !== undefined) !== isFile) return 'content on the wrong type or missing';
  if ((node.target !== undefined) !== (type === 'l')) return 'target on the wrong type or missing';
  const isDevice = type === 'c' || type === 'b';
  if ((node.device !== undefined) !== isDevice) return 'device on the wrong type or missing';
  if (node.directory !== undefined && type !== 'd') return 'directory on the wrong type';
  if (node.linkGroup !== undefined && type === 'd') return 'link group on a directory';
  return undefined;
}

function ownerFault({ mode, ownerNames }: Node): Fault {
  if (mode !== undefined && mode > MODE_MAX) return 'mode too large';
  if (ownerNames === undefined) return undefined;
  const [user, group] = [ownerNames.user.length, ownerNames.group.length];
  if (user + group === 0) return 'user and group name both empty';
  return Math.max(user, group) > OWNER_NAME_SIZE_MAX ? 'user or group name too long' : undefined;
}

function timeFault(time: Time | undefined): Fault {
  return time !== undefined && time.nanoseconds > nanosecondsMax ? 'nanoseconds' : undefined;
}

function contentOfNodeFault({ size, content, target }: Node): Fault {
  if (target !== undefined && (target.length < 1 || target.length > TARGET_SIZE_MAX)) {
    return 'symlink target length';
  }
  if (content === undefined) return undefined;
  if (contentLength(content) !== size) return 'content length is not the size';
  return contentFault(content);
}

function attributesOfNodeFault({ attributes, attributeBlob }: Node): Fault {
  if (attributes === undefined) return undefined;
  if (attributeBlob !== undefined) return 'attributes in two places';
  const size = attributesSize(attributes);
  if (size < 1 || size > INLINE_ATTRIBUTES_SIZE_MAX) return 'inline attributes length';
  return attributesFault(attributes);
}

function unknownFault(unknown: readonly UnknownField[] | undefined): Fault {
  if (unknown === undefined) return undefined;
  let last = UNKNOWN_TAG_MIN - 1;
  for (const [tag] of unknown) {
    if (tag <= last || tag >= CRITICAL_TAG_MIN) return 'unknown tags';
    last = tag;
  }
  return undefined;
}
