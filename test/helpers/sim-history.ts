/**
 * Histories of simulated clients as data: what they begin with and what happens one after the other. A
 * number gives a history; its text gives it again, so that one that was made smaller can be kept.
 *
 *   two 17: a snapshot 3 @4; b forget 1 + a prune-now @9; pass 49 @2; a undelete 0 !31 @8
 *
 * `+` stands between steps whose requests are mixed, `!31` for a process that ends before its call 31,
 * `@4` for all that is random in a step.
 */
import { type SeededRandom, seededRandom } from './seeded-random.ts';

export const SIM_BASES = [
  'new',
  'two',
  'forgotten',
  'segments',
  'compacted',
  'records',
  'merged',
] as const;
export type SimBase = (typeof SIM_BASES)[number];

export const SIM_ACTIONS = [
  'init',
  'snapshot',
  'forget',
  'undelete',
  'prune',
  'prune-now',
  'key-add',
  'key-replace',
  'rebuild',
  'heal',
  'lose-segment',
  'lose-pack',
  'pass',
] as const;
export type SimAction = (typeof SIM_ACTIONS)[number];

/** Done by a client, with a number: which version, which snapshot, which object, how many hours. */
export interface SimMove {
  readonly client: string;
  readonly action: SimAction;
  readonly which: number;
}

export interface SimStep {
  /** More than one: at the same time. */
  readonly moves: readonly SimMove[];
  /** Its process ends before this call. */
  readonly stopAt?: number;
  readonly salt: number;
}

export interface SimHistory {
  readonly base: SimBase;
  readonly steps: readonly SimStep[];
}

/** The table of docs/reliability.md has a row for each. */
export function operationOf({ moves }: SimStep): string {
  return moves.length > 1 ? 'two clients at once' : (moves[0] as SimMove).action;
}

const WITHOUT_CALLS: ReadonlySet<SimAction> = new Set<SimAction>([
  'lose-segment',
  'lose-pack',
  'pass',
]);

/** False for what happens to the disk without any client. */
export function hasCalls({ moves }: SimStep): boolean {
  return moves.some(({ action }) => !WITHOUT_CALLS.has(action));
}

const clients = ['a', 'b'];
const stepCountMax = 4;
const saltCount = 1_000_000;

export function historyOf(number: number): SimHistory {
  const random = seededRandom(500_000_000 + number);
  const base = baseOf(random);
  const steps: SimStep[] = [];
  const count = 1 + random.below(stepCountMax);
  if (base === 'new') steps.push({ moves: [move(random, 'init')], salt: random.below(saltCount) });
  while (steps.length < count) {
    for (const step of stepsOf(random)) steps.push({ ...step, salt: random.below(saltCount) });
  }
  return { base, steps };
}

/** A step, or two that belong together. */
function stepsOf(random: SeededRandom): Omit<SimStep, 'salt'>[] {
  const dice = random.below(20);
  if (dice < 1) return [alone(random, 'lose-segment'), alone(random, 'rebuild')];
  if (dice < 2) return [alone(random, 'lose-pack'), alone(random, 'heal')];
  if (dice < 4) {
    return [{ moves: [move(random, 'pass', 13 + random.below(60))] }, alone(random, 'prune')];
  }
  if (dice < 8) {
    const order = random.below(2) === 0 ? clients : clients.toReversed();
    return [{ moves: order.map((client) => ({ ...move(random, actionOf(random)), client })) }];
  }
  const step = alone(random, actionOf(random));
  return [dice < 11 ? { ...step, stopAt: 5 + random.below(200) } : step];
}

function alone(random: SeededRandom, action: SimAction): Omit<SimStep, 'salt'> {
  return { moves: [move(random, action)] };
}

/** The larger ones cost more for each state, and what is special about them comes soon. */
function baseOf(random: SeededRandom): SimBase {
  const dice = random.below(24);
  if (dice < 4) return 'new';
  if (dice < 14) return 'two';
  if (dice < 22) return 'forgotten';
  const [soon, later] = dice < 23 ? ['segments', 'compacted'] : ['records', 'merged'];
  return (random.below(2) === 0 ? soon : later) as SimBase;
}

function actionOf(random: SeededRandom): SimAction {
  const dice = random.below(20);
  if (dice < 6) return 'snapshot';
  if (dice < 9) return 'forget';
  if (dice < 11) return 'undelete';
  if (dice < 16) return 'prune-now';
  if (dice < 17) return 'prune';
  if (dice < 18) return 'rebuild';
  return dice < 19 ? 'key-add' : 'key-replace';
}

function move(random: SeededRandom, action: SimAction, which = random.below(8)): SimMove {
  return { client: clients[random.below(clients.length)] as string, action, which };
}

export function historyText({ base, steps }: SimHistory): string {
  return `${base}: ${steps.map(stepText).join('; ')}`;
}

export function stepText({ moves, stopAt, salt }: SimStep): string {
  const texts = moves.map(({ client, action, which }) => `${client} ${action} ${which}`);
  return `${texts.join(' + ')}${stopAt === undefined ? '' : ` !${stopAt}`} @${salt}`;
}

/** @throws TypeError where it is not the text of a history. */
export function parseHistory(text: string): SimHistory {
  const [base = '', rest = ''] = text.split(': ');
  if (!SIM_BASES.includes(base as SimBase)) throw new TypeError(`no such beginning: "${base}"`);
  return { base: base as SimBase, steps: rest.split('; ').map(parseStep) };
}

function parseStep(text: string): SimStep {
  const match = /^(.+?)(?: !(\d+))? @(\d+)$/.exec(text);
  if (match === null) throw new TypeError(`not a step: "${text}"`);
  const moves = (match[1] as string).split(' + ').map((one): SimMove => {
    const [client = '', action = '', which = ''] = one.split(' ');
    if (!SIM_ACTIONS.includes(action as SimAction)) throw new TypeError(`no such action: "${one}"`);
    return { client, action: action as SimAction, which: Number(which) };
  });
  const stopAt = match[2] === undefined ? {} : { stopAt: Number(match[2]) };
  return { moves, salt: Number(match[3]), ...stopAt };
}
