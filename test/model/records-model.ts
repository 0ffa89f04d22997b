/**
 * A model of what happens around collection (docs/collection-model.md): merging of small records,
 * adoption, undelete and the grace, compaction of segments. Where the product decides something, the
 * model asks the same function of `src/protocol`; a rule that is removed is replaced here, never there.
 *
 * Collection is the one of `collection-model.ts`, but without repack. Reading a record is a listing and
 * a later read. Everybody may stop for ever before any step. Nothing waits: what a rule delays may
 * happen at once, so a rule whose safety needs its wait fails here.
 *
 * It must hold: every snapshot that counts can be decoded; a session that reported success has a
 * snapshot that counts, unless the user forgot it; an undelete inside the grace is not refused.
 */
import { contentsOf, isReadable } from './copies.ts';
import type { Model } from './explorer.ts';
import { has, membersOf } from './masks.ts';
import { OUTCOME } from './outcomes.ts';
import { expandCollector } from './records-collectors.ts';
import { expandHelper } from './records-helpers.ts';
import { expandSession } from './records-sessions.ts';
import {
  type RecordsRule,
  type RecordsVariant,
  type ScenarioName,
  World,
} from './records-setup.ts';
import {
  COLLECTOR,
  encodeState,
  IDLE,
  indexOf,
  NEW_SESSION,
  SESSION,
  SESSION_NAMES,
  type State,
  type Step,
  validOf,
} from './records-state.ts';

export interface RecordsSetup {
  readonly scenario: ScenarioName;
  readonly removed?: readonly RecordsRule[];
  readonly variants?: readonly RecordsVariant[];
}

export function recordsModel({
  scenario,
  removed = [],
  variants = [],
}: RecordsSetup): Model<State> {
  const world = new World(scenario, removed, variants);
  const packs = 2 ** world.oldPacks - 1;
  return {
    initial: {
      stored: packs,
      volatile: 0,
      contents: contentsOf(world.old),
      segments: world.segments.first(packs),
      outcomes: world.hasSnapshot ? OUTCOME.manifest : OUTCOME.none,
      tombs: 0,
      closed: -1,
      inGrace: 0,
      forgotten: 0,
      reported: 0,
      intents: 0,
      records: world.book.empty,
      isUploadLate: world.isAbout('late'),
      isRefused: false,
      sessions: [NEW_SESSION, NEW_SESSION],
      collectors: Array.from({ length: world.collectors }, () => IDLE),
      helpers: world.helpers.map(() => ({ next: 0, swept: 0, inputs: 0, packs: 0 })),
    },
    expand: (state, step) => expand(world, state, step),
    violation: (state) => violationIn(world, state),
    encode: encodeState,
  };
}

function expand(world: World, state: State, step: Step): void {
  expandUser(world, state, step);
  expandFaults(world, state, step);
  for (const id of [1, 2]) expandSession(world, state, id, step);
  for (const j of state.collectors.keys()) expandCollector(world, state, j, step);
  expandNames(world, state, step);
  for (const j of state.helpers.keys()) expandHelper(world, state, j, step);
}

function violationIn(world: World, state: State): string | undefined {
  const valid = validOf(state);
  const packs = state.stored & indexOf(state) & ~state.records.swept;
  if (valid !== 0 && !isReadable(packs, state.contents)) return 'snapshot lost';
  if (state.reported & ~state.forgotten & ~valid) return 'reported snapshot is void';
  const isRefused = state.isRefused && !world.isAbout('grace0');
  return isRefused ? 'undelete refused inside the grace' : undefined;
}

/** Snapshots are forgotten, and the grace of each ends. */
function expandUser(world: World, state: State, step: Step): void {
  const isOldOnly = world.isAbout('compact') || world.isAbout('sweeps');
  for (const id of membersOf(validOf(state) & ~state.forgotten)) {
    if (id > 0 && isOldOnly) continue;
    const bit = 1 << id;
    step(`forget ${SESSION_NAMES[id]}`, {
      ...state,
      tombs: state.tombs | bit,
      forgotten: state.forgotten | bit,
      inGrace: world.isAbout('grace') ? state.inGrace | bit : state.inGrace,
    });
  }
  for (const id of membersOf(state.inGrace)) {
    const inGrace = state.inGrace & ~(1 << id);
    step(`the grace of ${SESSION_NAMES[id]} ends`, { ...state, inGrace });
  }
}

/** A repeated upload of a stopped writer arrives after the pack was deleted; the power fails. */
function expandFaults(world: World, state: State, step: Step): void {
  for (let pack = 0; state.isUploadLate && pack < world.packCount; pack++) {
    const wasStored = ((state.contents >> (3 * pack)) & 7) !== 0;
    if (!wasStored || has(state.stored, pack)) continue;
    const stored = state.stored | (1 << pack);
    step(`a late upload of pack ${pack} arrives`, { ...state, stored, isUploadLate: false });
  }
  if (state.volatile === 0) return;
  step('POWER FAILURE', {
    ...state,
    stored: state.stored & ~state.volatile,
    volatile: 0,
    sessions: state.sessions.map(() => ({ ...NEW_SESSION, next: SESSION.stopped, counted: 0 })),
    collectors: state.collectors.map(() => ({ ...IDLE, next: COLLECTOR.stopped })),
  });
}

/** Without the rules that keep them, names leave the merged sweep. */
function expandNames(world: World, state: State, step: Step): void {
  const { merged } = state.records;
  if (merged === undefined) return;
  for (const pack of membersOf(merged.packs)) {
    const isGone = !has(state.stored, pack);
    if (!world.lacks('keep-names') && !(world.lacks('keep-gone-names') && isGone)) continue;
    const packs = merged.packs & ~(1 << pack);
    const records = world.book.withMerged(state.records, merged.generation, packs);
    step(`the name of pack ${pack} leaves the merged sweep`, { ...state, records });
  }
}
