/**
 * Step 3 of a collection: what is live in packs that are to go is written again, by a session of its
 * own. Every blob is decoded and compared with its id on the way, and read back from the storage
 * afterwards, since its old copy will be deleted.
 *
 * Rule NO NEW EDGE: a delta stays a delta on the same base, or becomes whole; a whole copy stays whole.
 */
import { BLOB_TYPE } from '../../blob/blob-type.ts';
import { CorruptionError, VarveError } from '../../errors.ts';
import { decodeWholeFrame } from '../../frame/frame-codec.ts';
import { FRAME_KIND, type FrameRecord } from '../../frame/frame-record.ts';
import type { PackInfo } from '../../index/pack-states.ts';
import type { BlobEntry, FrameEntry } from '../../pack/directory.ts';
import { encodedDelta } from '../../pack/pack-reader.ts';
import { FrameSource } from '../../repository/pack-access.ts';
import type { ReadAccess } from '../../repository/read-access.ts';
import type { Repository } from '../../repository/repository.ts';
import type { Session } from '../../repository/session.ts';
import { Malformed } from '../../util/byte-reader.ts';
import { equalBytes } from '../../util/bytes.ts';
import { release } from '../../util/release.ts';
import type { Turns } from '../../util/turns.ts';
import { readPacks } from '../read-packs.ts';
import type { LiveSet } from './live-set.ts';
import type { PlannedPack } from './plan.ts';

/** A frame with less plaintext is taken apart, so that its blobs are compressed together with others. */
const movedFrameSizeMin = 2 ** 19;

export interface RepackOptions {
  repository: Repository;
  session: Session;
  /** Over the index of the session. */
  access: ReadAccess;
  live: LiveSet;
  turns: Turns;
  signal: AbortSignal | undefined;
  /** Asked before each pack: true ends the repack with those before it. */
  isTimeUp: () => boolean;
  /** Told after each pack how many bytes of it were live. */
  onPack: (size: number) => void;
}

/**
 * Writes the live blobs of these packs again; they are durable, indexed and verified when this
 * returns, and the session can be closed. Gives the packs that it came to.
 * @throws CorruptionError when one has no copy that is good: nothing may be deleted then.
 */
export async function repackPacks(
  packs: readonly PlannedPack[],
  options: RepackOptions,
): Promise<PlannedPack[]> {
  const { access, session, isTimeUp, onPack } = options;
  const { index } = access.sync;
  const repacked: PlannedPack[] = [];
  const before = new Set([...index.packs()].map(({ packNo }) => packNo));
  const repacker = new Repacker(options);
  for (const planned of packs) {
    if (isTimeUp()) break;
    await repacker.repack(planned.pack);
    await session.tick();
    repacked.push(planned);
    onPack(planned.liveSize);
  }
  await session.settle();
  await readBack(
    [...index.packs()].filter(({ packNo }) => !before.has(packNo)),
    options,
  );
  return repacked;
}

/** As `check --read-data` would. */
async function readBack(
  packs: readonly PackInfo[],
  { repository, access, signal }: RepackOptions,
): Promise<void> {
  const results = await readPacks({ repository, access, packs, signal, onRead: () => {} });
  for (const { findings } of results) {
    const [finding] = findings;
    if (finding === undefined) continue;
    const { object, message } = finding;
    const expected = 'what was just written; nothing was deleted';
    throw new CorruptionError({ kind: 'new pack', which: object, found: message, expected });
  }
}

class Repacker {
  readonly #options: RepackOptions;
  readonly #source: FrameSource;
  #raw = new Uint8Array(0);

  constructor(options: RepackOptions) {
    this.#options = options;
    this.#source = new FrameSource(options.repository);
  }

  async repack({ packNo }: PackInfo): Promise<void> {
    const { live, access, turns } = this.#options;
    const opened = access.sync.index.openDirectory(packNo);
    if (opened === undefined) return;
    const { pack, blobs } = opened;
    let wanted: BlobEntry[] = [];
    const endFrame = async (): Promise<void> => {
      const frame = blobs.frames[wanted[0]?.frame ?? -1];
      if (frame !== undefined) await this.#repackFrame({ pack, frame, wanted });
      if (turns.isOver) await turns.next();
      wanted = [];
    };
    for (const blob of live.blobsIn(packNo)) {
      if (blob.frame !== wanted[0]?.frame) await endFrame();
      wanted.push(blob);
    }
    await endFrame();
  }

