/** What sessions do in the model of records (`records-model.ts`). */
import { isAdoptable } from '../../src/protocol/adoption.ts';
import { collectorView, isSettled } from '../../src/protocol/collector-view.ts';
import { reportOf } from '../../src/protocol/outcomes.ts';
import { mayReuseTree } from '../../src/protocol/reuse.ts';
import { decodable, kindIn, kindsIn, withKind } from './copies.ts';
import { has, maskOf, membersOf, replaced } from './masks.ts';
import { endedBy, liveAmong, OUTCOME, outcomeOf, withOutcome } from './outcomes.ts';
import type { Records } from './records.ts';
import type { World } from './records-setup.ts';
import {
  closedOf,
  indexOf,
  keptOf,
  manifestsOf,
  type Plan,
  SESSION,
  SESSION_NAMES,
  type Session,
  type State,
  type Step,
  validOf,
} from './records-state.ts';

interface Turn {
  readonly world: World;
  readonly state: State;
  readonly session: Session;
  readonly id: number;
  /** The pack that this session stores. */
  readonly pack: number;
  /** One step of this session: what changes in itself, and in the repository. */
  readonly act: (what: string, own: Partial<Session>, change?: Partial<State>) => void;
}

export function expandSession(world: World, state: State, id: number, step: Step): void {
  if (!world.takesPart(id)) return;
  const session = state.sessions[id - 1] as Session;
  const act: Turn['act'] = (what, own, change) => {
    const sessions = replaced(state.sessions, id - 1, { ...session, ...own });
    step(`${SESSION_NAMES[id]}: ${what}`, { ...state, ...change, sessions });
  };
  STEPS[session.next]?.({ world, state, session, id, pack: world.oldPacks + id - 1, act });
}

/** By `Session.next`. */
const STEPS: Readonly<Record<number, (turn: Turn) => void>> = {
  [SESSION.announce]: announce,
  [SESSION.listRecords]: listRecords,
  [SESSION.readRecords]: readRecords,
  [SESSION.confirmRecords]: confirmRecords,
  [SESSION.listSnapshots]: listSnapshots,
  [SESSION.listTombs]: listTombs,
  [SESSION.readTombs]: readTombs,
  [SESSION.listSnapshotsLate]: listSnapshotsLate,
  [SESSION.listSegments]: listSegments,
  [SESSION.decide]: decide,
  [SESSION.storePack]: storePack,
  [SESSION.makeDurable]: makeDurable,
  [SESSION.storeSegment]: storeSegment,
  [SESSION.commit]: commit,
  [SESSION.report]: report,
  [SESSION.withdraw]: withdraw,
};

function announce({ world, state, id, act }: Turn): void {
  const isSilent = world.lacks('undelete-intent') && world.can(id, 'z');
  const intents = isSilent ? state.intents : state.intents | (1 << id);
  act('puts its intent', { next: SESSION.listRecords }, { intents });
}

/** Sweeps and marks that are there, 2 bits for each generation. */
function presentRecords({ marks, sweeps }: Records): number {
  let present = 0;
  for (const [i, mark] of marks.entries()) {
    if (sweeps[i] !== undefined) present |= 1 << (2 * i);
    if (mark !== undefined) present |= 2 << (2 * i);
  }
  return present;
}

function listRecords({ world, state, act }: Turn): void {
  const { records } = state;
  if (world.isAbout('sweeps')) {
    act('lists gc/', {
      next: SESSION.readRecords,
      records: presentRecords(records),
      merged: records.merged?.generation ?? 0,
    });
  } else {
    const { dead, pendingMark } = records;
    const counted = pendingMark?.counted ?? -1;
    act('reads collector records', { next: SESSION.listSnapshots, dead, counted });
  }
}

