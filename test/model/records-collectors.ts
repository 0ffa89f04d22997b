/** What collectors do in the model of records (`records-model.ts`). */
import { isVoid } from '../../src/protocol/collector-view.ts';
import { mergeSweeps, mergeTombs } from '../../src/protocol/merging.ts';
import { decodable, deleteListsOf, keepsLive, standing } from './copies.ts';
import { maskOf, membersOf, nameSet, partsOf, replaced } from './masks.ts';
import { OUTCOME, outcomeOf, sessionsWith, withOutcome } from './outcomes.ts';
import { adoptableNow } from './records-sessions.ts';
import type { World } from './records-setup.ts';
import {
  COLLECTOR,
  type Collector,
  closedOf,
  IDLE,
  indexOf,
  keptOf,
  manifestsOf,
  openOf,
  SESSION_NAMES,
  type State,
  type Step,
  validOf,
} from './records-state.ts';

interface Turn {
  readonly world: World;
  readonly state: State;
  readonly one: Collector;
  readonly j: number;
  /** One step of this collector: what changes in itself, and in the repository. */
  readonly act: (what: string, own: Partial<Collector>, change?: Partial<State>) => void;
}

/** Places of segments 0 to 2 belong to the beginning and the sessions. */
const FIRST_PLACE = 3;

export function expandCollector(world: World, state: State, j: number, step: Step): void {
  const one = state.collectors[j] as Collector;
  const act: Turn['act'] = (what, own, change) => {
    const collectors = replaced(state.collectors, j, { ...one, ...own });
    step(`collector ${j}: ${what}`, { ...state, ...change, collectors });
  };
  STEPS[one.next]?.({ world, state, one, j, act });
}

/** By `Collector.next`. */
const STEPS: Readonly<Record<number, (turn: Turn) => void>> = {
  [COLLECTOR.list]: list,
  [COLLECTOR.walk]: walk,
  [COLLECTOR.storeSegment]: storeSegment,
  [COLLECTOR.mark]: mark,
  [COLLECTOR.listSessions]: listSessions,
  [COLLECTOR.await]: awaitSessions,
  [COLLECTOR.decide]: decide,
  [COLLECTOR.sweep]: sweep,
  [COLLECTOR.recheck]: recheck,
  [COLLECTOR.delete]: deletePacks,
  [COLLECTOR.merge]: merge,
  [COLLECTOR.dropTombs]: dropTombs,
  [COLLECTOR.dropSweep]: dropSweep,
};

/** Whether this generation was merged, for whoever believes that it is then void. */
export function isMerged(world: World, { records }: State, generation: number): boolean {
  const merged = records.merged === undefined ? [] : [records.merged.generation];
  return isVoid(generation, merged) && !world.lacks('void');
}

/** Packs from which a collector can decode. */
function standingIn(state: State): number {
  return standing(indexOf(state), state.stored, state.records.swept);
}

function list({ world, state, act }: Turn): void {
  const generation = state.records.generation + 1;
  if (generation > world.generations) return;
  const next = { ...IDLE, next: COLLECTOR.walk, generation };
  const gone = state.tombs | closedOf(state);
  const removable = world.lacks('grace-manifest') ? gone : gone & ~state.inGrace;
  const counted = keptOf(state);
  act(`lists snapshots for generation ${generation}`, { ...next, counted, removable });
  if (!world.isAbout('grace0')) return;
  const withoutGrace = { ...next, counted: validOf(state), removable: gone };
  act(`lists snapshots for generation ${generation}, without a grace`, withoutGrace);
}

function walk({ world, state, one, j, act }: Turn): void {
  const isMissing = one.counted !== 0 && !decodable(standingIn(state), state.contents).D;
  if (isMissing) {
    act('ABORTS: a live blob is missing', IDLE);
    return;
  }
  act('walks them', { next: COLLECTOR.mark });
  if (!world.isAbout('adopt') || state.segments.packs[FIRST_PLACE + j] !== undefined) return;
  for (const adopts of adoptableNow(state)) {
    const volatile = state.volatile & ~(1 << adopts);
    act(`adopts pack ${adopts}`, { next: COLLECTOR.storeSegment, adopts }, { volatile });
  }
}

function storeSegment({ world, state, one, j, act }: Turn): void {
  const packs = 1 << one.adopts;
  const segments = world.segments.with(state.segments, FIRST_PLACE + j, { packs });
  act('stores a segment', { next: COLLECTOR.mark, adopts: -1 }, { segments });
}

function mark({ world, state, one, act }: Turn): void {
  const { generation, counted } = one;
  const next = { next: COLLECTOR.listSessions, counted: 0 };
  if (state.records.marks[generation - 1] !== undefined) {
    act('adopts the mark', next);
    return;
  }
  const packs = standingIn(state);
  const listed = world.lacks('relist-segments') ? indexOf(state) : 0;
  for (const condemned of partsOf(state.stored & ~state.records.swept)) {
    if (condemned === 0) continue;
    if (!keepsLive(packs & ~condemned, state.contents, counted !== 0)) continue;
    const records = world.book.withMark(state.records, generation, {
      generation,
      condemned,
      counted,
    });
    const what = `puts mark ${generation}, condemns ${nameSet(condemned)}`;
    act(what, { ...next, listed }, { records });
  }
}

