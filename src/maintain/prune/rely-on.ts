/**
 * What a collector deletes rests on records that others have put: tombs and fences say what is needed
 * by nobody, sweeps and segments say what took the place of something. A record that is listed need
 * not be durable: whoever put it may have been killed a moment before it would have been. A power cut
 * may then take the record and not the deletion, so records are made durable before anything goes
 * because of them.
 */
import { NotFoundError } from '../../errors.ts';
import type { Storage } from '../../storage/storage.ts';

/** On return these records are durable, or were deleted meanwhile, which only their successors allow. */
export async function relyOn(storage: Storage, names: Iterable<string>): Promise<void> {
  for (const name of names) {
    try {
      await storage.adopt(name);
    } catch (error) {
      if (!(error instanceof NotFoundError)) throw error;
    }
  }
  await storage.sync();
}
