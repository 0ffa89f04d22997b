/**
 * What findings mean, once all of them are known: how bad it is that a pack or a copy of a blob is
 * damaged depends on whether anything needs it, and so does the command that heals it.
 *
 * A damaged copy is a note where no snapshot is hurt and every blob of which it was a good copy has
 * another one. While part of a tree cannot be read nobody knows what is below, and nothing is made
 * less of.
 */
import type { BlobType } from '../blob/blob-type.ts';
import type { BlobId } from '../id.ts';
import type { LocalIndex } from '../index/local-index.ts';
import type { PackInfo } from '../index/pack-states.ts';
import { isPresent, locate } from '../index/presence.ts';
import { DELTA_DEPTH_MAX } from '../pack/directory.ts';
import { packStorageName } from '../pack/pack-record.ts';
import { fromHex, toHex } from '../util/bytes.ts';
import type { Finding } from './finding.ts';

/** Blobs that a damaged pack or copy of one can hurt. */
const isLoss = ({ kind }: Finding): boolean => /^blob-(missing|unreadable)$/.test(kind);

export interface Judged {
  findings: readonly Finding[];
  index: LocalIndex;
  /** Whether some tree cannot be walked to its end, or a snapshot not at all. */
  isTreeLost: boolean;
  /**
   * Of damaged packs, by storage name: the blobs (hex) that cannot be read from them. Empty where all can
   * be read and yet none is to be relied on; then the index distrusts the pack.
   */
  badBlobs: ReadonlyMap<string, ReadonlySet<string>>;
  canRead: (id: BlobId, type: BlobType) => Promise<boolean>;
}

/** Sets `severity` and `heal` of findings about packs and copies. @throws StorageError */
export async function judgeFindings(judged: Judged): Promise<void> {
  const { findings, index, isTreeLost } = judged;
  const hurt = isTreeLost ? undefined : withBases(index, findings.filter(isLoss));
  const packs = new Map([...index.packs()].map((pack) => [packStorageName(pack), pack]));
  for (const finding of findings) {
    if (hurt === undefined) break;
    const { kind, object } = finding;
    if (kind === 'blob-damaged' && !hurt.has(object)) finding.severity = 'note';
    if (!isOfPack(finding)) continue;
    const pack = packs.get(object);
    // What is in a pack that no segment names and that cannot be read may be what is missing.
    const needed =
      pack === undefined ? hurt.size > 0 : await isNeeded(pack, finding, { ...judged, hurt });
    if (!needed) finding.severity = 'note';
  }
  for (const finding of findings) finding.heal ??= healOf(finding);
}

/** Whether anything that is good, or was lost, depends on a damaged pack. */
async function isNeeded(
  pack: PackInfo,
  { kind, object }: Finding,
  { index, hurt, badBlobs, canRead }: Judged & { hurt: ReadonlySet<string> },
): Promise<boolean> {
  const bad = badBlobs.get(object);
  const blobs = index.directory(pack.packNo)?.blobs ?? [];
  if (blobs.some(({ id }) => hurt.has(toHex(id)))) return true;
  // In packs that are there, blobs that were found good count.
  if (kind === 'pack-missing' || (kind === 'pack-damaged' && bad !== undefined && bad.size > 0)) {
    return false;
  }
  for (const { id, type } of blobs) {
    if (!isPresent(index, id) && (await canRead(id, type))) return true;
  }
  return false;
}

function isOfPack({ kind }: Finding): boolean {
  return /^pack-(missing|size-mismatch|directory-damaged|damaged)$/.test(kind);
}

/** Ids (hex) of the blobs that are lost, and of the bases of their deltas. */
function withBases(index: LocalIndex, losses: readonly Finding[]): Set<string> {
  const ids = new Set(losses.map(({ object }) => object));
  let last = [...ids];
  for (let depth = 0; depth < DELTA_DEPTH_MAX && last.length > 0; depth++) {
    const bases = last.flatMap((id) =>
      locate(index, fromHex(id) as BlobId).flatMap(({ blob }) =>
        blob.delta === undefined ? [] : [toHex(blob.delta.base)],
      ),
    );
    last = bases.filter((id) => !ids.has(id));
    for (const id of last) ids.add(id);
  }
  return ids;
}

function healOf({ kind, severity, object }: Finding): string | undefined {
  const isNote = severity === 'note';
  switch (kind) {
    case 'record-damaged':
      if (object.startsWith('snapshots/')) return 'varve snapshot PATH';
      return object.startsWith('index/') && !isNote ? 'varve repair index' : undefined;
    case 'pack-unindexed':
      return isNote ? undefined : 'varve repair index';
    case 'pack-directory-damaged':
      return isNote ? undefined : 'varve repair packs';
    case 'pack-missing':
    case 'pack-size-mismatch':
    case 'pack-damaged':
    case 'blob-damaged':
    case 'blob-missing':
    case 'blob-unreadable':
      return isNote ? undefined : 'varve repair packs --live DIR';
    case 'tree-malformed':
    case 'chunk-length-mismatch':
      return 'varve repair snapshots';
    default:
      return undefined;
  }
}