function listSessions({ state, act }: Turn): void {
  const awaited = openOf(state);
  act(`lists open sessions ${nameSet(awaited)}`, { next: COLLECTOR.await, awaited });
}

/** Steps 5 and 6. Waiting is not modelled: whoever has no outcome is fenced at once. */
function awaitSessions({ world, state, one, act }: Turn): void {
  const open = one.awaited & openOf(state);
  for (const id of membersOf(open)) {
    const outcomes = withOutcome(state.outcomes, id, OUTCOME.fence);
    act(`FENCES ${SESSION_NAMES[id]}`, {}, { outcomes });
  }
  if (open !== 0) return;
  const isWithoutGrace = world.lacks('grace-step-6') || world.isAbout('grace0');
  const isAnyLive = (isWithoutGrace ? validOf(state) : keptOf(state)) !== 0;
  const listed = world.isAbout('compact') ? state.segments.present : one.listed;
  const next = { next: COLLECTOR.decide, awaited: 0, isAnyLive, listed };
  act('lists snapshots and segments again', next);
}

function decide({ world, state, one, act }: Turn): void {
  const { segments, records, stored, contents } = state;
  const pending = records.marks[one.generation - 1];
  if (pending === undefined) {
    act('finds that the mark was merged, and stops', { next: COLLECTOR.over });
    return;
  }
  const isCompacting = world.isAbout('compact');
  if (isCompacting && one.listed & ~segments.present && !world.lacks('collector-segment-again')) {
    const listed = segments.present;
    act('reads segments: one is gone, so lists again', { listed });
    return;
  }
  const known = indexOfCollector(world, state, one);
  const packs = standing(known, stored, records.swept);
  const isMissing = one.isAnyLive && !decodable(packs, contents).D;
  if (isMissing && !world.lacks('abort')) {
    act('ABORTS: a live blob is missing', IDLE);
    return;
  }
  const condemned = pending.condemned & stored & ~records.swept;
  const isAnyLive = one.isAnyLive && !isMissing;
  for (const deletes of deleteLists(world, { condemned, packs, contents, isAnyLive })) {
    const next = { next: COLLECTOR.sweep, isAnyLive: false, listed: 0, deletes };
    act(`will delete ${nameSet(deletes)}`, next);
  }
}

/** Packs that segments name, as far as this collector knows. */
function indexOfCollector(world: World, state: State, one: Collector): number {
  if (world.isAbout('compact')) return state.segments.indexed(one.listed);
  return world.lacks('relist-segments') ? one.listed : indexOf(state);
}

function deleteLists(
  world: World,
  from: { condemned: number; packs: number; contents: number; isAnyLive: boolean },
): readonly number[] {
  const { condemned, packs, contents, isAnyLive } = from;
  if (!world.varies('any-part')) {
    return deleteListsOf(condemned, packs, contents, isAnyLive ? 1 : 0);
  }
  return partsOf(condemned).filter((part) => keepsLive(packs & ~part, contents, isAnyLive));
}

function sweep({ world, state, one, act }: Turn): void {
  const { generation, deletes } = one;
  const stored = state.records.sweeps[generation - 1];
  const next = world.isAbout('sweeps') ? COLLECTOR.recheck : COLLECTOR.delete;
  if (stored !== undefined) {
    act('adopts the sweep', { next, deletes: stored });
  } else {
    const records = world.book.withSweep(state.records, generation, deletes);
    act(`puts sweep ${generation} of ${nameSet(deletes)}`, { next }, { records });
  }
}

/** Its own sweep counts only if no merged sweep covers the generation. */
function recheck({ world, state, one, act }: Turn): void {
  if (isMerged(world, state, one.generation) && !world.lacks('recheck')) {
    act('lists gc/ again: the generation was merged, so stops', { next: COLLECTOR.over });
  } else {
    act('lists gc/ again', { next: COLLECTOR.delete });
  }
}

/** Step 8, for packs and manifests. */
function deletePacks({ world, state, one, act }: Turn): void {
  const packs = one.deletes & state.stored;
  const gone = state.tombs | closedOf(state);
  const manifests = one.removable & manifestsOf(state) & gone;
  for (const pack of membersOf(packs)) {
    const [stored, volatile] = [state.stored & ~(1 << pack), state.volatile & ~(1 << pack)];
    act(`DELETES pack ${pack}`, {}, { stored, volatile });
  }
  for (const id of membersOf(manifests)) {
    const outcomes = withOutcome(state.outcomes, id, OUTCOME.none);
    act(`deletes the manifest of ${SESSION_NAMES[id]}`, {}, { outcomes });
  }
  const isMerging = world.isAbout('tombs') || world.isAbout('sweeps');
  if (packs === 0 && manifests === 0) {
    act('is done', { next: isMerging ? COLLECTOR.merge : COLLECTOR.list, removable: 0 });
  } else if (world.isAbout('sweeps')) {
    act('leaves the deletes to others', { next: COLLECTOR.merge, removable: 0 });
  }
}

