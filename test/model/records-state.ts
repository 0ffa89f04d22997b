/** One state of the model of records (`records-model.ts`), and what follows from it alone. */
import { keptAmong, liveAmong, OUTCOME, openAmong, sessionsWith } from './outcomes.ts';
import type { Records } from './records.ts';
import type { Segments } from './segment-book.ts';

export const SESSION_NAMES: readonly ['S0', 'A', 'B'] = ['S0', 'A', 'B'];

/** What a session stores: nothing, D whole, D on X, or the pack that it adopts. */
export type Plan = '-' | 'D' | 'd' | { readonly adopts: number };

/** What a session does next. */
export const SESSION = {
  announce: 0,
  listRecords: 1,
  readRecords: 2,
  confirmRecords: 3,
  listSnapshots: 4,
  listTombs: 5,
  readTombs: 6,
  listSnapshotsLate: 7,
  listSegments: 8,
  decide: 9,
  storePack: 10,
  makeDurable: 11,
  storeSegment: 12,
  commit: 13,
  report: 14,
  withdraw: 15,
  over: 16,
  stopped: 17,
} as const;

export interface Session {
  readonly next: number;
  /** Packs dead in its view, and snapshots that the pending mark counted; -1 without a mark. */
  readonly dead: number;
  readonly counted: number;
  readonly plan: Plan;
  /** Listed: sweeps and marks, 2 bits for each generation; generation of the merged sweep or 0. */
  readonly records: number;
  readonly merged: number;
  /** Listed: manifests, tombs; whether there was a merged tomb. */
  readonly manifests: number;
  readonly tombs: number;
  readonly hasMergedTomb: boolean;
  /** Snapshots live in its view, and those it could undelete. */
  readonly live: number;
  readonly forgotten: number;
  /** Listed segments. */
  readonly segments: number;
}

export const NEW_SESSION: Session = {
  next: SESSION.announce,
  dead: 0,
  counted: -1,
  plan: '-',
  records: 0,
  merged: 0,
  manifests: 0,
  tombs: 0,
  hasMergedTomb: false,
  live: 0,
  forgotten: 0,
  segments: 0,
};

/** What a collector does next. */
export const COLLECTOR = {
  list: 0,
  walk: 1,
  storeSegment: 2,
  mark: 3,
  listSessions: 4,
  await: 5,
  decide: 6,
  sweep: 7,
  recheck: 8,
  delete: 9,
  merge: 10,
  dropTombs: 11,
  dropSweep: 12,
  over: 13,
  stopped: 14,
} as const;

export interface Collector {
  readonly next: number;
  readonly generation: number;
  /** Snapshots counted in step 1, and manifests that step 8 may delete. */
  readonly counted: number;
  readonly removable: number;
  /** The pack it adopts; -1 for none. */
  readonly adopts: number;
  readonly awaited: number;
  readonly isAnyLive: boolean;
  /** Listed segments, or packs that it takes for indexed. */
  readonly listed: number;
  readonly deletes: number;
  /** Merging: fences and tombs to be deleted, ids closed by it. */
  readonly fences: number;
  readonly tombs: number;
  readonly closed: number;
}

export const IDLE: Collector = {
  next: COLLECTOR.list,
  generation: 1,
  counted: 0,
  removable: 0,
  adopts: -1,
  awaited: 0,
  isAnyLive: false,
  listed: 0,
  deletes: 0,
  fences: 0,
  tombs: 0,
  closed: 0,
};

/** Executor or compactor: packs swept, segments taken as inputs, packs in the output. */
export interface Helper {
  readonly next: number;
  readonly swept: number;
  readonly inputs: number;
  readonly packs: number;
}

