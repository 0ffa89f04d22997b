/** What collectors do in the model of collection (`collection-model.ts`). */
import { CLIENTS_MAX, type World } from './collection-setup.ts';
import {
  COLLECTOR,
  type Collector,
  IDLE,
  liveOf,
  openOf,
  SESSION_NAMES,
  type State,
  type Step,
  standingIn,
} from './collection-state.ts';
import { decodable, type Kind, kindIn, kindsIn, withKind } from './copies.ts';
import { has, membersOf, nameSet, partsOf, replaced } from './masks.ts';
import { OUTCOME, outcomeOf, withOutcome } from './outcomes.ts';
import type { Mark } from './records.ts';

interface Turn {
  readonly world: World;
  readonly state: State;
  readonly one: Collector;
  readonly j: number;
  /** One step of this collector: how it goes on, and what changes in the repository. */
  readonly act: (what: string, next: Collector, change?: Partial<State>) => void;
}

export function expandCollector(world: World, state: State, j: number, step: Step): void {
  const one = state.collectors[j] as Collector;
  const act: Turn['act'] = (what, next, change) => {
    const collectors = replaced(state.collectors, j, next);
    step(`collector ${j}: ${what}`, { ...state, ...change, collectors });
  };
  STEPS[one.next]?.({ world, state, one, j, act });
}

/** By `Collector.next`. */
const STEPS: Readonly<Record<number, (turn: Turn) => void>> = {
  [COLLECTOR.list]: list,
  [COLLECTOR.walk]: walk,
  [COLLECTOR.repackPack]: (turn) => storeRepack(turn, turn.one),
  [COLLECTOR.repackSegment]: indexRepack,
  [COLLECTOR.repackFence]: fenceRepack,
  [COLLECTOR.mark]: mark,
  [COLLECTOR.listSessions]: listSessions,
  [COLLECTOR.await]: awaitSessions,
  [COLLECTOR.decide]: decide,
  [COLLECTOR.sweep]: sweep,
  [COLLECTOR.delete]: deletePacks,
};

function list({ world, state, act }: Turn): void {
  const generation = state.records.generation + 1;
  if (generation > world.generations) return;
  const walked = liveOf(state);
  const next = { ...IDLE, next: COLLECTOR.walk, generation, walked };
  act(`lists snapshots for generation ${generation}`, next);
}

/** Step 1 ends: what was forgotten meanwhile is left out. Then comes a repack, or none. */
function walk(turn: Turn): void {
  const { world, state, one, j, act } = turn;
  const walked = one.walked & liveOf(state);
  const next = { ...IDLE, next: COLLECTOR.mark, generation: one.generation, walked };
  act('walks them', next);
  if (world.varies('repack-session')) {
    const id = world.repackId(j);
    const isFirst = !has(state.intents, id) && outcomeOf(state.outcomes, id) === OUTCOME.none;
    const intents = state.intents | (1 << id);
    if (isFirst)
      act('repack: puts an intent', { ...next, next: COLLECTOR.repackPack }, { intents });
  } else if (kindIn(state.contents, world.repackPack(j)) === '-') {
    storeRepack(turn, next);
  }
}

/** A repack writes one blob that decodes; in a session of its own it may keep a delta as it is. */
function storeRepack({ world, state, j, act }: Turn, next: Collector): void {
  const pack = world.repackPack(j);
  const readable = state.stored & state.indexed;
  const found = decodable(readable, state.contents);
  const hasDelta = kindsIn(readable, state.contents).has('d');
  const kinds: Kind[] = [];
  if (found.X) kinds.push('X');
  if (found.D) kinds.push('D');
  if (world.varies('repack-session') && hasDelta && found.X) kinds.push('d');
  for (const kind of kinds) {
    const contents = withKind(state.contents, pack, kind);
    if (world.lacks('durable-repack')) {
      const unsent = { ...next, next: COLLECTOR.mark, early: 1 << pack };
      act(`repack: ${kind} into pack ${pack}, which is not sent yet`, unsent, { contents });
    } else {
      const stored = state.stored | (1 << pack);
      const storing = { ...next, next: COLLECTOR.repackSegment };
      act(`repack: stores pack ${pack} with ${kind}`, storing, { contents, stored });
    }
  }
}

function indexRepack({ world, state, one, j, act }: Turn): void {
  const pack = world.repackPack(j);
  const next = world.varies('repack-session') ? COLLECTOR.repackFence : COLLECTOR.mark;
  const indexed = state.indexed | (1 << pack);
  act(`repack: stores a segment over pack ${pack}`, { ...one, next }, { indexed });
}

/** Its session is over; another collector may have fenced it before. */
function fenceRepack({ world, state, one, j, act }: Turn): void {
  const id = world.repackId(j);
  const isFirst = outcomeOf(state.outcomes, id) === OUTCOME.none;
  const outcomes = isFirst ? withOutcome(state.outcomes, id, OUTCOME.fence) : state.outcomes;
  act('repack: fences its session', { ...one, next: COLLECTOR.mark }, { outcomes });
}