function merge(turn: Turn): void {
  if (turn.world.isAbout('tombs')) mergeTombsAndFences(turn);
  else mergeSweepsSoFar(turn);
}

function mergeTombsAndFences({ world, state, act }: Turn): void {
  const fences = sessionsWith(state.outcomes, OUTCOME.fence);
  const { tombs } = state;
  if (fences === 0 && tombs === 0) return;
  const merged = mergeTombs({
    fences: membersOf(world.lacks('closed-fenced') ? 0 : fences),
    tombs: membersOf(world.lacks('closed-forgotten') ? 0 : tombs).map((id) => ({
      name: id,
      forgotten: [id],
      closed: [],
    })),
  });
  const closed = maskOf(merged.closed);
  const next = { next: COLLECTOR.dropTombs, deletes: 0, fences, tombs, closed };
  if (world.lacks('merged-first')) {
    act('begins to merge', next);
  } else {
    const stored = { closed: closedOf(state) | closed };
    act(`puts a merged tomb that closes ${nameSet(closed)}`, next, stored);
  }
}

/** All that was swept, in generations up to that of this collector. */
function mergedPacks({ records }: State, generation: number): number {
  const { merged, sweeps } = records;
  const read = sweeps.slice(0, generation).map((packs, i) => ({
    generation: i + 1,
    delete: membersOf(packs ?? 0),
  }));
  const more = mergeSweeps(read, merged?.generation ?? 0);
  return maskOf(more.delete) | (merged?.packs ?? 0);
}

function mergeSweepsSoFar({ world, state, one, act }: Turn): void {
  const { generation } = one;
  if (isVoid(generation, state.records.merged ? [state.records.merged.generation] : [])) {
    act('adopts the merged sweep', { next: COLLECTOR.dropSweep });
    return;
  }
  const packs = mergedPacks(state, generation);
  if (world.lacks('merged-first')) {
    act('begins to merge', { next: COLLECTOR.dropSweep, deletes: packs });
  } else {
    const records = world.book.withMerged(state.records, generation, packs);
    act('puts a merged sweep', { next: COLLECTOR.dropSweep }, { records });
  }
}

/** Deletes fences and tombs that were merged, one by one. */
function dropTombs({ world, state, one, act }: Turn): void {
  const fences = membersOf(one.fences).filter(
    (id) => outcomeOf(state.outcomes, id) !== OUTCOME.none,
  );
  const tombs = membersOf(one.tombs & state.tombs);
  for (const id of fences) {
    const outcomes = withOutcome(state.outcomes, id, OUTCOME.none);
    const left = { fences: one.fences & ~(1 << id) };
    act(`deletes the fence of ${SESSION_NAMES[id]}`, left, { outcomes });
  }
  for (const id of tombs) {
    const left = { tombs: one.tombs & ~(1 << id) };
    act(`deletes the tomb of ${SESSION_NAMES[id]}`, left, { tombs: state.tombs & ~(1 << id) });
  }
  if (fences.length > 0 || tombs.length > 0) return;
  if (world.varies('drop-void')) {
    for (const id of membersOf(manifestsOf(state) & closedOf(state))) {
      const outcomes = withOutcome(state.outcomes, id, OUTCOME.none);
      act(`deletes the void manifest of ${SESSION_NAMES[id]}`, {}, { outcomes });
    }
  }
  const closed = closedOf(state) | one.closed;
  act(
    world.lacks('merged-first') ? 'puts a merged tomb' : 'has merged',
    { next: COLLECTOR.over },
    { closed },
  );
}

/** Deletes the sweep and the mark of its generation. */
function dropSweep({ world, state, one, act }: Turn): void {
  const { generation } = one;
  const { marks, sweeps, merged } = state.records;
  if (sweeps[generation - 1] !== undefined) {
    const records = world.book.withSweep(state.records, generation, undefined);
    act(`deletes sweep ${generation}`, {}, { records });
  } else if (marks[generation - 1] !== undefined) {
    const records = world.book.withMark(state.records, generation, undefined);
    act(`deletes mark ${generation}`, {}, { records });
  } else {
    const isLate = world.lacks('merged-first') && merged === undefined;
    const records = isLate
      ? world.book.withMerged(state.records, generation, one.deletes)
      : state.records;
    const what = isLate ? 'puts a merged sweep' : 'has merged';
    act(what, { next: COLLECTOR.list, deletes: 0, removable: 0 }, { records });
  }
}
