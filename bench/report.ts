/**
 * What a bench prints: a Markdown table for each case, medians with the smallest and the largest
 * beside them, and one JSON file with every sample. Programs are compared by quotients of wall
 * times of the same round; of those, too, the median is shown.
 */
import { writeFileSync } from 'node:fs';
import type { Machine } from './machine.ts';
import type { Result, RoundSample } from './rounds.ts';
import { megabytes } from './sizes.ts';

/** The results of one case on one source. */
export interface Case {
  bench: string;
  name: string;
  source: { name: string; size: number; fileCount: number };
  results: readonly Result[];
}

export interface ReportOptions {
  machine: Machine;
  /** Name of program to version. */
  versions: Readonly<Record<string, string>>;
  /** How the bench was called. */
  settings: object;
  jsonPath: string | undefined;
  /** Programs that are no backup program: not counted among the fastest peers. */
  yardsticks: readonly string[];
}

const subject = 'varve';

/** Prints the head at once and each case as it comes; the file is complete after each case. */
export function startReport(options: ReportOptions): (finished: Case) => void {
  const { jsonPath, yardsticks, ...about } = options;
  console.log(describeAbout(options));
  const cases: Case[] = [];
  return (finished) => {
    cases.push(finished);
    console.log(describeCase(finished, yardsticks));
    if (jsonPath === undefined) return;
    writeFileSync(jsonPath, `${JSON.stringify({ ...about, cases }, undefined, 2)}\n`);
  };
}

function describeAbout({ machine, versions }: ReportOptions): string {
  const { processor, cores, memorySize, kernel, fileSystem, node, commit, load } = machine;
  const programs = Object.entries(versions).map(([name, version]) => `${name}: ${version}`);
  return [
    `${processor}, ${cores} cores, ${(memorySize / 2 ** 30).toFixed(1)} GiB, Linux ${kernel}, ` +
      `${fileSystem}, Node ${node}, commit ${commit}, load ${load.toFixed(2)}`,
    programs.join('; '),
  ].join('\n\n');
}

export function describeCase(finished: Case, yardsticks: readonly string[]): string {
  const { bench, name, source, results } = finished;
  const own = results.find(({ program }) => program === subject);
  const peers = results.filter((result) => result !== own);
  const columns = [...figures];
  if (results.some(({ samples }) => storedSizesOf(samples).length > 0)) columns.push(storedFigure);
  if (peers.length > 0) columns.push([`${subject} : it, wall`, (it) => quotientCell(own, it)]);
  const rows = results
    .filter(({ samples }) => samples.length > 0)
    .map((result) => columns.map(([, cellOf]) => cellOf(result)));
  return [
    `\n## ${bench}, ${name}: ${source.name}`,
    `${megabytes(source.size)} MB in ${source.fileCount} files.`,
    markdownTable(
      columns.map(([head]) => head),
      rows,
    ),
    ...[comparison(own, peers, yardsticks), ...results.map(remarkOn)].filter(Boolean),
  ].join('\n\n');
}

type Column = [head: string, cellOf: (result: Result) => string];

const figures: readonly Column[] = [
  ['program', ({ program }) => program],
  ['wall s', ({ samples }) => spreadOf(samples.map(wallOf), 2)],
  [
    'user s',
    ({ samples }) =>
      spreadOf(
        samples.map((sample) => sample.userSeconds),
        2,
      ),
  ],
  [
    'sys s',
    ({ samples }) =>
      spreadOf(
        samples.map((sample) => sample.systemSeconds),
        2,
      ),
  ],
  ['RssAnon MiB', ({ samples }) => spreadOf(samples.map(rssAnonMebibytes), 0)],
];

const storedFigure: Column = [
  'stored MB',
  ({ samples }) => {
    const sizes = storedSizesOf(samples);
    return sizes.length === 0 ? '' : megabytes(median(sizes));
  },
];

function storedSizesOf(samples: readonly RoundSample[]): number[] {
  return samples.flatMap(({ storedSize }) => storedSize ?? []);
}

function rssAnonMebibytes({ rssAnonPeak }: RoundSample): number {
  return rssAnonPeak / 2 ** 20;
}

function quotientCell(own: Result | undefined, result: Result): string {
  return own === undefined || own === result ? '' : spreadOf(quotients(own, result, wallOf), 2);
}

/** Of the rounds that both finished. */
function quotients(
  own: Result,
  other: Result,
  value: (sample: RoundSample) => number | undefined,
): number[] {
  return own.samples.flatMap((sample) => {
    const partner = other.samples.find(({ round }) => round === sample.round);
    const [mine, theirs] = [value(sample), partner && value(partner)];
    return mine === undefined || theirs === undefined || theirs === 0 ? [] : [mine / theirs];
  });
}

function comparison(
  own: Result | undefined,
  peers: readonly Result[],
  yardsticks: readonly string[],
): string {
  const isPeer = ({ program, samples }: Result): boolean =>
    samples.length > 0 && !yardsticks.includes(program);
  const wallMedian = ({ samples }: Result): number => median(samples.map(wallOf));
  const [fastest] = peers.filter(isPeer).sort((a, b) => wallMedian(a) - wallMedian(b));
  if (own === undefined || own.samples.length === 0 || fastest === undefined) return '';
  const measured: [string, (sample: RoundSample) => number | undefined][] = [
    ['wall', wallOf],
    ['user + sys', ({ userSeconds, systemSeconds }) => userSeconds + systemSeconds],
    ['RssAnon', ({ rssAnonPeak }) => rssAnonPeak],
    ['stored', ({ storedSize }) => storedSize],
  ];
  const parts = measured.flatMap(([name, value]) => {
    const values = quotients(own, fastest, value);
    return values.length === 0 ? [] : [`${name} ${spreadOf(values, 2)}`];
  });
  return `${subject} to the fastest peer, ${fastest.program}: ${parts.join(', ')}.`;
}

/** What a row does not show: runs that left something out, or failed. */
function remarkOn({ program, samples, failure }: Result): string {
  const partial = samples.find(({ exitCode }) => exitCode !== 0);
  const remarks: string[] = [];
  if (partial !== undefined) remarks.push(`${program} ended with ${partial.exitCode}.`);
  if (failure !== undefined) remarks.push(`${program} failed: ${failure.trim()}`);
  return remarks.join(' ');
}

function wallOf({ wallSeconds }: RoundSample): number {
  return wallSeconds;
}

/** Of at least one number; the mean of the middle two of an even count. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle]!;
  return sorted.length % 2 === 1 ? upper : (sorted[middle - 1]! + upper) / 2;
}

/** `median (smallest–largest)`; the median alone of one value, nothing of none. */
export function spreadOf(values: readonly number[], digits: number): string {
  if (values.length === 0) return '';
  const [middle, from, to] = [median(values), Math.min(...values), Math.max(...values)].map(
    (value) => value.toFixed(digits),
  );
  return values.length === 1 ? middle! : `${middle} (${from}–${to})`;
}

/** First column to the left, the others to the right. */
export function markdownTable(head: readonly string[], rows: readonly string[][]): string {
  const lines = [head, ...rows];
  const widths = head.map((_, i) => Math.max(3, ...lines.map((cells) => cells[i]!.length)));
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join(' | ')} |`;
  const rule = widths.map(
    (width, i) => `${'-'.repeat(width - (i === 0 ? 0 : 1))}${i === 0 ? '' : ':'}`,
  );
  return [line(head), line(rule), ...rows.map(line)].join('\n');
}