/** Step 4: any set may be condemned without which the live set can be decoded. */
function mark(turn: Turn): void {
  const { world, state, one, act } = turn;
  const { generation, walked } = one;
  const next = { ...afterMark(turn), next: COLLECTOR.listSessions };
  if (state.records.marks[generation - 1] !== undefined) {
    act('adopts the mark', next);
    return;
  }
  const standing = standingIn(state) | one.early;
  for (const condemned of partsOf(condemnable(world, state))) {
    if (condemned === 0) continue;
    if (!world.keeps(standing & ~condemned, state.contents, walked === 0 ? 0 : 1)) continue;
    const own = { generation, condemned, counted: walked };
    const records = world.book.withMark(state.records, generation, own);
    const what = `puts mark ${generation}, condemns ${nameSet(condemned)}`;
    act(what, { ...next, isMarker: world.varies('adopters') }, { records });
  }
}

/** Packs that may be condemned: those of sessions without an outcome are left alone. */
function condemnable(world: World, state: State): number {
  let packs = standingIn(state);
  if (world.lacks('spare-open')) return packs;
  const isUndecided = (id: number): boolean => outcomeOf(state.outcomes, id) === OUTCOME.none;
  for (let id = 1; id <= CLIENTS_MAX; id++) {
    if (isUndecided(id)) packs &= ~(1 << (world.oldPacks + id - 1));
  }
  if (!world.varies('repack-session')) return packs;
  for (let j = 0; j < world.collectors; j++) {
    if (isUndecided(world.repackId(j))) packs &= ~(1 << world.repackPack(j));
  }
  return packs;
}

/** What a collector still knows after step 4. */
function afterMark({ world, one }: Turn): Collector {
  const { generation, early, walked, isMarker } = one;
  const after = { ...IDLE, generation, early };
  return world.varies('adopters') ? { ...after, walked, isMarker } : after;
}

function listSessions(turn: Turn): void {
  const { world, state, act } = turn;
  const awaited = world.lacks('wait') ? 0 : openOf(state);
  const next = { ...afterMark(turn), next: COLLECTOR.await, awaited };
  act(`lists open sessions ${nameSet(awaited)}`, next);
}

/** Steps 5 and 6: every awaited session gets an outcome, then snapshots are listed again. */
function awaitSessions(turn: Turn): void {
  const { state, one, act } = turn;
  const open = one.awaited & openOf(state);
  for (const id of membersOf(open)) {
    const outcomes = withOutcome(state.outcomes, id, OUTCOME.fence);
    act(`FENCES ${SESSION_NAMES[id]}`, one, { outcomes });
  }
  if (open !== 0) return;
  const isAnyLive = snapshotsThatCount(turn) !== 0;
  const { generation, early } = one;
  const next = { ...IDLE, next: COLLECTOR.decide, generation, early, isAnyLive };
  act('lists snapshots again', next);
}

/** Snapshots whose blobs the sweep must keep. */
function snapshotsThatCount({ world, state, one }: Turn): number {
  const live = world.lacks('relist') ? 0 : liveOf(state);
  if (!world.varies('adopters')) return live;
  const isTrusting = world.lacks('own-walk') && !one.isMarker;
  return one.walked | (isTrusting ? live & ~markOf(state, one).counted : live);
}

function markOf(state: State, one: Collector): Mark {
  return state.records.marks[one.generation - 1] as Mark;
}

function decide({ world, state, one, act }: Turn): void {
  const { generation, early } = one;
  const standing = standingIn(state) | early;
  const condemned = standing & markOf(state, one).condemned;
  const isAnyLive = one.isAnyLive ? 1 : 0;
  for (const deletes of world.deleteLists(condemned, standing, state.contents, isAnyLive)) {
    const next = { ...IDLE, next: COLLECTOR.sweep, generation, deletes, early };
    act(`will delete ${nameSet(deletes)}`, next);
  }
}

function sweep({ world, state, one, act }: Turn): void {
  const { generation, deletes } = one;
  const stored = state.records.sweeps[generation - 1];
  const next = { ...one, next: COLLECTOR.delete };
  if (stored === undefined) {
    const records = world.book.withSweep(state.records, generation, deletes);
    act(`puts sweep ${generation} of ${nameSet(deletes)}`, next, { records });
  } else {
    act('adopts the sweep', { ...next, deletes: world.lacks('one-sweep') ? deletes : stored });
  }
}

function deletePacks({ state, one, act }: Turn): void {
  const left = one.deletes & state.stored;
  for (const pack of membersOf(left)) {
    const [stored, indexed] = [state.stored & ~(1 << pack), state.indexed & ~(1 << pack)];
    act(`DELETES pack ${pack} (${kindIn(state.contents, pack)})`, one, { stored, indexed });
  }
  if (left !== 0) return;
  const [stored, indexed] = [state.stored | one.early, state.indexed | one.early];
  act('is done', IDLE, { stored, indexed });
}
