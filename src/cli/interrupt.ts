/**
 * Being told to stop. The first signal cancels the operation, which leaves the repository clean: a
 * session closes its own name. The second ends the process at once; the repository is sound then
 * too, for what a killed session leaves behind means nothing until a manifest names it.
 */
import { errnoCode } from '../errors.ts';

/** Signal to exit code: 128 and its number. */
const exitCodeBySignal = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const;

export type StopSignal = keyof typeof exitCodeBySignal;

/** What a cancelled operation throws: the reason of the abort signal. */
export class Interrupted extends Error {
  readonly exitCode: number;
  constructor(stopSignal: StopSignal) {
    super(`Stopped by ${stopSignal}`);
    this.name = 'Interrupted';
    this.exitCode = exitCodeBySignal[stopSignal];
  }
}

/**
 * Listens until the process ends.
 * @param onFirst told that the operation is being cancelled.
 */
export function cancelOnSignals(
  controller: AbortController,
  onFirst: (stopSignal: StopSignal) => void,
): void {
  for (const stopSignal of ['SIGHUP', 'SIGINT', 'SIGTERM'] as const) {
    process.on(stopSignal, () => {
      if (controller.signal.aborted) process.exit(exitCodeBySignal[stopSignal]);
      controller.abort(new Interrupted(stopSignal));
      onFirst(stopSignal);
    });
  }
}

/** The result could not be delivered, so that there is no point in going on. */
export class OutputFailed extends Error {
  /** Nobody reads any more (`varve ls … | head`): that is no news to whoever did it. */
  readonly isReaderGone: boolean;
  readonly exitCode: number;
  constructor(cause: unknown) {
    const code = errnoCode(cause) ?? 'unknown error';
    super(`Cannot write standard output: ${code}`, { cause });
    this.name = 'OutputFailed';
    this.isReaderGone = code === 'EPIPE';
    this.exitCode = this.isReaderGone ? 141 : 1;
  }
}

export function cancelOnOutputFailure(controller: AbortController): void {
  process.stdout.on('error', (error) => controller.abort(new OutputFailed(error)));
  process.stderr.on('error', () => {}); // Nowhere is left to say so.
}