/** Sets of packs and of sessions are bit masks; 0 is the old snapshot, 1 and 2 are sessions A and B. */
export interface State {
  readonly stored: number;
  /** Stored packs that a power failure takes. */
  readonly volatile: number;
  readonly contents: number;
  readonly segments: Segments;
  /** 2 bits for each session. */
  readonly outcomes: number;
  readonly tombs: number;
  /** `closed` of the merged tomb; -1 while there is none. */
  readonly closed: number;
  /** Forgotten inside the grace. */
  readonly inGrace: number;
  /** Forgotten by the user, whatever became of the tomb. */
  readonly forgotten: number;
  /** Sessions that reported success. */
  readonly reported: number;
  readonly intents: number;
  readonly records: Records;
  /** An upload that is repeated may still arrive. */
  readonly isUploadLate: boolean;
  /** An undelete was refused inside the grace. */
  readonly isRefused: boolean;
  readonly sessions: readonly Session[];
  readonly collectors: readonly Collector[];
  readonly helpers: readonly Helper[];
}

export type Step = (what: string, next: State) => void;

/** `closed` of the merged tomb, if there is one. */
export function closedOf({ closed }: State): number {
  return Math.max(closed, 0);
}

export function manifestsOf({ outcomes }: State): number {
  return sessionsWith(outcomes, OUTCOME.manifest);
}

/** Snapshots that count. */
export function validOf(state: State): number {
  return liveAmong(manifestsOf(state), state.tombs, closedOf(state));
}

/** Snapshots that a collector keeps, with a grace for what was forgotten lately. */
export function keptOf(state: State): number {
  return keptAmong(manifestsOf(state), state.tombs, closedOf(state), state.inGrace);
}

export function openOf(state: State): number {
  const named = manifestsOf(state) | sessionsWith(state.outcomes, OUTCOME.fence);
  return openAmong(state.intents, named, state.tombs, closedOf(state));
}

/** Packs that the segments name together. */
export function indexOf({ segments }: State): number {
  return segments.indexed(segments.present);
}

function packedKey(...masks: number[]): number {
  return masks.reduce((key, mask) => (key << SESSION_NAMES.length) | mask, 0);
}

/** Writes all of a state as numbers and gives their count. */
export function encodeState(state: State, words: Int32Array): number {
  const flags = (state.isUploadLate ? 1 : 0) | (state.isRefused ? 2 : 0);
  words[0] = state.stored | (state.volatile << 4) | (state.contents << 8) | (flags << 20);
  words[1] =
    packedKey(state.tombs, state.inGrace, state.forgotten, state.reported, state.intents) |
    ((state.closed + 1) << 15) |
    (state.outcomes << 19);
  words[2] = state.segments.key | 0;
  words[3] = Math.floor(state.segments.key / 2 ** 32);
  words[4] = state.records.key | 0;
  words[5] = Math.floor(state.records.key / 2 ** 32);
  let length = 6;
  for (const session of state.sessions) length = encodeSession(session, words, length);
  for (const collector of state.collectors) length = encodeCollector(collector, words, length);
  for (const { next, swept, inputs, packs } of state.helpers) {
    words[length++] = next | (swept << 4) | (inputs << 8) | (packs << 14);
  }
  return length;
}

function encodeSession(session: Session, words: Int32Array, length: number): number {
  const { next, dead, counted, plan, segments, records, merged } = session;
  const planned = typeof plan === 'object' ? 3 + plan.adopts : '-Dd'.indexOf(plan);
  words[length] =
    next | (dead << 5) | ((counted + 1) << 9) | (planned << 13) | (segments << 17) | (merged << 23);
  words[length + 1] =
    packedKey(session.manifests, session.tombs, session.live, session.forgotten) |
    (records << 12) |
    (session.hasMergedTomb ? 2 ** 17 : 0);
  return length + 2;
}

function encodeCollector(collector: Collector, words: Int32Array, length: number): number {
  const { next, generation, adopts, listed, deletes, isAnyLive } = collector;
  // A collector knows only one of the two at a time, and one that is over needs neither.
  const noted = deletes | (isAnyLive ? 1 : 0);
  words[length] = next | (generation << 4) | ((adopts + 1) << 7) | (listed << 10) | (noted << 16);
  words[length + 1] =
    packedKey(collector.counted, collector.removable, collector.awaited, collector.fences) |
    (packedKey(collector.tombs, collector.closed) << 12);
  return length + 2;
}
