/**
 * What is explored, and what must come out: the tables of docs/collection-model.md. Where every state
 * was seen, their number is part of the result, so that a model that silently lost a step is noticed;
 * where something goes wrong, the length of a shortest way there.
 */
import { collectionModel } from './collection-model.ts';
import type { CollectionRule, CollectionVariant } from './collection-setup.ts';
import {
  type Exploration,
  exploreBreadthFirst,
  exploreDepthFirst,
  type Model,
} from './explorer.ts';
import { recordsModel } from './records-model.ts';
import {
  describeScenario,
  type RecordsRule,
  type RecordsVariant,
  type ScenarioName,
} from './records-setup.ts';

/** States seen without a violation, or steps until something goes wrong. */
export type Expected =
  | { readonly states: number }
  | { readonly steps: number; readonly violation: string };

export interface Row {
  /** The model, and what is configured in it. */
  readonly model: 'collection' | 'records';
  readonly configuration: string;
  readonly removed: readonly string[];
  readonly variants: readonly string[];
  readonly expected: Expected;
  /** Takes a second at most. */
  readonly isQuick: boolean;
  explore(): Exploration;
}

export interface Table {
  readonly title: string;
  readonly rows: readonly Row[];
}

/** More than any row has. */
const STATE_LIMIT = 10_000_000;
const QUICK_STATES = 100_000;

/** Depth first where everything must be seen, breadth first where a shortest way is looked for. */
function run<State>(model: Model<State>, expected: Expected): Exploration {
  const explore = 'states' in expected ? exploreDepthFirst : exploreBreadthFirst;
  return explore(model, STATE_LIMIT);
}

const LOST = 'snapshot lost';
const VOID = 'reported snapshot is void';
const REFUSED = 'undelete refused inside the grace';

type Sizes = readonly [clients: number, collectors: number, generations: number];
type CollectionScenario = 'chain' | 'cycle' | 'new';

interface Changes<Rule, Variant> {
  readonly removed?: readonly Rule[];
  readonly variants?: readonly Variant[];
  readonly isSlow?: boolean;
}

function collection(
  [clients, collectors, generations]: Sizes,
  scenario: CollectionScenario,
  expected: Expected,
  changes: Changes<CollectionRule, CollectionVariant> = {},
): Row {
  const { removed = [], variants = [], isSlow = false } = changes;
  const setup = { clients, collectors, generations, scenario, removed, variants };
  return {
    model: 'collection',
    configuration: `${clients} / ${collectors} / ${generations}, ${scenario}`,
    removed,
    variants,
    expected,
    isQuick: !isSlow && isQuick(expected),
    explore: () => run(collectionModel(setup), expected),
  };
}

function records(
  scenario: ScenarioName,
  expected: Expected,
  changes: Changes<RecordsRule, RecordsVariant> = {},
): Row {
  const { removed = [], variants = [], isSlow = false } = changes;
  return {
    model: 'records',
    configuration: `${describeScenario(scenario)}, ${scenario}`,
    removed,
    variants,
    expected,
    isQuick: !isSlow && isQuick(expected),
    explore: () => run(recordsModel({ scenario, removed, variants }), expected),
  };
}

function isQuick(expected: Expected): boolean {
  return !('states' in expected) || expected.states <= QUICK_STATES;
}

function seen(states: number): Expected {
  return { states };
}

function fails(steps: number, violation: string = LOST): Expected {
  return { steps, violation };
}