function readRecords({ world, state, session, act }: Turn): void {
  const present = presentRecords(state.records);
  const isComplete = (session.records & ~present) === 0;
  if (!isComplete && !world.lacks('list-again')) {
    const again = { next: SESSION.listRecords, records: 0, merged: 0 };
    act('reads collector records: one is gone, so lists again', again);
    return;
  }
  const dead = deadByReading(world, state.records, {
    listed: session.records & present,
    hasMerged: session.merged > 0,
  });
  if (world.lacks('list-after-read')) {
    const next = SESSION.listSnapshots;
    act('reads collector records', { next, dead, records: 0, merged: 0 });
  } else {
    act('reads collector records', { next: SESSION.confirmRecords, dead, records: 0 });
  }
}

/** Dead packs by the records of a listing that are still there. */
function deadByReading(
  world: World,
  { marks, sweeps, merged }: Records,
  { listed, hasMerged }: { listed: number; hasMerged: boolean },
): number {
  const read = {
    merged:
      hasMerged && merged !== undefined
        ? [{ generation: merged.generation, delete: membersOf(merged.packs) }]
        : [],
    sweeps: sweeps.flatMap((packs, i) =>
      packs !== undefined && has(listed, 2 * i)
        ? [{ generation: i + 1, delete: membersOf(packs) }]
        : [],
    ),
    marks: marks.flatMap((mark, i) =>
      mark !== undefined && has(listed, 2 * i + 1)
        ? [{ generation: i + 1, condemned: membersOf(mark.condemned) }]
        : [],
    ),
  };
  const dead = maskOf(collectorView(read).deadPacks);
  if (!world.varies('heed-void')) return dead;
  const swept = read.sweeps.map(({ generation }) => generation);
  const unswept = read.marks.filter(({ generation }) => !swept.includes(generation));
  return (
    dead |
    maskOf(read.sweeps.flatMap((sweep) => sweep.delete)) |
    maskOf(unswept.flatMap((mark) => mark.condemned))
  );
}

function confirmRecords({ state, session, act }: Turn): void {
  const now = state.records.merged?.generation;
  const before = session.merged === 0 ? [] : [session.merged];
  if (isSettled(new Set(before), now === undefined ? [] : [now])) {
    act('lists gc/ again: as before', { next: SESSION.listSnapshots, merged: 0 });
  } else {
    const again = { next: SESSION.listRecords, dead: 0, merged: 0 };
    act('lists gc/ again: merged meanwhile, so starts again', again);
  }
}

/** After the view of snapshots. */
function nextAfterView(world: World): number {
  return world.isAbout('compact') ? SESSION.listSegments : SESSION.decide;
}

function listSnapshots({ world, state, act }: Turn): void {
  const manifests = manifestsOf(state);
  const gone = state.tombs | closedOf(state);
  if (!world.isAbout('tombs')) {
    const live = world.lacks('grace-collectors-only') ? keptOf(state) : validOf(state);
    const next = nextAfterView(world);
    act('lists snapshots and tombs', { next, live, forgotten: manifests & gone });
  } else if (world.lacks('tombs-last')) {
    act('reads tombs', { next: SESSION.listSnapshotsLate, tombs: gone });
  } else {
    act('lists snapshots', { next: SESSION.listTombs, manifests });
  }
}

function listSnapshotsLate({ world, state, session, act }: Turn): void {
  const live = liveAmong(manifestsOf(state), session.tombs, 0);
  act('lists snapshots', { next: nextAfterView(world), live, tombs: 0 });
}

function listTombs({ state, act }: Turn): void {
  const hasMergedTomb = state.closed >= 0;
  act('lists tombs', { next: SESSION.readTombs, tombs: state.tombs, hasMergedTomb });
}

function readTombs({ world, state, session, act }: Turn): void {
  const { manifests, tombs, hasMergedTomb } = session;
  const none = { tombs: 0, hasMergedTomb: false };
  if ((tombs & ~state.tombs) !== 0 && !world.lacks('list-again')) {
    act('reads tombs: one is gone, so lists again', { ...none, next: SESSION.listTombs });
    return;
  }
  const live = liveAmong(manifests, tombs & state.tombs, hasMergedTomb ? closedOf(state) : 0);
  act('reads tombs', { ...none, next: nextAfterView(world), manifests: 0, live });
}

