/**
 * The chain of records: each names the record of the same writer before it and the newest known of
 * all others, so that a client with memory notices when a repository was set back to an earlier
 * state.
 */
import type { Tomb } from '../record/collector-records.ts';
import type { ChainFields, SeenHead } from '../record/record.ts';
import { SEEN_COUNT_MAX } from '../record/record.ts';
import { toHex } from '../util/bytes.ts';
import { chainedRecords, generationName } from './collector-state.ts';
import { PROGRAM, type RepositoryCore } from './repository.ts';
import type { View } from './view.ts';
import type { WriterState } from './writer-state.ts';

const ACTIVE_NS = 90n * 86_400n * 1_000_000_000n;

/**
 * Chain fields of the next record of this writer.
 * @param isMerging The record takes the place of others: then it has seen every writer that the view
 * knows of, since some may be known by those others alone.
 */
export function nextChain(
  core: RepositoryCore,
  { state, view, isMerging = false }: { state: WriterState; view: View; isMerging?: boolean },
): ChainFields {
  const known = isMerging ? allHeadsOf(view) : headsOf(view, core.clock.nowNs() - ACTIVE_NS);
  const seen = known.filter(({ writerId }) => writerId !== state.writerId);
  return {
    repositoryId: toHex(core.id),
    writerId: state.writerId,
    writerSeq: state.writerSeq + 1,
    previous: state.previous,
    seen: seen.slice(-SEEN_COUNT_MAX),
    gcGeneration: view.collector.generation,
    configNumber: core.config.number,
    program: PROGRAM,
  };
}

/**
 * Names of records that the next one says to have seen and that this client has not met before. They must
 * be durable before it is (`rely-on.ts`): else a power cut could take what others go on to name.
 */
export function newlySeen({ state, view }: { state: WriterState; view: View }): string[] {
  const met = new Set(state.heads.map(({ hash }) => hash));
  const wanted = new Set(
    headsOf(view)
      .map(({ hash }) => hash)
      .filter((hash) => !met.has(hash)),
  );
  const { pendingMark, sweeps, merged } = view.collector;
  const marks = pendingMark === undefined ? [] : [pendingMark];
  const named = [
    ...view.snapshots.map(({ id, hash }) => ({ hash, name: `snapshots/${id}` })),
    ...view.tombs.map(({ hash }) => ({ hash, name: `tombs/${hash}` })),
    ...marks.map(({ hash, generation }) => ({ hash, name: generationName(generation, 'mark') })),
    ...sweeps.map(({ hash, generation }) => ({ hash, name: generationName(generation, 'sweep') })),
    ...merged.map(({ hash, generation }) => ({ hash, name: generationName(generation, 'merged') })),
  ];
  return named.filter(({ hash }) => wanted.has(hash)).map(({ name }) => name);
}

/** The state after a record of ours was committed. */
export function rememberHeads(after: {
  state: WriterState;
  view: View;
  chain: ChainFields;
  head: string;
}): WriterState {
  const { state, view, chain, head } = after;
  const own: SeenHead = { writerId: chain.writerId, seq: chain.writerSeq, hash: head };
  return {
    writerId: state.writerId,
    writerSeq: chain.writerSeq,
    previous: head,
    heads: newestByWriter([...state.heads, ...headsOf(view), own]),
    gcGeneration: Math.max(state.gcGeneration, chain.gcGeneration),
    configNumber: Math.max(state.configNumber, chain.configNumber),
  };
}

/**
 * What shows that the repository was set back since this client last wrote, if anything does. A
 * remembered record must be there, or be named by another one, or its writer must have written a
 * later one. What cannot be read may be what is missed: it is reported as damage, and nothing is
 * concluded here.
 */
export function rollbackNotice(
  { config }: RepositoryCore,
  { state, view }: { state: WriterState; view: View },
): string | undefined {
  if (config.number < state.configNumber) {
    return `The repository went back: config update ${state.configNumber} is gone`;
  }
  if (view.damaged.length > 0) return undefined;
  if (view.collector.generation < state.gcGeneration) {
    return `The repository went back: collection ${state.gcGeneration} is gone`;
  }
  if (!namesAllHeads(view)) return undefined;
  const known = namedRecords(view);
  const lost = state.heads.find(
    ({ writerId, seq, hash }) =>
      !known.hashes.has(hash) && (known.newest.get(writerId) ?? 0) <= seq,
  );
  if (lost === undefined) return undefined;
  const record = `record ${lost.seq} of writer ${lost.writerId.slice(0, 8)}`;
  return `The repository went back: ${record}, which this client has seen, is gone`;
}

/**
 * The newest record that others know of a writer, if it is gone although nothing has taken it away: no
 * tomb names it, no merged record has seen it, which may stand for it, and there is no later one of that
 * writer. Undefined when there is none such, or no telling.
 */
export function missingHead(view: View): SeenHead | undefined {
  if (!namesAllHeads(view)) return undefined;
  const known = knownRecords(view);
  for (const { seen } of mergingChains(view)) {
    for (const { writerId, seq } of seen) {
      known.newest.set(writerId, Math.max(known.newest.get(writerId) ?? 0, seq));
    }
  }
  return chainsOf(view)
    .flatMap(({ seen }) => seen)
    .find(
      ({ writerId, seq, hash }) =>
        !known.hashes.has(hash) && (known.newest.get(writerId) ?? 0) < seq,
    );
}

