/** Why a benchmark ends without figures. */
export class BenchmarkError extends Error {
  /** Stable: `no_space`, or what the run of varve that failed gave as its code. */
  readonly code: string;

  constructor(code: string, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'BenchmarkError';
    this.code = code;
  }
}
