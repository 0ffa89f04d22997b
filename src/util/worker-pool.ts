/**
 * A few equal workers and the jobs for them: a job goes to whoever has least to do, and its answer
 * comes back to whoever asked. A worker is started when the others are busy, so that little work
 * takes one.
 *
 * - A worker has at most `jobsPerWorkerMax` jobs: one at work, one whose input is under way. The
 *   others wait here, where they can still be dropped.
 * - What a worker throws ends the pool: every wait from then on throws it.
 */
import type { WorkerHandle, WorkerOwner } from './worker.ts';

const jobsPerWorkerMax = 2;

/** Starts one worker; jobs and answers are told apart by the number that the pool gives. */
export type StartWorker<Job, Answer> = (
  owner: WorkerOwner<Numbered<Answer>>,
) => WorkerHandle<Numbered<Job>>;

export interface Numbered<T> {
  readonly number: number;
  readonly value: T;
}

interface Task<Job, Answer> {
  readonly job: Job;
  readonly onAnswer: (answer: Answer) => void;
}

interface Member<Job> {
  readonly handle: WorkerHandle<Numbered<Job>>;
  jobCount: number;
}

export class WorkerPool<Job, Answer> {
  readonly #start: StartWorker<Job, Answer>;
  readonly #workerCountMax: number;
  readonly #members: Member<Job>[] = [];
  readonly #tasks = new Map<number, Task<Job, Answer>>();
  #waiting: Task<Job, Answer>[] = [];
  #taken = 0;
  #number = 0;
  #failure: { readonly error: unknown } | undefined;
  /** Whoever waits for something to change. */
  #wake: (() => void) | undefined;

  constructor(workerCountMax: number, start: StartWorker<Job, Answer>) {
    this.#workerCountMax = workerCountMax;
    this.#start = start;
  }

  submit(job: Job, onAnswer: (answer: Answer) => void): void {
    this.#waiting.push({ job, onAnswer });
    this.#post();
  }

  /** Every job has gone to a worker. */
  get isPosted(): boolean {
    return this.#taken === this.#waiting.length;
  }

  /** Every job is answered. */
  get isIdle(): boolean {
    return this.#tasks.size === 0 && this.isPosted;
  }

  /**
   * Waits until `isSo`, which is asked now and after every answer. One waits at a time.
   * @throws whatever a worker threw, or the signal's reason
   */
  async until(isSo: () => boolean, signal?: AbortSignal): Promise<void> {
    const wake = (): void => this.#wake?.();
    signal?.addEventListener('abort', wake);
    try {
      for (;;) {
        if (this.#failure !== undefined) throw this.#failure.error;
        signal?.throwIfAborted();
        if (isSo()) return;
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    } finally {
      signal?.removeEventListener('abort', wake);
    }
  }

  /** Drops the jobs no worker has, and waits until all workers have left. */
  async close(): Promise<void> {
    this.#failure ??= { error: new Error('The worker pool is closed') };
    await Promise.all(this.#members.map(({ handle }) => handle.close()));
  }

  #post(): void {
    while (this.#failure === undefined && this.#taken < this.#waiting.length) {
      const member = this.#idlest();
      if (member === undefined) return;
      const task = this.#waiting[this.#taken++] as Task<Job, Answer>;
      if (this.#taken === this.#waiting.length) {
        this.#waiting = [];
        this.#taken = 0;
      }
      const number = this.#number++;
      this.#tasks.set(number, task);
      member.jobCount++;
      member.handle.post({ number, value: task.job });
    }
  }

  /** The worker with least to do, a new one if that is something; none if all have enough. */
  #idlest(): Member<Job> | undefined {
    let idlest: Member<Job> | undefined;
    for (const member of this.#members) {
      if (idlest === undefined || member.jobCount < idlest.jobCount) idlest = member;
    }
    if (idlest?.jobCount === 0) return idlest;
    if (this.#members.length < this.#workerCountMax) return this.#add();
    return idlest !== undefined && idlest.jobCount < jobsPerWorkerMax ? idlest : undefined;
  }

  #add(): Member<Job> {
    const onReply = ({ number, value }: Numbered<Answer>): void => {
      const task = this.#tasks.get(number) as Task<Job, Answer>;
      this.#tasks.delete(number);
      member.jobCount--;
      this.#post();
      try {
        task.onAnswer(value);
      } catch (error) {
        this.#failure ??= { error };
      }
      this.#wake?.();
    };
    const onFailure = (error: unknown): void => {
      this.#failure ??= { error };
      this.#wake?.();
    };
    const member: Member<Job> = { handle: this.#start({ onReply, onFailure }), jobCount: 0 };
    this.#members.push(member);
    return member;
  }
}
