/**
 * How the command ends: the exit code of every error, and the one line of advice that goes with it
 * where there is one. Errors themselves only say what happened; what to do next depends on the front
 * end, so it stands here.
 */
import { resolve } from 'node:path';
import { CommanderError } from 'commander';
import {
  BusyError,
  CorruptionError,
  errnoCode,
  KeyError,
  NoRepositoryError,
  NotFoundError,
  RepositoryExistsError,
  SourceError,
  StorageError,
  TargetError,
  VarveError,
  VersionError,
} from '../errors.ts';
import { BenchmarkError } from './benchmark/benchmark-error.ts';
import { Interrupted, OutputFailed } from './interrupt.ts';

export const exitCodes = {
  done: 0,
  failed: 1,
  /** Done, but something could not be read or written. */
  partial: 3,
  /** `check` found damage. */
  damaged: 4,
  noRepository: 10,
  busy: 11,
  wrongPassphrase: 12,
  usage: 64,
} as const;

/** The command line, or a variable of the environment, makes no sense. */
export class UsageError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'UsageError';
  }
}

export function exitCodeOf(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : exitCodes.usage;
  if (error instanceof UsageError) return exitCodes.usage;
  if (error instanceof Interrupted || error instanceof OutputFailed) return error.exitCode;
  if (error instanceof NoRepositoryError) return exitCodes.noRepository;
  if (error instanceof BusyError) return exitCodes.busy;
  if (error instanceof KeyError) return exitCodes.wrongPassphrase;
  return exitCodes.failed;
}

/** Stable, for programs: of a single entry the reason of the system, else what kind of error. */
export function errorCodeOf(error: unknown): string {
  if (error instanceof SourceError || error instanceof TargetError) return error.reason;
  if (error instanceof VarveError) return error.code.toLowerCase();
  if (error instanceof BenchmarkError) return error.code;
  if (error instanceof CommanderError || error instanceof UsageError) return 'usage';
  if (error instanceof Interrupted) return 'interrupted';
  return error instanceof OutputFailed ? 'output' : 'internal';
}

export function adviceFor(error: unknown): string | undefined {
  if (error instanceof CommanderError || error instanceof UsageError) {
    return '"varve help" lists the commands, "varve help COMMAND" what one of them takes';
  }
  if (error instanceof NoRepositoryError) {
    const place = resolve(error.location);
    return `looked at ${place}; name another with --repo or VARVE_REPOSITORY, or "varve init" it`;
  }
  if (error instanceof RepositoryExistsError) return 'name a new or empty directory with --repo';
  if (error instanceof KeyError) {
    return 'use --password-file, --password-command, VARVE_PASSWORD, or a terminal to type it';
  }
  if (error instanceof VersionError) return 'a later version of varve may know it';
  if (error instanceof BusyError) return 'run the command again';
  if (error instanceof CorruptionError) return '"varve check --read-data" tells what is damaged';
  if (error instanceof NotFoundError) return adviceForMissing(error.kind);
  if (error instanceof TargetError && error.reason === 'not_empty') {
    return 'name a new or empty directory with --target';
  }
  if (error instanceof StorageError) return adviceForStorage(error);
  if (error instanceof BenchmarkError && /^(no_space|storage)$/.test(error.code)) {
    return 'make room there, or name another directory with --scratch';
  }
  return undefined;
}

function adviceForStorage({ isTransient, cause }: StorageError): string | undefined {
  if (isTransient) return 'run the command again';
  if (errnoCode(cause) !== 'ENOSPC') return undefined;
  return 'make room and run the command again: what has been stored is kept and used';
}

function adviceForMissing(kind: string): string | undefined {
  if (kind === 'snapshot') return '"varve snapshots" lists the snapshots there are';
  if (kind === 'forgotten snapshot') return '"varve snapshots --forgotten" lists those there are';
  if (kind === 'part of a forgotten snapshot') return 'what was pruned cannot come back';
  if (kind === 'key slot') return '"varve key list" lists the key slots there are';
  if (kind === 'other key slot') return '"varve key add" makes another one';
  if (kind === 'file') return '--archive tar makes an archive of anything';
  if (kind === 'path') return '"varve ls SNAPSHOT:DIRECTORY" lists what is in a snapshot';
  return undefined;
}
