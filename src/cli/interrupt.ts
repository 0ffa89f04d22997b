/**
 * Being told to stop. The first signal cancels the operation, which leaves the repository clean: a
 * session closes its own name. The second ends the process at once; the repository is sound then
 * too, for what a killed session leaves behind means nothing until a manifest names it.
 */

/** Signal to exit code: 128 and its number. */
const exitCodeBySignal = { SIGHUP: 129, SIGINT: 130, SIGPIPE: 141, SIGTERM: 143 } as const;

export type StopSignal = keyof typeof exitCodeBySignal;

/** What a cancelled operation throws: the reason of the abort signal. */
export class Interrupted extends Error {
  readonly exitCode: number;
  readonly stopSignal: StopSignal;
  constructor(stopSignal: StopSignal) {
    super(`Stopped by ${stopSignal}`);
    this.name = 'Interrupted';
    this.stopSignal = stopSignal;
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

/** Nobody reads the result any more (`varve ls … | head`): stop, and say nothing. */
export function cancelOnBrokenPipe(controller: AbortController): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    controller.abort(new Interrupted('SIGPIPE'));
  });
  process.stderr.on('error', () => {}); // Nowhere is left to say so.
}
