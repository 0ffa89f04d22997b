/**
 * What a simulated history has promised, and what of it does not hold in a disk that was found after
 * a fault. The ledger is an object of its own beside the repository: it learns of a snapshot when the
 * program says that it is done, and of one that is to be forgotten before the program begins.
 */
import type { SimFacts } from './sim-judge.ts';

export class SimLedger {
  isInitialised = false;
  /** Acknowledged snapshots by id, with what they hold. */
  readonly acknowledged: Map<string, string> = new Map();
  /** Those among them that somebody began to forget: they may be gone. */
  readonly leaving: Set<string> = new Set();
  /** Those that the program said are forgotten: they must be gone. */
  readonly forgotten: Set<string> = new Set();
  /** Everything that any snapshot may hold. */
  readonly allowed: Set<string> = new Set();
  /** Packs were taken away: snapshots that were unreadable after that may still be. */
  readonly hurt: Set<string> = new Set();
  /** Segments or packs were taken away and nobody has said that this is repaired. */
  isDamaged = false;
  /** A pack was taken away; segments go on naming it. */
  hasLostPack = false;

  /** Another one whenever something was promised since. */
  get mark(): string {
    const { acknowledged, leaving, forgotten, allowed, hurt, isInitialised, isDamaged } = this;
    const sizes = [acknowledged, leaving, forgotten, allowed, hurt].map(({ size }) => size);
    return `${sizes} ${isInitialised} ${isDamaged}`;
  }

  copy(): SimLedger {
    const copy = new SimLedger();
    copy.isInitialised = this.isInitialised;
    copy.isDamaged = this.isDamaged;
    copy.hasLostPack = this.hasLostPack;
    for (const [id, text] of this.acknowledged) copy.acknowledged.set(id, text);
    for (const name of ['leaving', 'forgotten', 'allowed', 'hurt'] as const) {
      for (const one of this[name]) copy[name].add(one);
    }
    return copy;
  }

  /** One line for each promise that is broken. */
  lossesIn(facts: SimFacts): string[] {
    if (facts.isAbsent && !this.isInitialised) return [];
    if (facts.failure !== undefined) return [`the repository does not open: ${facts.failure}`];
    const losses: string[] = [];
    for (const id of this.acknowledged.keys()) {
      const mayMiss = this.leaving.has(id) || this.hurt.has(id);
      if (!mayMiss && !facts.snapshots.has(id)) losses.push(`lost: snapshot ${id} is not there`);
    }
    for (const [id, text] of facts.snapshots) {
      if (this.forgotten.has(id)) losses.push(`snapshot ${id} is back, and was forgotten`);
      if (!this.#mayHold(id, text)) losses.push(`wrong: snapshot ${id}: ${text.slice(0, 300)}`);
    }
    if (!this.isDamaged) losses.push(...facts.damage);
    if (!this.hasLostPack) losses.push(...facts.missing);
    return losses;
  }

  #mayHold(id: string, text: string): boolean {
    if (this.hurt.has(id) && text.startsWith('unreadable')) return true;
    const expected = this.acknowledged.get(id);
    return expected === undefined ? this.allowed.has(text) : expected === text;
  }
}

/** Names that were durable and are gone or changed, though the operation was not to touch them. */
export function lostObjects(
  before: ReadonlyMap<string, string>,
  facts: SimFacts,
  mayDelete: RegExp,
): string[] {
  const lost: string[] = [];
  for (const [name, digest] of before) {
    const found = facts.objects.get(name);
    if (found === digest) continue;
    if (found !== undefined) lost.push(`object ${name} was changed`);
    else if (!mayDelete.test(name)) lost.push(`object ${name} was deleted`);
    else if (/^(data|meta)\//.test(name) && !facts.swept.has(name.slice(name.lastIndexOf('/') + 1)))
      lost.push(`pack ${name} was deleted, and no sweep names it`);
  }
  return lost;
}
