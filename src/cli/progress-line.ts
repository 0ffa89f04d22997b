/**
 * The one line on a terminal that says how far a long call is. Drawn over itself, cut to the width
 * of the terminal so that it never wraps, and gone when the call ends.
 */
import type { Progress } from '../progress.ts';
import { printable } from '../util/printable.ts';
import { formatBytes, formatCount, formatDuration } from './format.ts';

const REDRAW_INTERVAL_MS = 100;
const CLEAR_LINE = '\r\x1b[2K';
const PATH_WIDTH_MIN = 10;
const COLUMNS_DEFAULT = 80;
const CUT = '…';
/** So long a speed is only noise. */
const SPEED_KNOWN_MS = 1000;

/** What is counted, where it is no files. */
const unitByPhase: ReadonlyMap<string, readonly [singular: string, plural: string]> = new Map([
  ['index', ['segment', 'segments']],
  ['packs', ['pack', 'packs']],
  ['trees', ['entry', 'entries']],
  ['mark', ['entry', 'entries']],
  ['sessions', ['session', 'sessions']],
  ['delete', ['pack', 'packs']],
]);

export interface ProgressView {
  elapsedMs: number;
  /** Of the terminal. */
  columns: number;
  errorCount: number;
}

/** "0:12  45%  1.2 GiB of 2.6 GiB  110.0 MiB/s  1,234 files  eta 0:14  /home/alice/notes". */
export function renderProgress(progress: Progress, view: ProgressView): string {
  const { phase, bytesDone, currentPath } = progress;
  const seconds = view.elapsedMs / 1000;
  const share = shareDone(progress);
  const remaining = secondsRemaining(progress, view.elapsedMs);
  const parts = [
    formatDuration(seconds),
    phase,
    share === undefined ? '' : `${Math.floor(share * 100)}%`,
    bytesOf(progress),
    view.elapsedMs < SPEED_KNOWN_MS || bytesDone === 0
      ? ''
      : `${formatBytes(Math.round(bytesDone / seconds))}/s`,
    countOf(progress),
    remaining === undefined ? '' : `eta ${formatDuration(remaining)}`,
    view.errorCount === 0 ? '' : formatCount(view.errorCount, 'error'),
  ];
  const line = parts.filter((part) => part !== '').join('  ');
  const columns = view.columns - 1; // A full line would wrap on some terminals.
  const room = columns - widthOf(line) - 2;
  if (currentPath === undefined || room < PATH_WIDTH_MIN) return cutEnd(line, columns);
  return `${line}  ${cutStart(printable(currentPath), room)}`;
}

function bytesOf({ bytesDone, bytesTotal }: Progress): string {
  if (bytesTotal !== undefined && bytesDone <= bytesTotal) {
    return `${formatBytes(bytesDone)} of ${formatBytes(bytesTotal)}`;
  }
  return bytesDone === 0 ? '' : formatBytes(bytesDone);
}

/** "1,234 files", "12/40 packs"; nothing where nothing is counted. */
function countOf({ phase, filesDone, filesTotal }: Progress): string {
  if (filesDone === 0 && filesTotal === undefined) return '';
  const [singular, plural] = unitByPhase.get(phase) ?? ['file', 'files'];
  const done = filesTotal === undefined ? '' : `${filesDone.toLocaleString('en')}/`;
  return `${done}${formatCount(filesTotal ?? filesDone, singular, plural)}`;
}

/** At the average speed so far; undefined while that or the total means nothing. */
export function secondsRemaining(progress: Progress, elapsedMs: number): number | undefined {
  const share = shareDone(progress);
  if (share === undefined || share === 0 || elapsedMs < SPEED_KNOWN_MS) return undefined;
  return Math.round((elapsedMs * (1 - share)) / share / 1000);
}

/**
 * From 0 to 1, by bytes where their total is known, else by entries. Undefined without a total, and
 * when more than that is done: a snapshot takes it from its parent, and then it was a wrong guess.
 */
export function shareDone(progress: Progress): number | undefined {
  const { bytesDone, bytesTotal, filesDone, filesTotal } = progress;
  if (bytesTotal !== undefined) {
    if (bytesDone > bytesTotal) return undefined;
    return bytesTotal === 0 ? 1 : bytesDone / bytesTotal;
  }
  if (filesTotal !== undefined) return filesTotal === 0 ? 1 : Math.min(1, filesDone / filesTotal);
  return undefined;
}

/** Columns a text takes, rather too many: from Hangul on, all characters count as wide ones. */
function widthOf(text: string): number {
  let width = 0;
  for (const character of text) width += (character.codePointAt(0) as number) < 0x1100 ? 1 : 2;
  return width;
}

function cutEnd(text: string, width: number): string {
  const characters = [...text];
  while (widthOf(characters.join('')) > width) characters.pop();
  return characters.join('');
}

/** The end of a path says more than its start. */
function cutStart(path: string, width: number): string {
  if (widthOf(path) <= width) return path;
  const characters = [...path];
  while (widthOf(characters.join('')) > width - widthOf(CUT)) characters.shift();
  return `${CUT}${characters.join('')}`;
}

export class ProgressLine {
  readonly #stream: NodeJS.WriteStream;
  #isDrawn = false;
  #dueMs = 0;

  constructor(stream: NodeJS.WriteStream) {
    this.#stream = stream;
  }

  draw(progress: Progress, view: Omit<ProgressView, 'columns'>): void {
    if (view.elapsedMs < this.#dueMs) return;
    this.#dueMs = view.elapsedMs + REDRAW_INTERVAL_MS;
    const columns = this.#stream.columns || COLUMNS_DEFAULT;
    this.#stream.write(`${CLEAR_LINE}${renderProgress(progress, { ...view, columns })}`);
    this.#isDrawn = true;
  }

  /** Elapsed time begins anew. */
  restart(): void {
    this.#dueMs = 0;
  }

  clear(): void {
    if (!this.#isDrawn) return;
    this.#stream.write(CLEAR_LINE);
    this.#isDrawn = false;
  }
}