export const TABLES: readonly Table[] = [
  {
    title: 'Collection, all rules',
    rows: [
      collection([2, 1, 1], 'chain', seen(186_244)),
      collection([1, 2, 2], 'chain', seen(1_162_316)),
      collection([2, 1, 2], 'chain', seen(1_725_792)),
      collection([1, 1, 2], 'cycle', seen(436_846)),
      collection([1, 2, 1], 'cycle', seen(1_177_185)),
      collection([2, 1, 2], 'new', seen(1_599_477)),
      collection([1, 2, 2], 'new', seen(342_932)),
      collection([2, 2, 1], 'chain', seen(5_986_525)),
      collection([2, 2, 1], 'new', seen(6_249_142)),
    ],
  },
  {
    title: 'Collection, a rule removed',
    rows: [
      collection([1, 1, 1], 'chain', fails(13), { removed: ['wait'] }),
      collection([1, 1, 1], 'chain', fails(13), { removed: ['relist'] }),
      collection([1, 2, 1], 'cycle', fails(21), { removed: ['one-sweep'], isSlow: true }),
      collection([1, 1, 1], 'chain', fails(13), { removed: ['mark'] }),
      collection([1, 1, 1], 'chain', fails(14), { removed: ['intent-first'] }),
      collection([1, 1, 1], 'chain', fails(14), { removed: ['one-outcome'] }),
      collection([2, 1, 1], 'chain', fails(18), { removed: ['counted-parent'] }),
      collection([1, 1, 1], 'chain', fails(8), { removed: ['bases'] }),
      collection([1, 1, 1], 'new', fails(14), { removed: ['bases'] }),
      collection([2, 1, 1], 'new', fails(18), { removed: ['chain'] }),
      collection([1, 1, 1], 'cycle', fails(9), { removed: ['fixpoint'] }),
      collection([2, 1, 1], 'chain', fails(13), { removed: ['chain'] }),
      collection([1, 1, 2], 'chain', fails(15), { removed: ['base'] }),
      collection([1, 1, 1], 'chain', fails(8), { removed: ['durable-repack'] }),
      collection([1, 1, 2], 'chain', seen(28_715), { removed: ['spare-open'] }),
      collection([2, 1, 2], 'chain', seen(1_813_541), { removed: ['spare-open'] }),
      collection([1, 1, 2], 'chain', seen(22_703), { variants: ['strand-none'] }),
      collection([2, 1, 2], 'chain', fails(20), {
        removed: ['chain'],
        variants: ['strand-none'],
        isSlow: true,
      }),
    ],
  },
  {
    title: 'Collection, done in another way',
    rows: [
      collection([1, 1, 1], 'chain', seen(12_003), { variants: ['any-part'] }),
      collection([2, 1, 1], 'chain', seen(346_329), { variants: ['any-part'] }),
      collection([1, 2, 1], 'chain', seen(330_914), { variants: ['any-part'] }),
      collection([1, 1, 1], 'cycle', seen(160_237), { variants: ['any-part'] }),
      collection([1, 1, 2], 'chain', seen(270_059), { variants: ['any-part'] }),
      collection([2, 1, 1], 'new', seen(403_867), { variants: ['any-part'] }),
      collection([1, 2, 1], 'new', seen(93_986), { variants: ['any-part'] }),
      collection([1, 1, 1], 'cycle', fails(9), { removed: ['fixpoint'], variants: ['any-part'] }),
      collection([1, 1, 1], 'chain', seen(8_906), { variants: ['repack-session'] }),
      collection([2, 1, 1], 'chain', seen(255_958), { variants: ['repack-session'] }),
      collection([1, 2, 1], 'chain', seen(2_158_262), { variants: ['repack-session'] }),
      collection([1, 1, 2], 'chain', seen(39_438), { variants: ['repack-session'] }),
      collection([1, 1, 1], 'cycle', seen(67_074), { variants: ['repack-session'] }),
      collection([2, 1, 1], 'new', seen(297_612), { variants: ['repack-session'] }),
      collection([1, 2, 1], 'new', seen(555_688), { variants: ['repack-session'] }),
      collection([1, 1, 1], 'chain', fails(10), {
        removed: ['durable-repack'],
        variants: ['repack-session'],
      }),
      collection([1, 1, 1], 'chain', fails(13), {
        removed: ['wait'],
        variants: ['repack-session'],
      }),
      collection([1, 1, 1], 'cycle', fails(9), {
        removed: ['fixpoint'],
        variants: ['repack-session'],
      }),
      collection([1, 2, 1], 'chain', seen(262_638), { variants: ['adopters'] }),
      collection([1, 2, 1], 'new', seen(73_830), { variants: ['adopters'] }),
      collection([1, 2, 2], 'new', seen(472_735), { variants: ['adopters'] }),
      collection([1, 2, 1], 'cycle', seen(1_994_098), { variants: ['adopters'] }),
      collection([1, 2, 1], 'chain', seen(262_990), {
        removed: ['own-walk'],
        variants: ['adopters'],
      }),
      collection([1, 2, 2], 'new', seen(473_647), {
        removed: ['own-walk'],
        variants: ['adopters'],
      }),
      collection([1, 2, 1], 'chain', fails(13), { removed: ['relist'], variants: ['adopters'] }),
      collection([1, 1, 1], 'chain', seen(16_598), {
        variants: ['any-part', 'repack-session', 'adopters'],
      }),
      collection([1, 2, 1], 'new', seen(1_649_012), {
        variants: ['any-part', 'repack-session', 'adopters'],
      }),
    ],
  },
  {
    title: 'Records, all rules',
    rows: [
      records('tombs', seen(174_689)),
      records('tombs-2', seen(42_433)),
      records('tombs-3', seen(6_801_755)),
      records('sweeps', seen(600_183), { variants: ['heed-void'] }),
      records('sweeps-b', seen(509_527), { variants: ['heed-void'] }),
      records('sweeps-2', seen(44_865), { variants: ['heed-void'] }),
      records('sweeps-k', seen(296_269), { variants: ['heed-void'] }),
      records('adopt', seen(298_611)),
      records('adopt-2', seen(1_314_951)),
      records('adopt-delta', seen(36_061)),
      records('undelete', seen(292_571)),
      records('undelete-2', seen(8_434)),
      records('undelete-3', seen(77_939)),
      records('grace0', seen(86_793)),
      records('compact', seen(415_387)),
      records('compact-b', seen(364_989)),
      records('compact-2', seen(72_749)),
      records('sweeps', seen(589_023)),
      records('sweeps-b', seen(508_159)),
      records('sweeps-2', seen(44_865)),
      records('sweeps-k', seen(290_413)),
      records('adopt', seen(607_692), { variants: ['any-part'] }),
      records('sweeps', seen(1_095_265), { variants: ['any-part'] }),
      records('undelete', seen(670_459), { variants: ['any-part'] }),
      records('compact', seen(452_110), { variants: ['any-part'] }),
      records('tombs', seen(189_165), { variants: ['drop-void'] }),
      records('tombs-2', seen(43_421), { variants: ['drop-void'] }),
      records('tombs-3', seen(7_198_839), { variants: ['drop-void'] }),
    ],
  },
  {
    title: 'Records, a rule removed',
    rows: [
      records('tombs', fails(21), { removed: ['closed-fenced'] }),
      records('tombs', fails(20), { removed: ['closed-forgotten'] }),
      records('tombs', fails(20), { removed: ['merged-first'] }),
      records('tombs', fails(22, VOID), { removed: ['step-7'] }),
      records('tombs', fails(26), { removed: ['tombs-last'] }),
      records('tombs', fails(20), { removed: ['list-again'] }),
      records('tombs', fails(22, VOID), { removed: ['step-7'], variants: ['drop-void'] }),
      records('sweeps', fails(25), { removed: ['void'], isSlow: true }),
      records('sweeps', fails(27), { removed: ['recheck'], isSlow: true }),
      records('sweeps', fails(24), { removed: ['list-after-read'], isSlow: true }),
      records('sweeps', fails(28), { removed: ['execute-after-list'], isSlow: true }),
      records('sweeps-k', fails(28), { removed: ['execute-after-list'], isSlow: true }),
      records('sweeps-b', seen(518_987), { removed: ['list-again'] }),
      records('sweeps-b', seen(520_355), { removed: ['list-again'], variants: ['heed-void'] }),
      records('sweeps-b', fails(20), { removed: ['merged-first'], isSlow: true }),
      records('sweeps-b', fails(22), { removed: ['keep-names'], isSlow: true }),
      records('sweeps-b', fails(24), {
        removed: ['keep-names'],
        variants: ['heed-void'],
        isSlow: true,
      }),
      records('sweeps-b', fails(24), { removed: ['keep-gone-names'], isSlow: true }),
      records('sweeps-b', fails(26), {
        removed: ['keep-gone-names'],
        variants: ['heed-void'],
        isSlow: true,
      }),
      records('adopt', fails(20), { removed: ['adopt-uncondemned'] }),
      records('adopt', fails(20), { removed: ['adopt-unswept'] }),
      records('adopt-delta', fails(20), { removed: ['adopt-chain'] }),
      records('adopt', fails(12), { removed: ['adopt-durable'] }),
      records('adopt', seen(394_153), { removed: ['relist-segments'] }),
      records('adopt', fails(15), { removed: ['relist-segments', 'abort'] }),
      records('undelete', fails(14), { removed: ['undelete-blobs'] }),
      records('undelete', fails(14), { removed: ['undelete-intent'] }),
      records('grace0', fails(13), { removed: ['grace-collectors-only'] }),
      records('undelete', fails(20, REFUSED), { removed: ['grace-step-6'] }),
      records('undelete-2', fails(13, REFUSED), { removed: ['grace-manifest'] }),
      records('undelete', fails(15, REFUSED), { removed: ['undelete-restores'] }),
      records('compact', fails(4), { removed: ['output-first'] }),
      records('compact', fails(20), { removed: ['supersede-read'], isSlow: true }),
      records('compact', fails(14), { removed: ['apply-sweeps-only'] }),
      records('compact', seen(474_451), { removed: ['input-again'] }),
      records('compact-2', seen(72_749), { removed: ['session-segment-again'] }),
      records('compact', seen(422_047), { removed: ['collector-segment-again'] }),
      records('compact', fails(19), {
        removed: ['collector-segment-again', 'abort'],
        isSlow: true,
      }),
    ],
  },
];

