/**
 * Gives the memory of a large buffer back at once. Left to itself V8 lets 32 MiB of young buffers pass
 * before it looks for garbage among them, in each thread, however small its heap is.
 *
 * A message port that is closed takes what it is sent out of the sender's hands and drops it.
 */
import { MessageChannel } from 'node:worker_threads';

/** Smaller ones may be parts of a pool, and matter little. */
const sizeMin = 2 ** 16;

const { port1: port } = new MessageChannel();
let isClosed = false;
port.once('close', () => {
  isClosed = true;
});
port.close();

/**
 * The bytes, which are all of their buffer, are no longer needed: they and all views of them are empty
 * from now on. A part of a larger buffer stays as it is, and so does everything in the first turns of
 * a thread.
 */
export function release(bytes: Uint8Array): void {
  const { buffer, length } = bytes;
  if (!isClosed || length < sizeMin || length !== buffer.byteLength) return;
  port.postMessage(undefined, [buffer as ArrayBuffer]);
}
