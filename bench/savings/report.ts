/**
 * What the savings bench says: a Markdown page with one table over all sets and one for each, the
 * chart, and every sample as JSON. Medians of all runs, with the smallest and the largest.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Machine } from '../machine.ts';
import { markdownTable, median, spreadOf } from '../report.ts';
import { megabytes } from '../sizes.ts';
import { drawChart } from './chart.ts';
import type { Version } from './data-sets.ts';
import type { History, HistoryResult, Restored } from './history.ts';

export interface SetResult {
  name: string;
  about: string;
  versions: readonly Version[];
  results: readonly HistoryResult[];
}

export interface About {
  machine: Machine;
  /** Name of program to version. */
  versions: Readonly<Record<string, string>>;
}

const subject = 'varve';
const fileName = 'savings';

/** Writes `savings.json`, `savings.md` and `savings.svg`. @returns the page. */
export function writeReport(directory: string, about: About, sets: readonly SetResult[]): string {
  mkdirSync(directory, { recursive: true });
  const write = (extension: string, text: string): void =>
    writeFileSync(join(directory, `${fileName}.${extension}`), text);
  const page = describe(about, sets);
  write('json', `${JSON.stringify({ ...about, sets }, undefined, 2)}\n`);
  write('md', page);
  write('svg', drawChart(sets.map(barsOf)));
  return page;
}

export function describe({ machine, versions }: About, sets: readonly SetResult[]): string {
  const programs = Object.entries(versions).map(([name, version]) => `${name}: ${version}`);
  const { processor, cores, memorySize, kernel, fileSystem, node, commit, load } = machine;
  const parts = [
    `${processor}, ${cores} cores, ${(memorySize / 2 ** 30).toFixed(1)} GiB, Linux ${kernel}, ` +
      `${fileSystem}, Node ${node}, commit ${commit}, load ${load.toFixed(2)}`,
    programs.join('; '),
    'Whole repositories after the last version, MB:',
    storedTable(sets),
    ...sets.map(describeSet),
  ];
  return `${parts.join('\n\n')}\n`;
}

function storedTable(sets: readonly SetResult[]): string {
  const programs = [...new Set(sets.flatMap(({ results }) => results.map((one) => one.program)))];
  const cells = sets.map((set) => [
    set.name,
    `${set.versions.length}`,
    megabytes(rawSizeOf(set)),
    ...programs.map((name) => storedCell(set.results.find(({ program }) => program === name))),
    quotientCell(set),
  ]);
  const head = ['set', 'versions', 'raw', ...programs, `${subject} : smallest peer`];
  return markdownTable(head, cells);
}

function storedCell(result: HistoryResult | undefined): string {
  const stored = result && storedOf(result);
  return stored === undefined ? '' : megabytes(stored);
}

function quotientCell(set: SetResult): string {
  const own = set.results.find(({ program }) => program === subject);
  const [ownSize, peerSize] = [own && storedOf(own), smallestPeer(set)];
  return ownSize === undefined || peerSize === undefined ? '' : (ownSize / peerSize).toFixed(2);
}

function rawSizeOf({ versions }: SetResult): number {
  return versions.reduce((sum, { size }) => sum + size, 0);
}

function storedOf({ histories }: HistoryResult): number | undefined {
  return histories.length === 0 ? undefined : median(histories.map((one) => one.storedSize));
}

function smallestPeer({ results }: SetResult): number | undefined {
  const sizes = results
    .filter(({ program }) => !program.startsWith(subject))
    .flatMap((result) => storedOf(result) ?? []);
  return sizes.length === 0 ? undefined : Math.min(...sizes);
}

function barsOf(set: SetResult): Parameters<typeof drawChart>[0][number] {
  const sizes = set.results.flatMap((result) => {
    const size = storedOf(result);
    return size === undefined ? [] : [{ program: result.program, size }];
  });
  return { name: set.name, unit: smallestPeer(set) ?? rawSizeOf(set), sizes };
}

type Column = [head: string, cellOf: (histories: readonly History[], rawSize: number) => string];

const columns: readonly Column[] = [
  ['stored MB', (histories) => sizeCell(histories, ({ storedSize }) => storedSize)],
  ['data frames MB', (histories) => sizeCell(histories, ({ dataSize }) => dataSize)],
  ['decodings per chunk', decodingsCell],
  [
    'raw : stored',
    (histories, rawSize) => (rawSize / median(histories.map((one) => one.storedSize))).toFixed(1),
  ],
  ['snapshots s', (histories) => secondsCell(histories, sumOver('wallSeconds'))],
  [
    'user + sys',
    (histories) =>
      secondsCell(histories, (one) => sumOver('userSeconds')(one) + sumOver('systemSeconds')(one)),
  ],
  [
    'RssAnon MiB',
    (histories) =>
      spreadOf(
        histories.map(
          ({ snapshots }) => Math.max(...snapshots.map((one) => one.rssAnonPeak)) / 2 ** 20,
        ),
        0,
      ),
  ],
  ...restoreColumns('last', ({ last }) => last),
  ...restoreColumns('middle', ({ middle }) => middle),
];

function restoreColumns(
  which: string,
  restoredOf: (history: History) => Restored | undefined,
): Column[] {
  const cpuOf = ({ userSeconds, systemSeconds }: Restored): number => userSeconds + systemSeconds;
  const cell = (histories: readonly History[], figureOf: (one: Restored) => number): string =>
    secondsCell(histories, (history) => {
      const restored = restoredOf(history);
      return restored && figureOf(restored);
    });
  return [
    [`restore ${which} s`, (histories) => cell(histories, (one) => one.wallSeconds)],
    ['user + sys', (histories) => cell(histories, cpuOf)],
    ['read MB', (histories) => sizeCell(histories, (one) => restoredOf(one)?.readSize)],
  ];
}

function sumOver(
  field: 'wallSeconds' | 'userSeconds' | 'systemSeconds',
): (history: History) => number {
  return ({ snapshots }) => snapshots.reduce((sum, sample) => sum + sample[field], 0);
}

function secondsCell(
  histories: readonly History[],
  figureOf: (history: History) => number | undefined,
): string {
  return spreadOf(
    histories.flatMap((history) => figureOf(history) ?? []),
    2,
  );
}

function sizeCell(
  histories: readonly History[],
  figureOf: (history: History) => number | undefined,
): string {
  const sizes = histories.flatMap((history) => figureOf(history) ?? []);
  return sizes.length === 0 ? '' : megabytes(median(sizes));
}

/** Mean and largest number of the first run: keys differ from run to run, and the bases with them. */
function decodingsCell([history]: readonly History[]): string {
  const decodings = history?.decodings;
  return decodings === undefined ? '' : `${decodings.mean.toFixed(1)}, ${decodings.largest}`;
}

function describeSet(set: SetResult): string {
  const { name, about, versions, results } = set;
  const rawSize = rawSizeOf(set);
  const rows = results
    .filter(({ histories }) => histories.length > 0)
    .map(({ program, histories }) => [
      program,
      ...columns.map(([, cellOf]) => cellOf(histories, rawSize)),
    ]);
  const span = `${versions[0]?.name} to ${versions.at(-1)?.name}`;
  const failures = results.flatMap(({ program, failure }) =>
    failure === undefined ? [] : [`${program} failed: ${failure.trim()}`],
  );
  return [
    `## ${name}`,
    `${about}; ${versions.length} versions, ${span}, ${megabytes(rawSize)} MB.`,
    ...(rows.length === 0
      ? []
      : [markdownTable(['program', ...columns.map(([head]) => head)], rows)]),
    ...failures,
  ].join('\n\n');
}