/** What distinguishes the row, in words. */
export function nameOf({ model, configuration, removed, variants }: Row): string {
  const parts = [`${model} ${configuration}`];
  if (removed.length > 0) parts.push(`without ${removed.join(', ')}`);
  if (variants.length > 0) parts.push(`with ${variants.join(', ')}`);
  return parts.join(', ');
}

/** What came out, in the form of what was expected. */
export function resultOf({
  states,
  isComplete,
  violation,
  trace,
}: Exploration): Expected | undefined {
  if (violation !== undefined) return { steps: trace.length, violation };
  return isComplete ? { states } : undefined;
}

/** The table as it stands in the page. */
export function formatTable({ title, rows }: Table): string {
  const cells = rows.map(({ configuration, removed, variants, expected }) => [
    configuration,
    [...removed.map((rule) => `no \`${rule}\``), ...variants.map((name) => `\`${name}\``)].join(
      ', ',
    ) || '–',
    'states' in expected ? expected.states.toLocaleString('en-US') : '',
    'states' in expected
      ? 'complete, no violation'
      : `**${expected.violation}** in ${expected.steps} steps`,
  ]);
  const head = ['configuration', 'changed', 'states', 'result'];
  const widths = head.map((name, i) =>
    Math.max(...[head, ...cells].map((row) => (row[i] ?? name).length)),
  );
  const line = (row: readonly string[]): string =>
    `| ${row.map((cell, i) => cell.padEnd(widths[i] as number)).join(' | ')} |`;
  const rule = `| ${widths.map((width) => '-'.repeat(width)).join(' | ')} |`;
  return [`### ${title}`, '', line(head), rule, ...cells.map(line), ''].join('\n');
}
