/**
 * Power cuts below real file systems. An operation runs on a file system over a recorded device
 * (`block-recorder.ts`); then every disk that a power cut may have left (`block-states.ts`) is
 * mounted and judged by the same oracle as a killed process (`fault-oracle.ts`).
 *
 * Runs as a process in a mount and process namespace of its own: whatever happens, nothing stays
 * mounted, and no server is left behind.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import {
  closeSync,
  existsSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  attachLoop,
  complaintOf,
  detachLoop,
  FILE_SYSTEMS,
  type FileSystem,
  mount,
  runTool,
  unmount,
} from './block-mount.ts';
import { BlockRecorder, type BlockRequest } from './block-recorder.ts';
import { type BlockState, blockStates, ReplayedDisk } from './block-states.ts';
import { type ClientHome, withRepository } from './fault-clients.ts';
import type { FaultOperation } from './fault-operation.ts';
import { FAULT_OPERATIONS, historyOf } from './fault-operations.ts';
import { findFaults, type Objects, objectFaults, objectsOf } from './fault-oracle.ts';
import { copyLedger, type FaultLedger, FaultPlace, spawned } from './fault-place.ts';

export interface BlockOptions {
  /** A name in `FILE_SYSTEMS`. */
  readonly fileSystem: string;
  /** Names of operations, each of which is run in a file system of its own. */
  readonly operations?: readonly string[];
  /** Seeds of histories (`historyOf`), likewise. */
  readonly histories?: readonly number[];
  /** A directory in memory. */
  readonly directory: string;
  readonly subsetsPerFlush: number;
  /** Also cache and writer state are on the device, and used after the cut. Default: false. */
  readonly hasClient?: boolean;
  readonly bug?: string;
  readonly stopsAtLoss?: boolean;
}

export interface BlockTally {
  readonly fileSystem: string;
  readonly operation: string;
  flushCount: number;
  stateCount: number;
  /** States that the whole oracle was applied to; of the others it knew the objects already. */
  judgedCount: number;
  unmountableCount: number;
  /** States that the file system's own checker looked at, and what it said. */
  checkedCount: number;
  readonly complaints: string[];
  readonly losses: string[];
  seconds: number;
}

/** One state in so many is also given to the checker of the file system. */
const CHECK_INTERVAL = 40;
/**
 * What a new client finds follows from the objects that are there. So a state with objects that were
 * judged before, byte for byte, is judged again only once in so many, for the file system's sake.
 */
const JUDGE_INTERVAL = 50;

/** Why there can be no such runs here, if so. */
export async function lackOfBlockDevices(): Promise<string | undefined> {
  if (process.geteuid?.() !== 0) return 'only root may mount';
  for (const program of ['nbdfuse', 'losetup', 'mkfs.ext4', 'mkfs.xfs', 'mkfs.btrfs', 'unshare']) {
    const ended = await spawned('which', [program], {}).catch(() => null);
    if (ended?.code !== 0) return `${program} is not installed`;
  }
  return existsSync('/dev/fuse') && existsSync('/dev/loop-control')
    ? undefined
    : 'no FUSE or no loop devices';
}

/** Judges all states; in a process of its own. */
export async function runBlocks(
  options: BlockOptions,
  onProgress: (text: string) => void = () => {},
): Promise<BlockTally[]> {
  const program = fileURLToPath(import.meta.url);
  const own = ['--mount', '--pid', '--fork', '--kill-child', '--mount-proc'];
  const args = [...own, process.execPath, '--enable-source-maps', program, JSON.stringify(options)];
  const tallies: BlockTally[] = [];
  const ended = await spawned('unshare', args, { env: process.env });
  for (const line of ended.stdout.split('\n')) {
    if (line.startsWith('{')) tallies.push(JSON.parse(line) as BlockTally);
  }
  for (const tally of tallies) onProgress(describeBlocks(tally));
  if (ended.code !== 0) throw new Error(`block run: ${ended.stdout}${ended.stderr}`);
  return tallies;
}

export function describeBlocks(tally: BlockTally): string {
  const { fileSystem, operation, stateCount, flushCount, losses, complaints, seconds } = tally;
  return (
    `${fileSystem}, ${operation}: ${stateCount} states at ${flushCount} flushes, ` +
    `${tally.judgedCount} judged in full, ` +
    `${losses.length} losses, ${tally.unmountableCount} unmountable, ` +
    `${complaints.length} of ${tally.checkedCount} checked have complaints, ${seconds.toFixed(1)} s`
  );
}

