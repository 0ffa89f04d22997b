/** What clients do in the model of collection (`collection-model.ts`). */
import { mayReuseTree } from '../../src/protocol/reuse.ts';
import type { World } from './collection-setup.ts';
import {
  CLIENT,
  type Client,
  clientAt,
  liveOf,
  SESSION_NAMES,
  type State,
  type Step,
} from './collection-state.ts';
import { decodable, kindsIn, withKind } from './copies.ts';
import { has, membersOf, replaced } from './masks.ts';
import { OUTCOME, outcomeOf, withOutcome } from './outcomes.ts';

interface Turn {
  readonly world: World;
  readonly state: State;
  readonly client: Client;
  readonly id: number;
  /** The pack that this client stores. */
  readonly pack: number;
  /** One step of this client: how it goes on, and what changes in the repository. */
  readonly act: (what: string, next: Client, change?: Partial<State>) => void;
}

export function expandClient(world: World, state: State, id: number, step: Step): void {
  const client = state.clients[id - 1] as Client;
  const act: Turn['act'] = (what, next, change) => {
    const clients = replaced(state.clients, id - 1, next);
    step(`${SESSION_NAMES[id]}: ${what}`, { ...state, ...change, clients });
  };
  STEPS[client.next]?.({ world, state, client, id, pack: world.oldPacks + id - 1, act });
}

/** By `Client.next`. */
const STEPS: Readonly<Record<number, (turn: Turn) => void>> = {
  [CLIENT.announce]: announce,
  [CLIENT.readRecords]: readRecords,
  [CLIENT.decide]: decide,
  [CLIENT.storePack]: storePack,
  [CLIENT.storeSegment]: storeSegment,
  [CLIENT.commit]: commit,
  [CLIENT.withdraw]: withdraw,
};

function announce({ world, state, id, act }: Turn): void {
  const intents = world.lacks('intent-first') ? state.intents : state.intents | (1 << id);
  act('puts its intent', clientAt(CLIENT.readRecords), { intents });
}

function readRecords({ world, state, act }: Turn): void {
  const { swept, dead, pendingMark } = state.records;
  const counted = pendingMark?.counted ?? -1;
  act('reads collector records', {
    next: CLIENT.decide,
    dead: world.lacks('mark') ? swept : dead,
    counted,
    plan: '-',
  });
}

/** With its view at hand: is D present, what is stored otherwise, may a parent be reused? */
function decide(turn: Turn): void {
  const { world, state, client, act } = turn;
  const inView = state.indexed & ~client.dead;
  const present = decodable(inView, state.contents);
  const kinds = kindsIn(inView, state.contents);
  const isCopyEnough = world.lacks('chain') && (kinds.has('D') || kinds.has('d'));
  if (present.D || isCopyEnough) {
    act('finds D present', clientAt(CLIENT.commit));
  } else {
    act('will store D whole', clientAt(CLIENT.storePack, 'D'));
    const isBaseKnown = world.lacks('base') && kindsIn(state.indexed, state.contents).has('X');
    if (present.X || isBaseKnown) act('will store D on X', clientAt(CLIENT.storePack, 'd'));
  }
  reuseTree(turn);
}

function reuseTree({ world, state, client, id, act }: Turn): void {
  const isAnyGood = client.counted < 0 || world.lacks('counted-parent');
  const counted = isAnyGood ? undefined : membersOf(client.counted);
  const parents = membersOf(liveOf(state) & ~(1 << id));
  const parent = parents.find((one) => mayReuseTree(one, { isLive: true, counted }));
  if (parent === undefined) return;
  act(`reuses the tree of ${SESSION_NAMES[parent]}`, clientAt(CLIENT.commit));
}

function storePack({ state, client, pack, act }: Turn): void {
  act(`stores pack ${pack} with ${client.plan}`, clientAt(CLIENT.storeSegment), {
    stored: state.stored | (1 << pack),
    contents: withKind(state.contents, pack, client.plan),
  });
}

function storeSegment({ state, pack, act }: Turn): void {
  const indexed = state.indexed | (1 << pack);
  act(`stores a segment over pack ${pack}`, clientAt(CLIENT.commit), { indexed });
}

function commit({ world, state, client, id, act }: Turn): void {
  if (world.lacks('intent-first') && !has(state.intents, id)) {
    act('puts its intent late', client, { intents: state.intents | (1 << id) });
    return;
  }
  const outcome = outcomeOf(state.outcomes, id);
  const isFenced = outcome === OUTCOME.fence;
  if (outcome === OUTCOME.none || (isFenced && world.lacks('one-outcome'))) {
    const outcomes = withOutcome(state.outcomes, id, OUTCOME.manifest);
    act(isFenced ? 'commits over its fence' : 'commits', clientAt(CLIENT.withdraw), { outcomes });
  } else {
    act('is refused', clientAt(CLIENT.withdraw));
  }
}

function withdraw({ state, id, act }: Turn): void {
  act('removes its intent', clientAt(CLIENT.over), { intents: state.intents & ~(1 << id) });
}
