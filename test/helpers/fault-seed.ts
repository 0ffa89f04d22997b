/**
 * Loaded into the command before anything else (`node --import`): randomness, clocks and the number of
 * the process are the same in every run, so that equal faults leave equal bytes, and what was judged
 * once can be known again. What the command does with them is what it always does.
 *
 *   VARVE_TEST_NOW=<ms since 1970>   when it is; time passes with each look at it
 */
import crypto from 'node:crypto';
import { syncBuiltinESMExports } from 'node:module';

/** More than any that Linux gives. */
const PROCESS_ID = 2 ** 22 + 1;

let drawCount = 0;
function draw(bytes: Uint8Array): void {
  for (let done = 0; done < bytes.length; done += 32) {
    drawCount += 1;
    const block = crypto.createHash('sha256').update(`seed ${drawCount}`).digest();
    bytes.set(block.subarray(0, bytes.length - done), done);
  }
}

let nowNs = BigInt(process.env['VARVE_TEST_NOW'] ?? 0) * 1_000_000n;
function tick(): bigint {
  nowNs += 1000n;
  return nowNs;
}

Object.assign(crypto, {
  randomFillSync: <T extends Uint8Array>(bytes: T): T => {
    draw(bytes);
    return bytes;
  },
  randomBytes: (size: number): Buffer => {
    const bytes = Buffer.alloc(size);
    draw(bytes);
    return bytes;
  },
});
syncBuiltinESMExports();
Date.now = () => Number(tick() / 1_000_000n);
process.hrtime.bigint = tick;
Object.defineProperty(process, 'pid', { value: PROCESS_ID });
