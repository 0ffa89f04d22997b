/** Snapshots that no walk would make, committed as any other. */
import { BLOB_TYPE } from '../../src/blob/blob-type.ts';
import { beginSession } from '../../src/repository/begin-session.ts';
import type { Repository } from '../../src/repository/repository.ts';
import type { Session } from '../../src/repository/session.ts';
import { loadView } from '../../src/repository/view.ts';
import type { Snapshot } from '../../src/snapshot/selection.ts';
import type { DirectoryRoot, Node } from '../../src/tree/node.ts';
import { countEntry, PageWriter } from '../../src/tree/page.ts';
import { concatBytes, encodeU32 } from '../../src/util/bytes.ts';
import { b } from './raw-path.ts';

/** Commits a tree that no walk would make. */
export async function forge(
  repository: Repository,
  fill: (session: Session) => Promise<DirectoryRoot>,
): Promise<Snapshot> {
  const session = await beginSession(repository, { purpose: 'snapshot' });
  const root = await fill(session);
  const text = b('forged');
  const { id } = await session.commit({
    ...{ root, startedNs: 0n, endedNs: 1n, timeZone: 'UTC', host: text, user: text, source: text },
    ...{ roots: [text], tags: [], parents: [], stats: {}, excludeHash: '' },
    ...{ errorCount: 0, errorSample: [], isPartial: false },
  });
  const { snapshots } = await loadView(repository, 'read');
  return snapshots.find((one) => one.id === id) as Snapshot;
}

/** A directory of one page. @param nodes by ascending name. */
export async function writePage(session: Session, ...nodes: Node[]): Promise<DirectoryRoot> {
  const writer = new PageWriter('leaf');
  let [entries, bytes] = [0n, 0n];
  for (const node of nodes) {
    writer.addNode(node);
    const counted = countEntry(node);
    entries += counted.entries;
    bytes += counted.bytes;
  }
  const id = await session.write(BLOB_TYPE.treePage, writer.take());
  return { id, height: 0, entries, bytes };
}

/** A leaf with one node that has a critical field of a later version. */
export function refusedPage(): Uint8Array {
  const name = b('future');
  const node = concatBytes(Uint8Array.of(1, name.length), name, Uint8Array.of(2, 1, 0x70, 0x80, 0));
  return concatBytes(Uint8Array.of(0, 1, 0, 0), encodeU32(1), Uint8Array.of(node.length), node);
}
