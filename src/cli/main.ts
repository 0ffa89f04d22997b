#!/usr/bin/env node
/**
 * The command `varve`: reads the command line, runs one command, and turns how it ended into an exit
 * code. Everything below is told through `Output`; nothing else writes to the terminal.
 */
import { setFlagsFromString } from 'node:v8';
import { CommanderError } from 'commander';
import { exitCodeOf, exitCodes } from './exit-code.ts';
import { cancelOnOutputFailure, cancelOnSignals, OutputFailed } from './interrupt.ts';
import { isJsonWanted } from './options.ts';
import { Output } from './output.ts';
import { createProgram } from './program.ts';
import type { Runtime } from './runtime.ts';

async function main(argv: readonly string[]): Promise<number> {
  // What cannot be understood must still be answered in the way that was asked for.
  const isJson = isJsonWanted(argv, process.env);
  const output = new Output({ isJson, isQuiet: false, verbosity: 0, hasProgress: false });
  const controller = new AbortController();
  cancelOnOutputFailure(controller);
  cancelOnSignals(controller, (stopSignal) => {
    output.notice(`${stopSignal}: finishing what is under way; once more stops at once`);
  });
  const { signal } = controller;
  const runtime: Runtime = { output, signal, environment: process.env, exitCode: exitCodes.done };
  try {
    await createProgram(runtime).parseAsync(argv);
    await output.end();
    if (signal.reason instanceof OutputFailed) throw signal.reason;
    return runtime.exitCode;
  } catch (error) {
    output.endProgress();
    return reportFailure(output, signal.aborted ? signal.reason : error);
  }
}

/** Help and version come as errors, too. */
function reportFailure(output: Output, error: unknown): number {
  const exitCode = exitCodeOf(error);
  const isHelp = error instanceof CommanderError && /^commander\.(help|version)/.test(error.code);
  const isQuiet = error instanceof OutputFailed && error.isReaderGone;
  if (!isHelp && !isQuiet) output.failure(error as Error, exitCode);
  return exitCode;
}

// Threads that help to collect young objects wait for each other longer than they collect, while the
// cores have other work; workers inherit it. (All of `--single-threaded-gc` is refused by a running V8.)
setFlagsFromString('--no-parallel-scavenge');
// The heap of the main thread is small beside what else a snapshot takes, and collecting it costs little:
// it need not grow to four times of what is alive.
setFlagsFromString('--heap-growing-percent=30');
process.exitCode = await main(process.argv);
