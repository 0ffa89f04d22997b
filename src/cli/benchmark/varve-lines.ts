/** What a run of varve with `--json` tells, as docs/command-line.md has it. */
import { SourceError } from '../../errors.ts';
import type { OnProgress, Progress } from '../../progress.ts';
import { encodeUtf8 } from '../../util/bytes.ts';
import type { Savings } from '../savings.ts';
import { BenchmarkError } from './benchmark-error.ts';

type Line = Readonly<Record<string, unknown>>;

export interface VarveLinesOptions {
  onProgress: OnProgress | undefined;
  onError: (error: SourceError) => void;
}

export class VarveLines {
  readonly #options: VarveLinesOptions;
  #last: Line = {};

  constructor(options: VarveLinesOptions) {
    this.#options = options;
  }

  /** Takes the next line of the output. */
  readonly onLine = (text: string): void => {
    const line = JSON.parse(text) as Line;
    if (line['message_type'] === 'status') this.#options.onProgress?.(progressOf(line));
    else if (line['message_type'] === 'error') this.#options.onError(errorOf(line));
    else this.#last = line;
  };

  /** The line that ends a run. @throws BenchmarkError where it tells of a failure. */
  summary(): Line {
    const line = this.#last;
    if (line['message_type'] === 'summary') return line;
    const { error_code: code = 'internal', message = 'varve ended without a word' } = line;
    throw new BenchmarkError(String(code), String(message));
  }
}

/** Sizes from the summary of `varve stats` of a whole repository. */
export function savingsOf(summary: Line): Savings {
  const size = (name: string): bigint => BigInt(summary[name] as string | number);
  return {
    rawSize: size('raw_size'),
    uniqueSize: size('unique_size'),
    deltaBlobs: Number(summary['delta_blob_count']),
    deltaRawSize: Number(summary['delta_raw_size']),
    deltaStoredSize: Number(summary['delta_stored_size']),
    compressedSize: Number(summary['compressed_size']),
    storedSize: Number(summary['stored_size']),
  };
}

function progressOf(line: Line): Progress {
  const {
    files_done,
    files_restored = files_done,
    bytes_done,
    bytes_restored = bytes_done,
    total_files: filesTotal,
    total_bytes: bytesTotal,
    current_files: [path] = [],
    current_files_b64: [exactPath] = [],
  } = line as Record<string, number | undefined> & Record<`current_${string}`, string[]>;
  return {
    phase: String(line['phase']),
    filesDone: files_restored ?? 0,
    bytesDone: bytes_restored ?? 0,
    ...(filesTotal !== undefined && { filesTotal }),
    ...(bytesTotal !== undefined && { bytesTotal }),
    ...(path !== undefined && { currentPath: bytesOf(path, exactPath) }),
  };
}

function errorOf(line: Line): SourceError {
  const { item, item_b64: exact, during, code } = line as Record<string, string>;
  const { message } = line['error'] as { message: string };
  return new SourceError(bytesOf(item as string, exact), String(during), String(code), message);
}

/** Text, or base64 where that is not all. */
function bytesOf(text: string, exact: string | undefined): Uint8Array {
  return exact === undefined ? encodeUtf8(text) : new Uint8Array(Buffer.from(exact, 'base64'));
}
