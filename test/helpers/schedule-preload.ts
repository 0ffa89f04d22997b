/**
 * Loaded into the command before anything else (`node --import`), by `process-schedule.ts`: the process
 * stops itself (SIGSTOP) before those of its calls to `node:fs/promises` that were chosen, counted from 1
 * one after the other, and whenever it would wait for others. Calls on open files are not counted, for
 * nobody else sees them, nor calls elsewhere than in the directory that the repository is in, nor calls on
 * the repository's own directory and those that packs are spread over, whose number is up to chance. This
 * reaches the command as it is shipped: it looks for nothing in it.
 *
 *   VARVE_TEST_STOPS=<n>,<n>…  the calls to stop before
 *   VARVE_TEST_RANDOM=<seed>   ids are drawn from this, so that the same schedule has the same ones
 *   VARVE_TEST_BUG=<name>      a planted bug, in the command as modules of their own
 *
 * Descriptor 3 is told what happens, a line for each:
 *
 *   begins <id>      a session
 *   stops <n> <call> <path>, stops <n> waits
 *   ends <n>         after so many calls
 */
import crypto, { createHash } from 'node:crypto';
import { writeSync } from 'node:fs';
import promises from 'node:fs/promises';
import { register, syncBuiltinESMExports } from 'node:module';
import { dirname } from 'node:path';
import timers from 'node:timers/promises';

const { VARVE_TEST_BUG: bug, VARVE_TEST_RANDOM: seed, VARVE_TEST_STOPS = '' } = process.env;
if (bug !== undefined) register(new URL('./planted-loader.js', import.meta.url), { data: bug });

const repository = process.env['VARVE_REPOSITORY'] ?? '';
const place = dirname(repository);
const toldTo = 3;
const stops = new Set(VARVE_TEST_STOPS.split(',').map(Number));
/** Shorter ones are no waiting for others. */
const waitMsMin = 1000;
const PACK_DIRECTORY = /\/(?:data|meta)\/[0-9a-f]{2}$/;
const SESSION_NAME = /\/sessions\/([0-9a-f]{32})$/;

let count = 0;

function tell(line: string): void {
  writeSync(toldTo, `${line}\n`);
}

function stop(at: string): void {
  tell(`stops ${count} ${at}`);
  process.kill(process.pid, 'SIGSTOP');
}

function isCounted(path: string): boolean {
  return path !== repository && !PACK_DIRECTORY.test(path);
}

type Call = (...args: unknown[]) => Promise<unknown>;

let last: Promise<unknown> = Promise.resolve();

/** One call at a time, so that those before the one that is stopped at have been made. */
function inOrder(name: string, call: Call): Call {
  return (...args) => {
    const path = String(args[name === 'link' || name === 'rename' ? 1 : 0]);
    if (!path.startsWith(place)) return call(...args);
    const made = last.then(() => {
      if (!isCounted(path)) return call(...args);
      count += 1;
      const id = name === 'link' ? SESSION_NAME.exec(path)?.[1] : undefined;
      if (stops.has(count)) stop(`${name} ${path.split('/').slice(-2).join('/')}`);
      if (id !== undefined) tell(`begins ${id}`);
      return call(...args);
    });
    last = made.catch(() => {});
    return made;
  };
}

const seen = [
  ...['link', 'lstat', 'mkdir', 'open', 'readFile', 'readdir'],
  ...['realpath', 'rename', 'rm', 'stat', 'statfs', 'unlink'],
];
const calls = promises as unknown as Record<string, Call>;
for (const name of seen) calls[name] = inOrder(name, calls[name] as Call);

const wait = timers.setTimeout;
Object.assign(timers, {
  setTimeout: async (ms: number, value: unknown, options: object) => {
    if (ms < waitMsMin) return await wait(ms, value, options);
    stop('waits');
    return value;
  },
});

if (seed !== undefined) {
  let drawn = 0;
  Object.assign(crypto, {
    randomFillSync: (bytes: Uint8Array) => {
      for (let at = 0; at < bytes.length; at += 32) {
        const hash = createHash('sha256').update(`${seed} ${drawn++}`).digest();
        bytes.set(hash.subarray(0, bytes.length - at), at);
      }
      return bytes;
    },
  });
}

syncBuiltinESMExports();
process.on('exit', () => tell(`ends ${count}`));
