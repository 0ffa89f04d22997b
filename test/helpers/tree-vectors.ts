/** `tree-vectors.json` with its types, and its way of writing nodes in JSON turned into ours. */
import type { BlobId } from '../../src/id.ts';
import type { ChunkList } from '../../src/tree/chunk-list.ts';
import type { Content, ListContent } from '../../src/tree/content.ts';
import type { DirectoryEntry, DirectoryRoot, NodeType, Time } from '../../src/tree/node.ts';
import type { ChildPage } from '../../src/tree/page.ts';
import { expandHex } from './tree-blobs.ts';
import { readVectors } from './vectors.ts';

type Hex = string;
type Decimal = string;
type Pair<T> = [T, T];

export interface JsonContent {
  kind: 'empty' | 'blob' | 'list';
  id: Hex;
  height: number;
  length: Decimal;
  chunks: Decimal;
}

export interface JsonRoot {
  id: Hex;
  height: number;
  entries: Decimal;
  bytes: Decimal;
}

export interface JsonEntry {
  name: Hex;
  type?: NodeType;
  refused_tag?: number;
  mode?: number;
  owner?: Pair<number>;
  owner_names?: Pair<Hex>;
  size?: Decimal;
  mtime?: [Decimal, number];
  ctime?: [Decimal, number];
  birth_time?: [Decimal, number];
  inode?: Decimal;
  link_group?: Hex;
  content?: JsonContent;
  directory?: JsonRoot;
  target?: Hex;
  device?: Pair<number>;
  attributes?: Pair<Hex>[];
  attribute_blob?: Hex;
  flags?: number;
  unknown?: [number, Hex][];
}

export interface JsonChildPage {
  name: Hex;
  id: Hex;
  entries: Decimal;
  bytes: Decimal;
}

interface Totalled {
  entries: Decimal;
  bytes: Decimal;
}

export interface PageDescription extends Totalled {
  first: Hex;
  last: Hex;
  count: number;
  raw_len: number;
  id: Hex;
}

export interface ListDescription {
  count: number;
  length: Decimal;
  raw_len: number;
  id: Hex;
}

export interface Refused {
  case: string;
  bytes: Hex;
}

interface JsonList {
  height: number;
  children: { id: Hex; length: Decimal }[];
  length: Decimal;
}

export interface TreeVectors {
  varints: { value: Decimal; bytes: Hex }[];
  nodes: (Totalled & { case: string; node: Hex; decoded: JsonEntry })[];
  attribute_blob: { bytes: Hex; id: Hex; attributes: Pair<Hex>[] };
  pages: (Totalled & {
    case: string;
    page: Hex;
    id: Hex;
    kind: 0 | 1;
    decoded: (JsonEntry & JsonChildPage)[];
  })[];
  trees: { case: string; blobs: Record<Hex, Hex>; root: JsonRoot }[];
  page_cutting: {
    directory: { levels: PageDescription[][]; root: JsonRoot };
    mode_of_entry_1500_is_0600: { root: JsonRoot; new_pages: Hex[][] };
    entry_1500_removed: { root: JsonRoot; new_pages: Hex[][] };
    size_limit: { levels: PageDescription[][] };
    inner: { levels: PageDescription[][] };
  };
  lists: (JsonList & { case: string; list: Hex; id: Hex })[];
  list_cutting: { levels: ListDescription[][]; content: JsonContent };
  refused: {
    varint: Refused[];
    node: Refused[];
    attribute_blob: Refused[];
    page: Refused[];
    list: Refused[];
    tree: { case: string; blobs: Record<Hex, Hex>; root: JsonRoot }[];
    chunk_tree: { case: string; blobs: Record<Hex, Hex>; content: JsonContent }[];
  };
  one_byte_changes: {
    what: 'page' | 'list';
    bytes: Hex;
    tried: number;
    accepted: number;
    accepted_bits: Record<Hex, Hex>;
  }[];
}

export const treeVectors: TreeVectors = readVectors('tree-vectors.json') as TreeVectors;

export function idOf(text: Hex): BlobId {
  return expandHex(text) as BlobId;
}

export function contentOf(json: JsonContent): Content {
  if (json.kind === 'empty') return { kind: 'empty' };
  if (json.kind === 'list') return listContentOf(json);
  return { kind: 'blob', id: idOf(json.id), length: BigInt(json.length) };
}

/** The vectors of whole lists leave the kind out. */
export function listContentOf({ id, height, length, chunks }: JsonContent): ListContent {
  return {
    kind: 'list',
    id: idOf(id),
    height,
    length: BigInt(length),
    chunks: BigInt(chunks),
  };
}

export function rootOf({ id, height, entries, bytes }: JsonRoot): DirectoryRoot {
  return { id: idOf(id), height, entries: BigInt(entries), bytes: BigInt(bytes) };
}

export function childPageOf({ name, id, entries, bytes }: JsonChildPage): ChildPage {
  return {
    firstName: expandHex(name),
    id: idOf(id),
    entries: BigInt(entries),
    bytes: BigInt(bytes),
  };
}

export function chunkListOf({ height, children, length }: JsonList): ChunkList {
  return {
    height,
    children: children.map((child) => ({
      id: /^0+$/.test(child.id) ? undefined : idOf(child.id),
      length: BigInt(child.length),
    })),
    length: BigInt(length),
  };
}

/** Our value of an entry, without the keys that it does not have. */
export function entryOf(json: JsonEntry): DirectoryEntry {
  const entry = {
    name: expandHex(json.name),
    type: json.type ?? ('refused' as const),
    tag: json.refused_tag,
    mode: json.mode,
    owner: json.owner && { uid: json.owner[0], gid: json.owner[1] },
    ownerNames: json.owner_names && {
      user: expandHex(json.owner_names[0]),
      group: expandHex(json.owner_names[1]),
    },
    size: json.size === undefined ? undefined : BigInt(json.size),
    mtime: timeOf(json.mtime),
    ctime: timeOf(json.ctime),
    birthTime: timeOf(json.birth_time),
    inode: json.inode === undefined ? undefined : BigInt(json.inode),
    linkGroup: json.link_group === undefined ? undefined : expandHex(json.link_group),
    content: json.content && contentOf(json.content),
    directory: json.directory && rootOf(json.directory),
    target: json.target === undefined ? undefined : expandHex(json.target),
    device: json.device && { major: json.device[0], minor: json.device[1] },
    attributes: json.attributes?.map(attributeOf),
    attributeBlob: json.attribute_blob === undefined ? undefined : idOf(json.attribute_blob),
    flags: json.flags,
    unknown: json.unknown?.map(([tag, value]) => [tag, expandHex(value)]),
  };
  const present = Object.entries(entry).filter(([, value]) => value !== undefined);
  return Object.fromEntries(present) as unknown as DirectoryEntry;
}

export function attributeOf([name, value]: Pair<Hex>): Pair<Uint8Array> {
  return [expandHex(name), expandHex(value)];
}

function timeOf(json: [Decimal, number] | undefined): Time | undefined {
  return json && { seconds: BigInt(json[0]), nanoseconds: json[1] };
}
