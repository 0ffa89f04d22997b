/**
 * Where everything that is printed goes: results to standard output, the rest to standard error.
 * With `--json` standard output holds JSON lines only, the last of which says how it ended. Names
 * from a repository or a source come here escaped already; messages lose their control characters.
 */
import type { OnProgress, Progress } from '../progress.ts';
import { escapeControls } from '../util/printable.ts';
import { adviceFor, errorCodeOf } from './exit-code.ts';
import { type JsonFields, jsonLine, outsideText, outsideTexts } from './json.ts';
import { ProgressLine, secondsRemaining, shareDone } from './progress-line.ts';

/** A listing may have millions of lines; they are written in pieces of this size. */
const BUFFER_LENGTH_MAX = 2 ** 15;
const STATUS_INTERVAL_MS = 1000;

export interface OutputSettings {
  isJson: boolean;
  isQuiet: boolean;
  /** 1: what is used, each path saved, what caused an error. 2: stack traces. */
  verbosity: number;
  hasProgress: boolean;
}

export class Output {
  #settings: OutputSettings;
  readonly #line: ProgressLine = new ProgressLine(process.stderr);
  #buffered = '';
  #errorCount = 0;
  #startedMs = 0;
  #statusDueMs = STATUS_INTERVAL_MS;

  constructor(settings: OutputSettings) {
    this.#settings = settings;
  }

  /** Settings are known for good only after the command line was understood. */
  configure(settings: OutputSettings): void {
    this.#settings = settings;
  }

  get isJson(): boolean {
    return this.#settings.isJson;
  }

  /**
   * Elapsed time and speed count from now: typing a passphrase is no work, and of several calls each
   * has a speed of its own.
   */
  startClock(): void {
    this.#startedMs = performance.now();
    this.#statusDueMs = STATUS_INTERVAL_MS;
    this.#line.restart();
  }

  /** Undefined when nobody wants to know. */
  get onProgress(): OnProgress | undefined {
    const { isJson, isQuiet, hasProgress } = this.#settings;
    if (isQuiet || !hasProgress) return undefined;
    if (isJson) return (progress) => this.#sendStatus(progress);
    if (!process.stderr.isTTY) return undefined;
    return (progress) => this.#line.draw(progress, this.#view());
  }

  /** A line that was asked for. */
  result(line: string): void {
    this.#buffered += `${line}\n`;
  }

  /** Lines about what was done; `--quiet` does without. */
  report(...lines: string[]): void {
    if (this.#settings.isQuiet) return;
    for (const line of lines) this.result(line);
  }

  event(messageType: string, fields: JsonFields): void {
    this.result(jsonLine(messageType, fields));
  }

  get isVerbose(): boolean {
    return this.#settings.verbosity >= 1;
  }

  /** A line or an event of what is being done: seen at once on a terminal, in pieces elsewhere. */
  trace(line: string): void {
    this.result(line);
    if (process.stdout.isTTY || this.#buffered.length >= BUFFER_LENGTH_MAX) this.flush();
  }

  /** Something a user should know that stops nothing. */
  notice(text: string): void {
    if (!this.#settings.isQuiet) this.#tell(`note: ${text}`);
  }

  /** Told with `-v`. */
  detail(text: string): void {
    if (this.isVerbose) this.#tell(text);
  }

  /** What could not be read, written or listed; the operation goes on. */
  problem(problem: {
    message: string;
    during: string;
    code: string;
    item: Uint8Array;
    error: Error;
  }): void {
    const { message, during, code, item, error } = problem;
    this.#errorCount += 1;
    if (this.isJson) {
      const fields = { error: { message }, during, code, ...outsideText('item', item) };
      this.event('error', fields);
      this.flush();
      return;
    }
    this.#tell(`${code}: ${message}`);
    this.#tellCauses(error);
  }

  /** The end of a command that failed. */
  failure(error: Error, exitCode: number): void {
    const message = messageOf(error);
    const advice = adviceFor(error);
    if (this.isJson) {
      this.event('exit_error', { code: exitCode, error_code: errorCodeOf(error), message, advice });
    } else {
      this.#tell(`varve: ${message}`);
      if (advice !== undefined) this.#tell(`  ${advice}`);
      this.#tellCauses(error);
    }
    this.flush();
  }

  /** The operation has ended: what follows is its result. */
  endProgress(): void {
    this.#line.clear();
  }

  /** Between the lines of a long listing: lets a slow reader catch up, and one go that left. */
  async drain(): Promise<void> {
    if (this.#buffered.length >= BUFFER_LENGTH_MAX) await this.end();
  }

  /** Writes what is left, and waits until that has worked or failed. */
  async end(): Promise<void> {
    const text = this.#takeBuffered();
    this.#line.clear();
    // A failure comes as an event of the stream, too; here it only ends the wait.
    await new Promise<void>((resolve) => process.stdout.write(text, () => setImmediate(resolve)));
  }

  flush(): void {
    const text = this.#takeBuffered();
    if (text === '') return;
    this.#line.clear();
    process.stdout.write(text);
  }

  #takeBuffered(): string {
    const text = this.#buffered;
    this.#buffered = '';
    return text;
  }

  #view(): { elapsedMs: number; errorCount: number } {
    return { elapsedMs: performance.now() - this.#startedMs, errorCount: this.#errorCount };
  }

  #sendStatus(progress: Progress): void {
    const { elapsedMs, errorCount } = this.#view();
    if (elapsedMs < this.#statusDueMs) return;
    this.#statusDueMs = elapsedMs + STATUS_INTERVAL_MS;
    const { phase, filesDone, filesTotal, bytesDone, bytesTotal, currentPath } = progress;
    const isRestored = phase === 'restore';
    this.event('status', {
      phase,
      seconds_elapsed: Math.round(elapsedMs / 1000),
      seconds_remaining: secondsRemaining(progress, elapsedMs),
      percent_done: shareDone(progress),
      [isRestored ? 'files_restored' : 'files_done']: filesDone,
      total_files: filesTotal,
      [isRestored ? 'bytes_restored' : 'bytes_done']: bytesDone,
      total_bytes: bytesTotal,
      error_count: errorCount,
      ...(currentPath !== undefined && outsideTexts('current_files', [currentPath])),
    });
    this.flush();
  }

  #tell(text: string): void {
    this.flush();
    this.#line.clear();
    process.stderr.write(`${escapeControls(text)}\n`);
  }

  #tellCauses(error: Error): void {
    const { verbosity } = this.#settings;
    if (verbosity >= 2) {
      for (const line of (error.stack ?? '').split('\n')) this.#tell(line);
    }
    const { cause } = error;
    if (verbosity === 0 || !(cause instanceof Error)) return;
    this.#tell(`  caused by ${cause.name}: ${cause.message}`);
    this.#tellCauses(cause);
  }
}

/** Commander puts "error: " before its messages, and may add a second line with a suggestion. */
function messageOf(error: Error): string {
  return error.message.replace(/^error: /, '').replaceAll('\n', ' ');
}
