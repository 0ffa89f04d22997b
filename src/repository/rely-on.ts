/**
 * A record that is listed need not be durable: whoever put it may have been killed a moment before it
 * would have been, and a power cut may then take it. So it is made durable before anything that rests
 * on it: what a collector deletes because of tombs, fences, sweeps and segments, and a record that
 * says to have seen it.
 */
import { NotFoundError } from '../errors.ts';
import type { CallOptions, Storage } from '../storage/storage.ts';

/** On return these records are durable, or were deleted meanwhile, which only their successors allow. */
export async function relyOn(storage: Storage, names: Iterable<string>): Promise<void> {
  await adoptAll(storage, names);
  await storage.sync();
}

/** The same after the next `sync`. */
export async function adoptAll(
  storage: Storage,
  names: Iterable<string>,
  options: CallOptions = {},
): Promise<void> {
  for (const name of names) {
    try {
      await storage.adopt(name, options);
    } catch (error) {
      if (!(error instanceof NotFoundError)) throw error;
    }
  }
}
