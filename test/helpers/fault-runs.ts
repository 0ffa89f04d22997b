/** Runs one operation with one fault in a place of its own and judges what is left. */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { type ClientHome, withRepository } from './fault-clients.ts';
import type { FaultOperation } from './fault-operation.ts';
import { findFaults, type Objects, objectFaults, objectsOf } from './fault-oracle.ts';
import { type CommandEnded, type CommandOptions, FaultPlace } from './fault-place.ts';

/** Exit codes of the command that tell of something known. */
const EXIT_CODES = new Set([0, 1, 3, 4, 10, 11, 12, 130]);

const CRASHES = new Set(['SIGSEGV', 'SIGBUS', 'SIGABRT']);

export interface FaultRun {
  readonly ended: CommandEnded;
  readonly wasKilled: boolean;
  /** Native code ended the process. */
  readonly wasCrashed: boolean;
  /** The same bytes were judged after another fault. */
  readonly isKnown: boolean;
  /** One line each; nothing when all is well. */
  readonly faults: string[];
}

/** What is done to a run; seeded ones leave the same bytes after the same fault. */
type Fault = Pick<CommandOptions, 'prefix' | 'preload' | 'onSpawn'> & {
  readonly isSeeded?: boolean;
};

/** A place that one operation is prepared in. */
export class PreparedOperation {
  readonly place: FaultPlace;
  readonly operation: FaultOperation;
  readonly #before: Objects;
  readonly #deletable: ReadonlySet<string>;
  readonly #root: string;
  readonly #preparedMs = Date.now();
  readonly #judged = new Set<string>();
  #judgedCount = 0;

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

  async run(fault: Fault): Promise<FaultRun> {
    const { place, operation } = this;
    place.reset();
    place.deletable = this.#deletable;
    operation.begin?.(place);
    const { env = {} } = operation;
    const { isSeeded = false, ...options } = fault;
    const seededNowMs = isSeeded ? this.#preparedMs : undefined;
    const ended = await place.run(operation.command(place), { ...options, env, seededNowMs });
    await place.meanwhile?.();
    const wasKilled = ended.signal === 'SIGKILL';
    const wasCrashed = CRASHES.has(ended.signal ?? '');
    const faults = wasKilled || wasCrashed ? [] : untold(ended);
    if (ended.code === (operation.code ?? 0)) operation.done?.(place);
    if (faults.length === 0) faults.push(...((await operation.findMore?.(place, ended)) ?? []));
    if (faults.length > 0) return { ended, wasKilled, wasCrashed, isKnown: false, faults };
    return { ended, wasKilled, wasCrashed, ...(await this.#judge(isSeeded)) };
  }

  /**
   * What a client finds follows from the bytes that are there, and what is promised. So a state that was
   * judged before, byte for byte, is judged again only once in so many, to show that this is so; and
   * where only cache or writer state are others, a collection and a new client would find the same.
   */
  async #judge(isSeeded: boolean): Promise<Pick<FaultRun, 'faults' | 'isKnown'>> {
    const { place, operation } = this;
    const scratch = join(this.#root, 'scratch');
    const before = place.changed ?? this.#before;
    const { deletable } = place;
    const settle = operation.settle && ((home: ClientHome) => operation.settle?.(place, home));
    const options = { before, deletable, scratch, settle };
    if (!isSeeded) return { isKnown: false, faults: await findFaults(place, options) };
    const objects = stateKey(place, objectsOf(place));
    const whole = `${objects} ${clientKey(place)}`;
    const isKnown = this.#judged.has(whole);
    const isAgain = this.#judgedCount++ % JUDGE_INTERVAL === 0;
    if (isKnown && !isAgain) {
      const { damaged } = place.ledger;
      return { isKnown, faults: objectFaults(objectsOf(place), { ...options, damaged }) };
    }
    const isQuick = this.#judged.has(objects) && !isAgain;
    const faults = await findFaults(place, { ...options, isQuick });
    if (faults.length === 0) this.#judged.add(whole).add(objects);
    return { isKnown: false, faults };
  }
}

/** One known state in so many is judged again all the same. */
const JUDGE_INTERVAL = 25;

/** The same for places with the same objects and the same promises. */
function stateKey({ ledger }: FaultPlace, objects: Objects): string {
  const promises = [ledger.kept, ledger.partial].map((map) => [...map.keys()]);
  const told = [ledger.forgotten, ledger.gone].map((set) => [...set]);
  const parts = [ledger.isInitialised, promises, told, ledger.passphrases, [...objects].sort()];
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex');
}

/** Of what is beside the repository; marks of processes and times say nothing of what is in it. */
function clientKey({ cache, state }: FaultPlace): string {
  const hash = createHash('sha256');
  for (const root of [cache, state]) {
    if (!existsSync(root)) continue;
    const entries = readdirSync(root, { recursive: true, withFileTypes: true });
    for (const path of entries.map(({ parentPath, name }) => join(parentPath, name)).sort()) {
      hash.update(`${path}\n`);
      const isMark = /\/(?:process-[^/]*|clean|lock\.mdb|[^/]*\.lock)$/.test(path);
      if (!isMark && statSync(path).isFile()) hash.update(readFileSync(path));
    }
  }
  return hash.digest('hex');
}

/** The command must end with a code that means something, and with an error that it knows. */
function untold({ code, signal, stdout, stderr }: CommandEnded): string[] {
  const isKnown = code !== null && EXIT_CODES.has(code) && !/"internal"/.test(stdout);
  return isKnown
    ? []
    : [`ended with ${code ?? signal}: ${stdout.slice(-400)}${stderr.slice(0, 800)}`];
}
