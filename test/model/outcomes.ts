/** Outcomes of sessions in the models, 2 bits for each in one number, and what follows from them. */
import { type Ended, endedSessions, isKept, isLive, isOpen } from '../../src/protocol/outcomes.ts';
import { maskOf, membersOf, remember } from './masks.ts';

/** What is stored at `snapshots/<id>`. */
export const OUTCOME = { none: 0, manifest: 1, fence: 2 } as const;

const SESSIONS_MAX = 5;

export function outcomeOf(outcomes: number, id: number): number {
  return (outcomes >> (2 * id)) & 3;
}

export function withOutcome(outcomes: number, id: number, outcome: number): number {
  return (outcomes & ~(3 << (2 * id))) | (outcome << (2 * id));
}

/** Sessions with that outcome. */
export function sessionsWith(outcomes: number, outcome: number): number {
  let ids = 0;
  for (let id = 0; id < SESSIONS_MAX; id++) {
    if (outcomeOf(outcomes, id) === outcome) ids |= 1 << id;
  }
  return ids;
}

/** What tombs and the merged tomb say. */
export function endedBy(forgotten: number, closed: number): Ended<number> {
  const merged = { forgotten: [], closed: membersOf(closed) };
  const tombs = [{ forgotten: membersOf(forgotten), closed: [] }, merged];
  return endedSessions({ fences: [], tombs });
}

function keyOf(...masks: number[]): number {
  return masks.reduce((key, mask) => (key << SESSIONS_MAX) | mask, 0);
}

/** Which of these manifests count. */
export const liveAmong: (manifests: number, forgotten: number, closed: number) => number = remember(
  keyOf,
  (manifests, forgotten, closed) => {
    const ended = endedBy(forgotten, closed);
    return maskOf(membersOf(manifests).filter((id) => isLive(id, ended)));
  },
);

/** Which of these manifests a collector keeps, when those were forgotten inside the grace. */
export const keptAmong: (
  manifests: number,
  forgotten: number,
  closed: number,
  inGrace: number,
) => number = remember(keyOf, (manifests, forgotten, closed, inGrace) => {
  const ended = endedBy(forgotten, closed);
  const young = new Set(membersOf(inGrace));
  return maskOf(membersOf(manifests).filter((id) => isKept(id, ended, young)));
});

/** Which of these sessions may still commit, when something is stored under the names of those. */
export const openAmong: (
  intents: number,
  named: number,
  forgotten: number,
  closed: number,
) => number = remember(keyOf, (intents, named, forgotten, closed) => {
  const ended = endedBy(forgotten, closed);
  const outcomes = new Set(membersOf(named));
  return maskOf(membersOf(intents).filter((id) => isOpen(id, outcomes, ended)));
});