function listSegments({ state, act }: Turn): void {
  act('lists segments', { next: SESSION.decide, segments: state.segments.present });
}

/** The view is complete: reads the segments and decides what to store. */
function decide(turn: Turn): void {
  const { world, state, session, id, act } = turn;
  const { segments } = state;
  const known = world.isAbout('compact') ? session.segments : segments.present;
  if ((known & ~segments.present) !== 0 && !world.lacks('session-segment-again')) {
    act('reads segments: one is gone, so lists again', {
      next: SESSION.listSegments,
      segments: 0,
    });
    return;
  }
  const indexed = segments.indexed(known);
  const present = indexed & state.stored & ~session.dead;
  const isPresent = decodable(present, state.contents).D;
  if (world.can(id, 'h') && isPresent) act('finds D present', DECIDED);
  if (world.can(id, 'r')) reuseTree(turn);
  if (world.can(id, 'u') && !isPresent) act('will store D whole', willStore('D'));
  if (world.can(id, 'd') && kindsIn(present, state.contents).has('X')) {
    act('will store D on X', willStore('d'));
  }
  if (world.can(id, 'a')) adopt(turn, { indexed, present });
  if (world.can(id, 'z')) {
    undelete(turn, { indexed, isPresent });
    reuseForgotten(turn);
  }
}

/** The view is no longer needed. */
const VIEW_USED = { live: 0, forgotten: 0, segments: 0 };
const DECIDED: Partial<Session> = { ...VIEW_USED, next: SESSION.commit };

function willStore(plan: Plan): Partial<Session> {
  return { ...VIEW_USED, next: SESSION.storePack, plan };
}

function countedBy({ counted }: Session): readonly number[] | undefined {
  return counted < 0 ? undefined : membersOf(counted);
}

function reuseTree({ session, id, act }: Turn): void {
  for (const parent of membersOf(session.live)) {
    if (parent === id) continue;
    if (mayReuseTree(parent, { isLive: true, counted: countedBy(session) })) {
      act(`reuses the tree of ${SESSION_NAMES[parent]}`, DECIDED);
    }
  }
}

function adopt(
  { world, state, session, act }: Turn,
  { indexed, present }: { indexed: number; present: number },
): void {
  const view = {
    indexed: new Set(membersOf(indexed)),
    dead: new Set(membersOf(session.dead & ~wronglyAdoptable(world, state))),
  };
  for (const pack of membersOf(state.stored)) {
    if (!isAdoptable(pack, view)) continue;
    const kind = kindIn(state.contents, pack);
    const isTrusted = world.lacks('adopt-chain') && (kind === 'D' || kind === 'd');
    if (!decodable(present | (1 << pack), state.contents).D && !isTrusted) continue;
    act(`adopts pack ${pack} (${kind})`, {
      ...VIEW_USED,
      next: world.lacks('adopt-durable') ? SESSION.storeSegment : SESSION.makeDurable,
      plan: { adopts: pack },
    });
  }
}

/** Dead packs that are adopted all the same, without a rule. */
function wronglyAdoptable(world: World, { records, stored }: State): number {
  if (world.lacks('adopt-unswept')) return records.swept;
  return world.lacks('adopt-uncondemned') ? stored & ~records.swept : 0;
}

