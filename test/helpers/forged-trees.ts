/**
 * Snapshots of trees whose pages and chunk lists are as small as the format allows, so that a handful
 * of files has inner pages and lists of lists, and many parts are shared. Chunks come from a pool
 * whose blobs lie in the repository already, whole or as deltas.
 */
import { BLOB_TYPE } from '../../src/blob/blob-type.ts';
import type { BlobId } from '../../src/id.ts';
import { beginSession } from '../../src/repository/begin-session.ts';
import type { Repository } from '../../src/repository/repository.ts';
import { ListWriter } from '../../src/tree/chunk-list.ts';
import type { Content } from '../../src/tree/content.ts';
import type { DirectoryRoot, Node } from '../../src/tree/node.ts';
import { countEntry, PageWriter, type Totals } from '../../src/tree/page.ts';
import { b } from './raw-path.ts';

export interface ForgedFile {
  readonly type: 'f';
  readonly name: string;
  /** Positions in the pool. */
  readonly chunks: readonly number[];
  readonly attributes?: number | undefined;
}

export interface ForgedDirectory {
  readonly type: 'd';
  readonly name: string;
  readonly entries: readonly ForgedEntry[];
  readonly attributes?: number | undefined;
}

export type ForgedEntry = ForgedFile | ForgedDirectory;

export interface Pool {
  readonly ids: readonly BlobId[];
  readonly sizes: readonly number[];
}

type Write = (type: number, plaintext: Uint8Array) => Promise<BlobId>;

/** Pages hold two entries, lists two chunks. */
const width = 2;

/** Commits a snapshot of these entries, whose names must differ; gives its id. */
export async function forgeSnapshot(
  repository: Repository,
  pool: Pool,
  entries: readonly ForgedEntry[],
): Promise<string> {
  const session = await beginSession(repository, { purpose: 'snapshot' });
  const write: Write = (type, plaintext) => session.write(type as 1, plaintext);
  const root = (await writeDirectory(write, pool, entries)) ?? (await writeEmpty(write));
  const text = b('forged');
  const { id } = await session.commit({
    ...{ root, startedNs: 0n, endedNs: 1n, timeZone: 'UTC', host: text, user: text, source: text },
    ...{ roots: [text], tags: [], parents: [], stats: {}, excludeHash: '' },
    ...{ errorCount: 0, errorSample: [], isPartial: false },
  });
  return id;
}

async function writeEmpty(write: Write): Promise<DirectoryRoot> {
  const id = await write(BLOB_TYPE.treePage, new PageWriter('leaf').take());
  return { id, height: 0, entries: 0n, bytes: 0n };
}

async function writeDirectory(
  write: Write,
  pool: Pool,
  entries: readonly ForgedEntry[],
): Promise<DirectoryRoot | undefined> {
  const nodes: Node[] = [];
  for (const entry of [...entries].sort((x, y) => (x.name < y.name ? -1 : 1))) {
    nodes.push(await makeNode(write, pool, entry));
  }
  let level: (Totals & { id: BlobId; firstName: Uint8Array })[] = [];
  for (const part of inParts(nodes)) {
    const page = new PageWriter('leaf');
    for (const node of part) page.addNode(node);
    const totals = sum(part.map(countEntry));
    const id = await write(BLOB_TYPE.treePage, page.take());
    level.push({ ...totals, id, firstName: (part[0] as Node).name });
  }
  let height = 0;
  for (; level.length > 1; height++) {
    const above: typeof level = [];
    for (const part of inParts(level)) {
      const page = new PageWriter('inner');
      for (const child of part) page.addChild(child);
      const id = await write(BLOB_TYPE.treePage, page.take());
      above.push({ ...sum(part), id, firstName: (part[0] as (typeof level)[0]).firstName });
    }
    level = above;
  }
  const [top] = level;
  return top && { id: top.id, height, entries: top.entries, bytes: top.bytes };
}

async function makeNode(write: Write, pool: Pool, entry: ForgedEntry): Promise<Node> {
  const node: Node = { name: b(entry.name), type: entry.type };
  if (entry.attributes !== undefined) {
    const attributes = new Uint8Array(5000).fill(entry.attributes);
    node.attributeBlob = await write(BLOB_TYPE.attributes, attributes);
  }
  if (entry.type === 'd') {
    node.directory = await writeDirectory(write, pool, entry.entries);
    return node;
  }
  node.content = await writeContent(write, pool, entry.chunks);
  node.size = node.content.kind === 'empty' ? 0n : node.content.length;
  return node;
}

async function writeContent(write: Write, pool: Pool, chunks: readonly number[]): Promise<Content> {
  let level = chunks.map((i) => ({
    id: pool.ids[i] as BlobId,
    length: BigInt(pool.sizes[i] as number),
  }));
  const [first] = level;
  if (first === undefined) return { kind: 'empty' };
  if (level.length === 1) return { kind: 'blob', ...first };
  let height = -1;
  do {
    height += 1;
    const above: typeof level = [];
    for (const part of inParts(level)) {
      const list = new ListWriter(height);
      for (const child of part) list.add(child);
      const length = part.reduce((total, child) => total + child.length, 0n);
      above.push({ id: await write(BLOB_TYPE.chunkList, list.take()), length });
    }
    level = above;
  } while (level.length > 1);
  const [top] = level as [(typeof level)[0]];
  return { kind: 'list', ...top, height, chunks: BigInt(chunks.length) };
}

function inParts<T>(all: readonly T[]): T[][] {
  const count = Math.ceil(all.length / width);
  return Array.from({ length: count }, (_, i) => all.slice(width * i, width * (i + 1)));
}

function sum(parts: readonly Totals[]): Totals {
  return {
    entries: parts.reduce((total, { entries }) => total + entries, 0n),
    bytes: parts.reduce((total, { bytes }) => total + bytes, 0n),
  };
}