/** What was known at a place of the log. */
interface Mark {
  readonly place: number;
  readonly ledger: FaultLedger;
  readonly before: Objects;
  /** What the step that runs may delete. */
  readonly deletable: ReadonlySet<string>;
  /** What has to be done after the step, or a fault of it. */
  readonly settle: FaultOperation['settle'];
}

interface Recording {
  readonly log: readonly BlockRequest[];
  readonly start: number;
  readonly marks: readonly Mark[];
}

/** What is run on one file system. */
interface Subject {
  readonly name: string;
  readonly isHistory: boolean;
  prepare(place: FaultPlace): Promise<void>;
  readonly steps: readonly FaultOperation[];
}

const HISTORY_LENGTH = 10;

function operationSubject(name: string): Subject {
  const operation = FAULT_OPERATIONS.find((known) => known.name === name);
  if (operation === undefined) throw new Error(`no operation is called "${name}"`);
  return {
    name,
    isHistory: false,
    prepare: (place) => operation.prepare(place),
    steps: [operation],
  };
}

function historySubject(seed: number): Subject {
  return {
    name: `history ${seed}`,
    isHistory: true,
    prepare: (place) => place.init(),
    steps: historyOf(seed, HISTORY_LENGTH),
  };
}

/** In the child: one file system. */
class BlockRun {
  readonly #options: BlockOptions;
  readonly #fs: FileSystem;
  readonly #mountPoint: string;
  readonly #place: FaultPlace;
  readonly #subject: Subject;
  /** Objects that were found good, with what had to be there. */
  readonly #judged = new Set<string>();

