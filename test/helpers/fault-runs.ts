/** Runs one operation with one fault in a place of its own and judges what is left. */
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { type ClientHome, withRepository } from './fault-clients.ts';
import type { FaultOperation } from './fault-operation.ts';
import { findFaults, type Objects, objectsOf } from './fault-oracle.ts';
import { type CommandEnded, type CommandOptions, FaultPlace } from './fault-place.ts';

/** Exit codes of the command that tell of something known. */
const EXIT_CODES = new Set([0, 1, 3, 4, 10, 11, 12, 130]);

const CRASHES = new Set(['SIGSEGV', 'SIGBUS', 'SIGABRT']);

export interface FaultRun {
  readonly ended: CommandEnded;
  readonly wasKilled: boolean;
  /** Native code ended the process. */
  readonly wasCrashed: boolean;
  /** One line each; nothing when all is well. */
  readonly faults: string[];
}

/** A place that one operation is prepared in. */
export class PreparedOperation {
  readonly place: FaultPlace;
  readonly operation: FaultOperation;
  readonly #before: Objects;
  readonly #deletable: ReadonlySet<string>;
  readonly #root: string;

  private constructor(
    operation: FaultOperation,
    place: FaultPlace,
    known: { before: Objects; deletable: ReadonlySet<string>; root: string },
  ) {
    this.operation = operation;
    this.place = place;
    this.#before = known.before;
    this.#deletable = known.deletable;
    this.#root = known.root;
  }

  /** `root` is made, and removed by `remove()`. */
  static async make(operation: FaultOperation, root: string): Promise<PreparedOperation> {
    mkdirSync(root, { recursive: true });
    const place = new FaultPlace(root);
    await operation.prepare(place);
    place.keepState();
    const { deletes } = operation;
    // Of two copies it depends on the local index which one goes: so by the client that will do it.
    const deletable =
      deletes === undefined ? new Set<string>() : await withRepository(place, deletes);
    place.reset();
    return new PreparedOperation(operation, place, { before: objectsOf(place), deletable, root });
  }

  remove(): void {
    rmSync(this.#root, { recursive: true, force: true });
  }

  async run(fault: Pick<CommandOptions, 'prefix' | 'preload' | 'onSpawn'>): Promise<FaultRun> {
    const { place, operation } = this;
    place.reset();
    place.deletable = this.#deletable;
    operation.begin?.(place);
    const { env = {} } = operation;
    const ended = await place.run(operation.command(place), { ...fault, env });
    const wasKilled = ended.signal === 'SIGKILL';
    const wasCrashed = CRASHES.has(ended.signal ?? '');
    const faults = wasKilled || wasCrashed ? [] : untold(ended);
    if (ended.code === (operation.code ?? 0)) operation.done?.(place);
    if (faults.length === 0) faults.push(...((await operation.findMore?.(place, ended)) ?? []));
    if (faults.length === 0) {
      const scratch = join(this.#root, 'scratch');
      const before = place.changed ?? this.#before;
      const { deletable } = place;
      const settle = operation.settle && ((home: ClientHome) => operation.settle?.(place, home));
      faults.push(...(await findFaults(place, { before, deletable, scratch, settle })));
    }
    return { ended, wasKilled, wasCrashed, faults };
  }
}

/** The command must end with a code that means something, and with an error that it knows. */
function untold({ code, signal, stdout, stderr }: CommandEnded): string[] {
  const isKnown = code !== null && EXIT_CODES.has(code) && !/"internal"/.test(stdout);
  return isKnown
    ? []
    : [`ended with ${code ?? signal}: ${stdout.slice(-400)}${stderr.slice(0, 800)}`];
}
