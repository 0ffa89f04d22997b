/** Executors of sweeps and compactors of segments in the model of records (`records-model.ts`). */
import { compactSegments } from '../../src/protocol/segments.ts';
import { has, maskOf, membersOf, nameSet, partsOf, replaced } from './masks.ts';
import { isMerged } from './records-collectors.ts';
import type { World } from './records-setup.ts';
import type { Helper, State, Step } from './records-state.ts';

interface Turn {
  readonly world: World;
  readonly state: State;
  readonly one: Helper;
  readonly j: number;
  /** One step of this helper: what changes in itself, and in the repository. */
  readonly act: (what: string, own: Partial<Helper>, change?: Partial<State>) => void;
}

/** What a helper does next; 0 is its beginning. */
const EXECUTE = { list: 0, read: 1, confirm: 2, act: 3, over: 4 } as const;
const COMPACT = {
  readRecords: 0,
  listSegments: 1,
  readInputs: 2,
  store: 3,
  drop: 4,
  over: 5,
} as const;

/** Places of segments 0 to 2 belong to the beginning and the sessions. */
const FIRST_PLACE = 3;
/** The generation whose sweep is executed. */
const GENERATION = 1;

export function expandHelper(world: World, state: State, j: number, step: Step): void {
  const one = state.helpers[j] as Helper;
  const kind = world.helpers[j];
  const name = kind === 'E' ? 'executor' : 'compactor';
  const act: Turn['act'] = (what, own, change) => {
    const helpers = replaced(state.helpers, j, { ...one, ...own });
    step(`${name} ${j}: ${what}`, { ...state, ...change, helpers });
  };
  const steps = kind === 'K' ? COMPACT_STEPS : EXECUTE_STEPS;
  steps[one.next]?.({ world, state, one, j, act });
}

/** Who executes a sweep deletes packs, or takes them out of the first segment. */
const EXECUTE_STEPS: Readonly<Record<number, (turn: Turn) => void>> = {
  [EXECUTE.list]: listSweep,
  [EXECUTE.read]: readSweep,
  [EXECUTE.confirm]: confirmSweep,
  [EXECUTE.act]: executeSweep,
};

function listSweep({ world, state, act }: Turn): void {
  const { sweeps } = state.records;
  if (sweeps[GENERATION - 1] === undefined || isMerged(world, state, GENERATION)) return;
  act('lists gc/: a sweep, and no merged one', { next: EXECUTE.read });
}

function readSweep({ world, state, act }: Turn): void {
  const swept = state.records.sweeps[GENERATION - 1];
  if (swept === undefined) {
    act('reads the sweep: it is gone, so lists again', { next: EXECUTE.list });
  } else {
    const next = world.lacks('execute-after-list') ? EXECUTE.act : EXECUTE.confirm;
    act(`reads the sweep of ${nameSet(swept)}`, { next, swept });
  }
}

function confirmSweep({ world, state, act }: Turn): void {
  if (isMerged(world, state, GENERATION)) {
    act('lists gc/ again: merged meanwhile, so starts again', { next: EXECUTE.list, swept: 0 });
  } else {
    act('lists gc/ again: still no merged one', { next: EXECUTE.act });
  }
}

function executeSweep({ world, state, one, j, act }: Turn): void {
  if (world.helpers[j] === 'S') {
    const packs = (state.segments.packs[0] as number) & ~one.swept;
    const segments = world.segments.with(state.segments, 0, { packs });
    act('puts the compacted segment', { next: EXECUTE.over }, { segments });
    return;
  }
  for (const pack of membersOf(one.swept & state.stored)) {
    const bit = 1 << pack;
    act(`DELETES pack ${pack}`, { swept: one.swept & ~bit }, { stored: state.stored & ~bit });
  }
}

/** Who compacts takes some segments, stores one in their place, and deletes them. */
const COMPACT_STEPS: Readonly<Record<number, (turn: Turn) => void>> = {
  [COMPACT.readRecords]: readRecords,
  [COMPACT.listSegments]: listSegments,
  [COMPACT.readInputs]: readInputs,
  [COMPACT.store]: storeOutput,
  [COMPACT.drop]: dropInputs,
};

function readRecords({ world, state, act }: Turn): void {
  const { swept, dead } = state.records;
  const applied = world.lacks('apply-sweeps-only') ? dead : swept;
  act('reads collector records', { next: COMPACT.listSegments, swept: applied });
}

function listSegments({ state, act }: Turn): void {
  for (const inputs of partsOf(state.segments.present)) {
    if (inputs === 0) continue;
    act(`lists segments, takes ${nameSet(inputs)}`, { next: COMPACT.readInputs, inputs });
  }
}

function readInputs({ world, state, one, act }: Turn): void {
  const { segments } = state;
  if (one.inputs & ~segments.present && !world.lacks('input-again')) {
    act('an input is gone, so lists again', { next: COMPACT.listSegments, inputs: 0 });
    return;
  }
  const { packs } = compactSegments(
    membersOf(one.inputs & segments.present).map((place) => ({
      name: place,
      packs: membersOf(segments.packs[place] as number),
    })),
    new Set(membersOf(one.swept)),
  );
  const next = world.lacks('output-first') ? COMPACT.drop : COMPACT.store;
  act('reads its inputs', { next, packs: maskOf(packs) });
}

function storeOutput({ world, state, one, j, act }: Turn): void {
  const place = FIRST_PLACE + j;
  if (state.segments.packs[place] !== undefined || has(one.inputs, place)) return;
  const superseded = world.lacks('supersede-read') ? state.segments.present : one.inputs;
  const { packs } = one;
  const segments = world.segments.with(state.segments, place, { packs, superseded });
  const what = `puts a segment over ${nameSet(packs)} in place of ${nameSet(one.inputs)}`;
  act(what, { next: COMPACT.drop }, { segments });
}

function dropInputs({ world, state, one, j, act }: Turn): void {
  const place = FIRST_PLACE + j;
  const left = one.inputs & state.segments.present & ~(1 << place);
  for (const input of membersOf(left)) {
    const segments = world.segments.with(state.segments, input, { packs: undefined });
    act(`deletes segment ${input}`, {}, { segments });
  }
  if (left !== 0) return;
  if (!world.lacks('output-first')) {
    act('is done', { next: COMPACT.over });
    return;
  }
  const output = { packs: one.packs, superseded: one.inputs };
  const segments = world.segments.with(state.segments, place, output);
  act('puts the segment', { next: COMPACT.over }, { segments });
}