  async #repackFrame(held: HeldFrame): Promise<void> {
    const { signal } = this.#options;
    let content: Uint8Array;
    try {
      content = await this.#source.read(held.pack, held.frame, { signal });
    } catch (error) {
      if (!(error instanceof CorruptionError)) throw error;
      for (const blob of held.wanted) await this.#writeOtherCopy(blob);
      return;
    }
    if (held.frame.kind === FRAME_KIND.delta) await this.#repackDeltas(held, content);
    else await this.#repackWhole(held, content);
    release(content);
  }

  async #repackWhole({ frame, wanted }: HeldFrame, content: Uint8Array): Promise<void> {
    const { session } = this.#options;
    const raw = this.#decode(frame, content);
    const bad = raw === undefined ? wanted : wanted.filter((blob) => !this.#isGood(blob, raw));
    const isFlat = frame.kind === FRAME_KIND.stored;
    const isMoved = frame.rawSize >= movedFrameSizeMin && wanted.length === frame.blobCount;
    if (raw !== undefined && bad.length === 0 && isMoved) {
      await session.moveFrame({ record: recordOf(frame), content, blobs: wanted.map(plain) });
      return;
    }
    for (const blob of wanted) {
      if (raw === undefined || bad.includes(blob)) await this.#writeOtherCopy(blob);
      else await session.rewrite({ ...plain(blob), plaintext: plaintextOf(blob, raw), isFlat });
    }
  }

  async #repackDeltas({ wanted }: HeldFrame, content: Uint8Array): Promise<void> {
    const { repository, session, access } = this.#options;
    const { codec, identify } = repository;
    for (const blob of wanted) {
      const { delta, rawSize, type, id } = blob;
      if (delta === undefined) continue;
      const encoded = encodedDelta(blob, content);
      let plaintext: Uint8Array;
      try {
        const base = await access.read(delta.base, type);
        if (this.#raw.length < rawSize) this.#raw = new Uint8Array(rawSize);
        plaintext = this.#raw.subarray(0, rawSize);
        codec.decompressInto(plaintext, encoded, base);
      } catch (error) {
        if (!(error instanceof VarveError || error instanceof Malformed)) throw error;
        await this.#writeOtherCopy(blob);
        continue;
      }
      if (!equalBytes(identify(type, plaintext), id)) {
        await this.#writeOtherCopy(blob);
        continue;
      }
      const digest = identify(BLOB_TYPE.data, encoded);
      const { base, depth, encodedSize } = delta;
      const again = { delta: { base, depth, encodedSize, digest }, encoded };
      await session.rewrite({ ...plain(blob), plaintext, delta: again });
    }
  }

  /** The copy that was to be written again is damaged: any other one will do, and is stored whole. */
  async #writeOtherCopy(blob: BlobEntry): Promise<void> {
    const { access, session } = this.#options;
    const plaintext = await access.read(blob.id, blob.type);
    await session.rewrite({ ...plain(blob), plaintext });
  }

  /** Undefined when it does not decode. */
  #decode(frame: FrameEntry, content: Uint8Array): Uint8Array | undefined {
    const { rawSize } = frame;
    if (this.#raw.length < rawSize) this.#raw = new Uint8Array(rawSize);
    const raw = this.#raw.subarray(0, rawSize);
    try {
      return decodeWholeFrame(this.#options.repository.codec, frame, content, raw);
    } catch (error) {
      if (error instanceof Malformed) return undefined;
      throw error;
    }
  }

  #isGood(blob: BlobEntry, raw: Uint8Array): boolean {
    return equalBytes(
      this.#options.repository.identify(blob.type, plaintextOf(blob, raw)),
      blob.id,
    );
  }
}

interface HeldFrame {
  pack: Parameters<FrameSource['read']>[0];
  frame: FrameEntry;
  /** Its live blobs, in order. */
  wanted: readonly BlobEntry[];
}

function plaintextOf({ rawOffset, rawSize }: BlobEntry, raw: Uint8Array): Uint8Array {
  return raw.subarray(rawOffset, rawOffset + rawSize);
}

/** What is kept of a blob wherever it goes; its delta is added by whoever keeps it one. */
function plain({ id, type, rawSize, features }: BlobEntry): {
  id: BlobEntry['id'];
  type: BlobEntry['type'];
  rawSize: number;
  features?: Uint8Array;
} {
  return { id, type, rawSize, ...(features !== undefined && { features }) };
}

function recordOf({
  storedSize,
  rawSize,
  blobCount,
  kind,
  class: frameClass,
}: FrameEntry): FrameRecord {
  return { storedSize, rawSize, blobCount, kind, class: frameClass };
}
