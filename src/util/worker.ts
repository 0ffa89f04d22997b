/**
 * Workers: the far half of an operation, in a thread of its own or on the calling thread, with the
 * same messages either way; running inline is how a simulation injects clock, random and storage.
 *
 * - Messages are copied or transferred, never shared, inline too.
 * - A worker handles its messages in order; what it does asynchronously may overlap.
 * - Whatever a worker throws reaches its owner as one `onFailure`; after that it gets no message.
 * - A worker is asked to leave and is never terminated: a native module that is still loading would
 *   take the process with it.
 */
import {
  type MessagePort,
  parentPort,
  type Transferable,
  Worker,
  workerData,
} from 'node:worker_threads';
import { type PackedError, packError, unpackError } from '../errors.ts';
import { assert } from './assert.ts';

/** Hands a message to the other side; buffers named in `transfer` are moved instead of copied. */
export type Post<Message> = (message: Message, transfer?: readonly Transferable[]) => void;

/** What a worker is, once it has started. */
export interface WorkerBody<Request> {
  handle(request: Request): void | Promise<void>;
  /** Nothing is handled any more: close what was opened. */
  close(): void | Promise<void>;
}

export type StartBody<Request, Reply> = (
  reply: Post<Reply>,
) => WorkerBody<Request> | Promise<WorkerBody<Request>>;

/** The near side of a worker. */
export interface WorkerHandle<Request> {
  readonly post: Post<Request>;
  /** Asks the worker to leave, and waits until it has: messages before this are handled first. */
  close(): Promise<void>;
}

/** What the owner of a worker is told. */
export interface WorkerOwner<Reply> {
  readonly onReply: (reply: Reply) => void;
  readonly onFailure: (error: unknown) => void;
}

type Answer<Reply> = { reply: Reply } | { failure: PackedError };

/**
 * A worker makes much garbage and keeps little. Left alone, the part of its heap that takes new
 * objects grows to 48 MiB, which saves no measurable time; and the smaller it is, the sooner are
 * buffers freed that became garbage with them, of which a frame on its way leaves several.
 */
const resourceLimits = { maxYoungGenerationSizeMb: 3 };

/** Asks a worker to leave. */
const leave = null;

/** Starts a thread that runs `entry`, a module that calls `serveThread`; `setup` is copied. */
export function startThread<Request, Reply>(
  entry: URL,
  setup: unknown,
  owner: WorkerOwner<Reply>,
): WorkerHandle<Request> {
  // What a thread opens through koffi, or for another one, is not Node's to watch.
  const trackUnmanagedFds = false;
  const thread = new Worker(entry, { workerData: setup, resourceLimits, trackUnmanagedFds });
  let isLeaving = false;
  let hasFailed = false;
  const fail = (error: unknown): void => {
    if (hasFailed) return;
    hasFailed = true;
    owner.onFailure(error);
  };
  thread.on('message', (answer: Answer<Reply>) => {
    if ('failure' in answer) fail(unpackError(answer.failure));
    else if (!hasFailed) owner.onReply(answer.reply);
  });
  thread.on('error', fail);
  const ended = new Promise<void>((resolve) => {
    thread.on('exit', (code) => {
      if (!isLeaving) fail(new Error(`A worker thread ended by itself, with code ${code}`));
      resolve();
    });
  });
  return {
    post: (message, transfer = []) => thread.postMessage(message, transfer),
    close: async () => {
      if (!isLeaving) thread.postMessage(leave);
      isLeaving = true;
      await ended;
    },
  };
}

/** The far side of `startThread`: to be called once by the module that the thread runs. */
export function serveThread<Setup, Request, Reply>(
  start: (setup: Setup, reply: Post<Reply>) => Promise<WorkerBody<Request>>,
): void {
  assert(parentPort !== null, 'a module for threads');
  const port: MessagePort = parentPort;
  const send: Post<Answer<Reply>> = (answer, transfer = []) => port.postMessage(answer, transfer);
  const fail = (error: unknown): void => send({ failure: packError(error) });
  const body = start(workerData as Setup, (reply, transfer) => send({ reply }, transfer));
  // Messages that come before the body is there wait for it, in order.
  port.on('message', (request: Request | typeof leave) => {
    body
      .then(async (ready) => {
        if (request !== leave) return await ready.handle(request);
        await ready.close();
        port.close();
      })
      .catch((error: unknown) => {
        fail(error);
        if (request === leave) port.close();
      });
  });
}

/** Runs a worker on the calling thread, a turn later than it is asked. */
export function startInline<Request, Reply>(
  start: StartBody<Request, Reply>,
  owner: WorkerOwner<Reply>,
): WorkerHandle<Request> {
  let hasFailed = false;
  const fail = (error: unknown): void => {
    if (!hasFailed) owner.onFailure(error);
    hasFailed = true;
  };
  const reply: Post<Reply> = (message, transfer = []) => {
    const copy = structuredClone(message, { transfer: [...transfer] });
    queueMicrotask(() => {
      if (!hasFailed) owner.onReply(copy);
    });
  };
  const body = Promise.resolve().then(() => start(reply));
  return {
    post: (message, transfer = []) => {
      const copy = structuredClone(message, { transfer: [...transfer] });
      body.then((ready) => ready.handle(copy)).catch(fail);
    },
    close: async () => {
      await body.then((ready) => ready.close()).catch(fail);
    },
  };
}
