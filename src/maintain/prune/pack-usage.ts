/** What of each pack is live: how many blobs, and how many bytes of its frames. */
import type { PackInfo } from '../../index/pack-states.ts';
import type { FrameEntry } from '../../pack/directory.ts';
import type { LiveSet } from './live-set.ts';

export interface PackUsage {
  pack: PackInfo;
  /** Bytes of frames, without directory and padding. */
  frameSize: number;
  /** Share of them that live blobs take; a frame of several is shared out by size. */
  liveSize: number;
  liveCount: number;
}

/** The directory of one pack is in memory at a time. */
export function packUsage(live: LiveSet, pack: PackInfo): PackUsage {
  const { packNo } = pack;
  const usage: PackUsage = { pack, frameSize: 0, liveSize: 0, liveCount: 0 };
  const blobs = live.index.openDirectory(packNo)?.blobs;
  if (blobs === undefined) return usage;
  for (const { blobCount, storedSize } of blobs.frames) {
    if (blobCount > 0) usage.frameSize += storedSize;
  }
  for (const blob of live.blobsIn(packNo)) {
    const { storedSize, rawSize } = blobs.frames[blob.frame] as FrameEntry;
    usage.liveCount += 1;
    usage.liveSize += blob.delta?.encodedSize ?? (storedSize * blob.rawSize) / rawSize;
  }
  usage.liveSize = Math.min(usage.frameSize, Math.round(usage.liveSize));
  return usage;
}