  constructor(options: BlockOptions, subject: Subject) {
    const { directory } = options;
    this.#options = options;
    this.#subject = subject;
    this.#fs = FILE_SYSTEMS[options.fileSystem] as FileSystem;
    this.#mountPoint = join(directory, 'mounted');
    mkdirSync(this.#mountPoint, { recursive: true });
    const home = options.hasClient === true ? this.#mountPoint : join(directory, 'home');
    this.#place = new FaultPlace(directory, this.#mountPoint, home);
  }

  async run(): Promise<BlockTally> {
    const started = performance.now();
    const tally: BlockTally = {
      fileSystem: this.#options.fileSystem,
      operation: this.#subject.name,
      flushCount: 0,
      stateCount: 0,
      judgedCount: 0,
      unmountableCount: 0,
      checkedCount: 0,
      complaints: [],
      losses: [],
      seconds: 0,
    };
    const recording = await this.#record();
    await this.#judgeAll(recording, tally);
    tally.seconds = (performance.now() - started) / 1000;
    return tally;
  }

  /** Runs the operation on the recorded device. */
  async #record(): Promise<Recording> {
    const { directory } = this.#options;
    const [socket, file] = [join(directory, 'nbd'), join(directory, 'device', 'disk')];
    mkdirSync(join(directory, 'device'), { recursive: true });
    const recorder = new BlockRecorder(this.#fs.size);
    await recorder.listen(socket);
    const server = spawn('nbdfuse', [file, '--unix', socket], { stdio: 'ignore' });
    await waitFor(file, server);
    const device = await attachLoop(file);
    await runTool([...this.#fs.makeArgs, device]);
    const options = this.#fs.mountOptions === '' ? [] : ['-o', this.#fs.mountOptions];
    await runTool(['mount', ...options, device, this.#mountPoint]);

    await this.#subject.prepare(this.#place);
    await runTool(['sync', '-f', this.#mountPoint]);
    const start = lastFlush(recorder.log);
    const marks: Mark[] = [];
    for (const step of this.#subject.steps) await this.#runStep(step, recorder.log, marks);

    await runTool(['umount', this.#mountPoint]);
    await runTool(['losetup', '-d', device]);
    await runTool(['umount', join(directory, 'device')]);
    recorder.close();
    rmSync(socket, { force: true });
    return { log: recorder.log, start, marks };
  }

  /** What was known before the step holds while it runs; what it acknowledges, from then on. */
  async #runStep(step: FaultOperation, log: readonly BlockRequest[], marks: Mark[]): Promise<void> {
    const place = this.#place;
    const { bug } = this.#options;
    if (this.#subject.isHistory) await step.prepare(place);
    step.begin?.(place);
    const command = step.command(place);
    place.expectSnapshotOf(command);
    marks.push({
      place: log.length,
      ledger: copyLedger(place.ledger),
      before: objectsOf(place),
      deletable: step.deletes === undefined ? new Set() : await withRepository(place, step.deletes),
      settle: step.settle,
    });
    const ended = await place.run(command, {
      ...(step.env && { env: step.env }),
      ...(bug !== undefined && { preload: { VARVE_TEST_BUG: bug } }),
    });
    const { length } = log;
    if (ended.code !== (step.code ?? 0)) {
      throw new Error(`${step.name}: ${ended.stdout}${ended.stderr}`);
    }
    step.done?.(place);
    marks.push({
      place: length,
      ledger: copyLedger(place.ledger),
      before: objectsOf(place),
      deletable: new Set(),
      settle: step.settle,
    });
  }

  async #judgeAll({ log, start, marks }: Recording, tally: BlockTally): Promise<void> {
    const { directory, subsetsPerFlush, stopsAtLoss } = this.#options;
    const image = join(directory, 'image');
    const disk = new ReplayedDisk(log, this.#fs.size);
    const fd = openSync(image, 'w+');
    ftruncateSync(fd, this.#fs.size);
    const device = await attachLoop(image);
    const flushes = new Set<number>();
    try {
      for (const state of blockStates(log, { start, subsetsPerFlush, salt: 17 })) {
        flushes.add(state.flush);
        disk.advance(state.flush);
        writeImage(fd, this.#fs.size, [...disk.pieces(), ...state.writes]);
        const mark = marks.findLast(({ place }) => place <= state.end) ?? (marks[0] as Mark);
        await this.#judge(state, { mark, device, image, tally });
        if (stopsAtLoss === true && tally.losses.length > 0) break;
      }
    } finally {
      detachLoop(device);
      closeSync(fd);
      rmSync(image);
    }
    tally.flushCount = flushes.size;
  }

  async #judge(
    state: BlockState,
    {
      mark,
      device,
      image,
      tally,
    }: { mark: Mark; device: string; image: string; tally: BlockTally },
  ): Promise<void> {
    tally.stateCount += 1;
    if (!mount(device, this.#mountPoint, this.#fs)) {
      tally.unmountableCount += 1; // The file system is lost as a whole, by no doing of ours.
      return;
    }
    try {
      const faults = await this.#findFaults(mark, tally).catch((error: Error) => [
        `failed: ${error.stack}`,
      ]);
      if (faults.length > 0) tally.losses.push(`${state.name}: ${faults.join('; ')}`);
    } finally {
      unmount(this.#mountPoint);
    }
    if (tally.stateCount % CHECK_INTERVAL !== 0) return;
    tally.checkedCount += 1;
    const complaint = complaintOf(image, this.#fs);
    if (complaint !== undefined) tally.complaints.push(`${state.name}: ${complaint}`);
  }

  async #findFaults(
    { ledger, before, deletable, settle, place: markPlace }: Mark,
    tally: BlockTally,
  ): Promise<string[]> {
    const { directory, hasClient = false } = this.#options;
    const place = this.#place;
    const options = {
      before,
      deletable,
      settle: settle && ((home: ClientHome) => settle(place, home)),
      scratch: join(directory, 'scratch'),
      usesClient: hasClient,
    };
    place.ledger = copyLedger(ledger);
    const objects = objectsOf(place);
    const key = JSON.stringify([markPlace, [...objects].sort()]);
    const isKnown = !hasClient && this.#judged.has(key);
    if (isKnown && tally.stateCount % JUDGE_INTERVAL !== 0) {
      return objectFaults(objects, { ...options, damaged: ledger.damaged });
    }
    tally.judgedCount += 1;
    const faults = await findFaults(place, options);
    if (faults.length === 0) this.#judged.add(key);
    return faults;
  }
}

async function waitFor(file: string, server: ChildProcess): Promise<void> {
  while (!existsSync(file)) {
    if (server.exitCode !== null) throw new Error(`nbdfuse ended with ${server.exitCode}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

function lastFlush(log: readonly BlockRequest[]): number {
  return log.findLastIndex(({ bytes }) => bytes === undefined);
}

function writeImage(
  fd: number,
  size: number,
  writes: Iterable<{ offset: number; bytes: Buffer }>,
): void {
  ftruncateSync(fd, 0);
  ftruncateSync(fd, size);
  for (const { offset, bytes } of writes) writeSync(fd, bytes, 0, bytes.length, offset);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const options = JSON.parse(process.argv[2] ?? '') as BlockOptions;
  const subjects = [
    ...(options.operations ?? []).map(operationSubject),
    ...(options.histories ?? []).map(historySubject),
  ];
  for (const subject of subjects) {
    for (const left of ['home', 'source']) {
      rmSync(join(options.directory, left), { recursive: true, force: true });
    }
    console.log(JSON.stringify(await new BlockRun(options, subject).run()));
  }
}