function chainsOf(view: View): ChainFields[] {
  return [
    ...view.snapshots.map(({ manifest }) => manifest.chain),
    ...view.tombs.map(({ tomb }) => tomb.chain),
    ...chainedRecords(view.collector).records.map(({ chain }) => chain),
  ];
}

/** Whether merged records name all heads: what one could not name may have gone with what it replaced. */
function namesAllHeads(view: View): boolean {
  return mergingChains(view).every(({ seen }) => seen.length < SEEN_COUNT_MAX);
}

function mergingChains({ tombs, collector }: View): ChainFields[] {
  const merged = tombs.filter(({ tomb }) => tomb.merges.length > 0);
  return [...merged.map(({ tomb }) => tomb.chain), ...collector.merged.map(({ chain }) => chain)];
}

/** Records that are there, and those of which a tomb or sweep says why they are not. */
function knownRecords(view: View): NamedRecords {
  const hashes = new Set<string>();
  const newest = new Map<string, number>();
  const forgotten = view.tombs.flatMap(({ tomb }) => forgottenRecords(tomb));
  for (const { writerId, seq, hash } of [...recordsOf(view), ...forgotten]) {
    hashes.add(hash);
    newest.set(writerId, Math.max(newest.get(writerId) ?? 0, seq));
  }
  for (const { tomb } of view.tombs) for (const merged of tomb.merges) hashes.add(merged);
  for (const mark of chainedRecords(view.collector).named) hashes.add(mark);
  return { hashes, newest };
}

interface NamedRecords {
  /** Of all records that are there, or named by one that is. */
  hashes: Set<string>;
  /** The highest number of a record of each writer among them. */
  newest: Map<string, number>;
}

function namedRecords(view: View): NamedRecords {
  const hashes = new Set<string>();
  const newest = new Map<string, number>();
  const add = ({ writerId, seq, hash }: SeenHead): void => {
    hashes.add(hash);
    newest.set(writerId, Math.max(newest.get(writerId) ?? 0, seq));
  };
  const addRecord = ({ hash, chain }: { hash: string; chain: ChainFields }): void => {
    add({ writerId: chain.writerId, seq: chain.writerSeq, hash });
    hashes.add(chain.previous);
    for (const head of chain.seen) add(head);
  };
  for (const { hash, manifest } of view.snapshots) addRecord({ hash, chain: manifest.chain });
  for (const { hash, tomb } of view.tombs) {
    addRecord({ hash, chain: tomb.chain });
    for (const head of forgottenRecords(tomb)) add(head);
    for (const merged of tomb.merges) hashes.add(merged);
  }
  const collector = chainedRecords(view.collector);
  for (const record of collector.records) addRecord(record);
  for (const hash of collector.named) hashes.add(hash);
  return { hashes, newest };
}

/**
 * Whether the repository holds a record of this writer that its state does not know: the state went
 * back, was copied to another machine, or a run was stopped between its commit and its state. The
 * next record would repeat a number, so the client goes on as a new writer.
 */
export function isOvertaken(state: WriterState, view: View): boolean {
  const forgotten = view.tombs.flatMap(({ tomb }) => forgottenRecords(tomb));
  return [...recordsOf(view), ...forgotten].some(
    ({ writerId, seq, hash }) =>
      writerId === state.writerId &&
      (seq > state.writerSeq || (seq === state.writerSeq && hash !== state.previous)),
  );
}

function forgottenRecords({ forgotten }: Tomb): SeenHead[] {
  return forgotten.map(({ writerId, writerSeq, hash }) => ({ writerId, seq: writerSeq, hash }));
}

/** Of writers that only others name, too. */
function allHeadsOf(view: View): SeenHead[] {
  const forgotten = view.tombs.flatMap(({ tomb }) => forgottenRecords(tomb));
  const named = chainsOf(view).flatMap(({ seen }) => seen);
  return newestByWriter([...forgotten, ...named, ...recordsOf(view)]);
}

function headsOf(view: View, activeSinceNs?: bigint): SeenHead[] {
  return newestByWriter(recordsOf(view, activeSinceNs));
}

/** Live snapshots, tombs and collector records as records of their writers. */
function recordsOf(view: View, activeSinceNs?: bigint): SeenHead[] {
  const records: SeenHead[] = [];
  for (const { hash, manifest } of view.snapshots) {
    if (activeSinceNs !== undefined && manifest.startedNs < activeSinceNs) continue;
    records.push({ writerId: manifest.chain.writerId, seq: manifest.chain.writerSeq, hash });
  }
  for (const { hash, tomb } of view.tombs) {
    records.push({ writerId: tomb.chain.writerId, seq: tomb.chain.writerSeq, hash });
  }
  for (const { hash, chain } of chainedRecords(view.collector).records) {
    records.push({ writerId: chain.writerId, seq: chain.writerSeq, hash });
  }
  return records;
}

function newestByWriter(heads: readonly SeenHead[]): SeenHead[] {
  const newest = new Map<string, SeenHead>();
  for (const head of heads) {
    if (head.seq > (newest.get(head.writerId)?.seq ?? 0)) newest.set(head.writerId, head);
  }
  return [...newest.values()].sort((a, b) => (a.writerId < b.writerId ? -1 : 1));
}