function undelete(
  { world, state, session, id, act }: Turn,
  { indexed, isPresent }: { indexed: number; isPresent: boolean },
): void {
  for (const old of membersOf(session.forgotten)) {
    if (old === id) continue;
    const name = SESSION_NAMES[old];
    const refuse = (why: string): void => {
      const isRefused = state.isRefused || has(state.inGrace, old);
      act(`undelete of ${name}: ${why}`, { ...VIEW_USED, next: SESSION.over }, { isRefused });
    };
    const isReadable = decodable(indexed & state.stored, state.contents).D;
    if (outcomeOf(state.outcomes, old) !== OUTCOME.manifest) refuse('its manifest is gone');
    else if (world.lacks('undelete-blobs') || isPresent) {
      act(`undelete of ${name}: all blobs are present`, DECIDED);
    } else if (isReadable && !world.lacks('undelete-restores')) {
      act(`undelete of ${name}: reads D from a dead pack`, willStore('D'));
    } else refuse('a blob is missing');
  }
}

/** Without the rule that only collectors use the grace. */
function reuseForgotten({ world, state, session, id, act }: Turn): void {
  if (!world.lacks('grace-collectors-only')) return;
  for (const old of membersOf(session.live & (state.tombs | closedOf(state)))) {
    if (old === id) continue;
    if (mayReuseTree(old, { isLive: true, counted: countedBy(session) })) {
      act(`reuses the root of forgotten ${SESSION_NAMES[old]}`, DECIDED);
    }
  }
}

function storePack({ world, state, session, pack, act }: Turn): void {
  const plan = session.plan === 'd' ? 'd' : 'D';
  const isVolatile = world.isAbout('adopt');
  const next = isVolatile ? SESSION.makeDurable : SESSION.storeSegment;
  const bit = 1 << pack;
  act(
    `stores pack ${pack} with ${plan}`,
    { next },
    {
      stored: state.stored | bit,
      volatile: isVolatile ? state.volatile | bit : state.volatile,
      contents: withKind(state.contents, pack, plan),
    },
  );
}

/** The pack it stored or adopted. */
function packOf({ session, pack }: Turn): number {
  return typeof session.plan === 'object' ? session.plan.adopts : pack;
}

function makeDurable(turn: Turn): void {
  const volatile = turn.state.volatile & ~(1 << packOf(turn));
  turn.act('syncs pack and directory', { next: SESSION.storeSegment }, { volatile });
}

function storeSegment(turn: Turn): void {
  const { world, state, id, act } = turn;
  const segments = world.segments.with(state.segments, id, { packs: 1 << packOf(turn) });
  act('stores a segment', { next: SESSION.commit, plan: '-' }, { segments });
}

function commit({ state, id, act }: Turn): void {
  if (outcomeOf(state.outcomes, id) === OUTCOME.none) {
    const outcomes = withOutcome(state.outcomes, id, OUTCOME.manifest);
    act('commits', { next: SESSION.report }, { outcomes });
  } else {
    act('is refused', { next: SESSION.over });
  }
}

/** Step 7. Meanwhile a commit that is sent twice may arrive again. */
function report({ world, state, id, act }: Turn): void {
  if (
    reportOf(id, endedBy(state.tombs, closedOf(state))) === 'committed' ||
    world.lacks('step-7')
  ) {
    const reported = state.reported | (1 << id);
    act('REPORTS success', { next: SESSION.withdraw }, { reported });
  } else {
    act('looks again: its snapshot is void', { next: SESSION.over });
  }
  if (world.isAbout('tombs') && outcomeOf(state.outcomes, id) === OUTCOME.none) {
    act('commits once more', {}, { outcomes: withOutcome(state.outcomes, id, OUTCOME.manifest) });
  }
}

function withdraw({ state, id, act }: Turn): void {
  act('removes its intent', { next: SESSION.over }, { intents: state.intents & ~(1 << id) });
}

/** Packs that a session or collector may take over now. */
export function adoptableNow({ stored, records, ...state }: State): number[] {
  const indexed = new Set(membersOf(indexOf({ stored, records, ...state })));
  const dead = new Set(membersOf(records.dead));
  return membersOf(stored).filter((pack) => isAdoptable(pack, { indexed, dead }));
}
