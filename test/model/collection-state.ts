/** One state of the model of collection (`collection-model.ts`), and what follows from it alone. */
import { type Kind, standing } from './copies.ts';
import { liveAmong, OUTCOME, openAmong, sessionsWith } from './outcomes.ts';
import type { Records } from './records.ts';

/** The old snapshot, clients, and repacks that are sessions. */
export const SESSION_NAMES: readonly string[] = ['S0', 'A', 'B', 'R0', 'R1'];

/** What a client may store. */
const PLANS: readonly Kind[] = ['-', 'D', 'd'];

/** What a client does next. */
export const CLIENT = {
  announce: 0,
  readRecords: 1,
  decide: 2,
  storePack: 3,
  storeSegment: 4,
  commit: 5,
  withdraw: 6,
  over: 7,
} as const;

export interface Client {
  readonly next: number;
  /** Packs that its view says are dead. */
  readonly dead: number;
  /** Snapshots that the pending mark of its view counted; -1 without a mark. */
  readonly counted: number;
  /** Kind of the copy that it stores. */
  readonly plan: Kind;
}

export function clientAt(next: number, plan: Kind = '-'): Client {
  return { next, dead: 0, counted: -1, plan };
}

/** What a collector does next. */
export const COLLECTOR = {
  list: 0,
  walk: 1,
  repackPack: 2,
  repackSegment: 3,
  repackFence: 4,
  mark: 5,
  listSessions: 6,
  await: 7,
  decide: 8,
  sweep: 9,
  delete: 10,
} as const;

export interface Collector {
  readonly next: number;
  readonly generation: number;
  /** Snapshots listed, then those walked. */
  readonly walked: number;
  /** The stored mark is its own. */
  readonly isMarker: boolean;
  /** Sessions listed as open after the mark. */
  readonly awaited: number;
  readonly isAnyLive: boolean;
  readonly deletes: number;
  /** Packs that it takes for stored before they are (without `durable-repack`). */
  readonly early: number;
}

export const IDLE: Collector = {
  next: COLLECTOR.list,
  generation: 0,
  walked: 0,
  isMarker: false,
  awaited: 0,
  isAnyLive: false,
  deletes: 0,
  early: 0,
};

/** Sets of packs and of sessions are bit masks. */
export interface State {
  readonly stored: number;
  readonly indexed: number;
  readonly contents: number;
  readonly outcomes: number;
  readonly forgotten: number;
  readonly intents: number;
  readonly records: Records;
  readonly clients: readonly Client[];
  readonly collectors: readonly Collector[];
}

export type Step = (what: string, next: State) => void;

export function liveOf({ outcomes, forgotten }: State): number {
  return liveAmong(sessionsWith(outcomes, OUTCOME.manifest), forgotten, 0);
}

export function openOf({ outcomes, forgotten, intents }: State): number {
  const named = sessionsWith(outcomes, OUTCOME.manifest) | sessionsWith(outcomes, OUTCOME.fence);
  return openAmong(intents, named, forgotten, 0);
}

export function standingIn({ indexed, stored, records }: State): number {
  return standing(indexed, stored, records.swept);
}

/** Writes all of a state as numbers and gives their count. */
export function encodeState(state: State, words: Int32Array): number {
  const { outcomes, forgotten, intents, records } = state;
  words[0] = state.stored | (state.indexed << 10);
  words[1] = state.contents;
  words[2] = outcomes | (forgotten << 10) | (intents << 15);
  words[3] = records.key | 0;
  words[4] = Math.floor(records.key / 2 ** 32);
  let length = 5;
  for (const { next, dead, counted, plan } of state.clients) {
    words[length++] = next | (dead << 3) | ((counted + 1) << 13) | (PLANS.indexOf(plan) << 20);
  }
  for (const one of state.collectors) {
    const flags = (one.isMarker ? 1 : 0) | (one.isAnyLive ? 2 : 0);
    words[length++] = one.next | (one.generation << 4) | (one.walked << 7) | (flags << 12);
    words[length++] = one.awaited | (one.deletes << 10) | (one.early << 20);
  }
  return length;
}
