/** Snapshots whose records cannot be read: what was asked for may be in them. */
import type { DamagedObject } from '../index.ts';
import { encodeUtf8 } from '../util/bytes.ts';
import { exitCodes } from './exit-code.ts';
import type { Output } from './output.ts';

/** Names each; the exit code that follows. */
export function tellDamaged(
  output: Output,
  damaged: readonly DamagedObject[],
  during: string,
): number {
  for (const { name, error } of damaged) {
    const { message } = error;
    output.problem({ message, during, code: 'damaged', item: encodeUtf8(name), error });
  }
  return damaged.length > 0 ? exitCodes.partial : exitCodes.done;
}
