/**
 * A model of collection (docs/collection-model.md): clients that save, collectors that mark and sweep,
 * deltas and repack. Where the product decides something, the model asks the same function of
 * `src/protocol`; a rule that is removed is replaced here, never there.
 *
 * Every snapshot refers to the blob D, and none to X (`copies.ts`). One step is one request to the
 * storage; everybody may stop for ever before any of them. A client that was fenced and wakes up may
 * still store its pack and its segment.
 *
 * It must hold: while there is a live snapshot, D can be decoded from packs that exist and are indexed.
 */
import { expandClient } from './collection-clients.ts';
import { expandCollector } from './collection-collectors.ts';
import { type CollectionSetup, World } from './collection-setup.ts';
import {
  CLIENT,
  clientAt,
  encodeState,
  IDLE,
  liveOf,
  SESSION_NAMES,
  type State,
  type Step,
} from './collection-state.ts';
import { isReadable } from './copies.ts';
import type { Model } from './explorer.ts';
import { membersOf } from './masks.ts';
import { OUTCOME } from './outcomes.ts';

export function collectionModel(setup: CollectionSetup): Model<State> {
  const world = new World(setup);
  const packs = 2 ** world.oldPacks - 1;
  return {
    initial: {
      stored: packs,
      indexed: packs,
      contents: world.oldContents,
      outcomes: world.hasSnapshot ? OUTCOME.manifest : OUTCOME.none,
      forgotten: 0,
      intents: 0,
      records: world.book.empty,
      clients: Array.from({ length: world.clients }, () => clientAt(CLIENT.announce)),
      collectors: Array.from({ length: world.collectors }, () => IDLE),
    },
    expand: (state, step) => expand(world, state, step),
    violation,
    encode: encodeState,
  };
}

function expand(world: World, state: State, step: Step): void {
  for (const id of membersOf(liveOf(state))) {
    step(`forget ${SESSION_NAMES[id]}`, { ...state, forgotten: state.forgotten | (1 << id) });
  }
  for (let id = 1; id <= world.clients; id++) expandClient(world, state, id, step);
  for (let j = 0; j < world.collectors; j++) expandCollector(world, state, j, step);
}

function violation(state: State): string | undefined {
  if (liveOf(state) === 0) return undefined;
  const isLost = !isReadable(state.stored & state.indexed, state.contents);
  return isLost ? 'snapshot lost' : undefined;
}
