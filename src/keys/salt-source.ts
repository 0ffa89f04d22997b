/** Draws the salt of every new object of one process, hedged against a repeating random source. */
import { createHash } from 'node:crypto';
import { BOOT_ID } from '../util/boot-id.ts';
import { fromHex } from '../util/bytes.ts';
import type { Clock } from '../util/clock.ts';
import type { Random } from '../util/random.ts';
import { deriveSalt, type GenerationKeys } from './key-hierarchy.ts';

const HASHED_CONTENT_MAX = 65_536;

/** A salt for an object that begins with `content`. */
export type SaltSource = (content: Uint8Array) => Uint8Array;

export function createSaltSource(
  generation: GenerationKeys,
  options: { writerId: Uint8Array; random: Random; clock: Clock; workerNumber?: number },
): SaltSource {
  const bootId = fromHex(BOOT_ID);
  // Threads share a process id: each counts in a range of its own.
  let counter = (options.workerNumber ?? 0) * 2 ** 32;
  return (content) =>
    deriveSalt(generation, {
      random: options.random.bytes(32),
      writerId: options.writerId,
      bootId,
      processId: process.pid,
      monotonicNs: options.clock.monotonicNs(),
      counter: counter++,
      contentHash: createHash('sha256').update(content.subarray(0, HASHED_CONTENT_MAX)).digest(),
    });
}
