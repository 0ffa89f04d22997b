/**
 * Loaded into the command before anything else (`node --import`), by tests: kills the process at a
 * failpoint, or kills, stops or fails it at its n-th call to the file system, counted over all seams
 * through which the program makes such calls. The variables say what to do:
 *
 *   VARVE_TEST_FAILPOINT=<name>         SIGKILL when the failpoint is first passed
 *   VARVE_TEST_SEAM=kill:<n>            SIGKILL before the n-th call that changes something
 *   VARVE_TEST_SEAM=stop:<n>            SIGSTOP there
 *   VARVE_TEST_SEAM=count:<kind>:<file> at the end, how many calls that kind counts is written there
 *   VARVE_TEST_SEAM=once:<n>:<code>     the n-th call of any kind fails, from 1
 *   VARVE_TEST_SEAM=lasting:<n>:<code>  and all after it
 *   VARVE_TEST_SEAM=lie:<n>             the n-th write to an object keeps half and says all
 *   VARVE_TEST_SEAM=full:<n>            it and all later ones find no room
 *   VARVE_TEST_BUG=<name>               a planted bug
 */
import { readlinkSync, writeFileSync } from 'node:fs';
import { register } from 'node:module';
import type { StorageFs } from '../../src/storage/file-system.ts';

/** The true one, whatever `fault-seed.ts` has made of `process.pid`. */
const processId = Number(readlinkSync('/proc/self'));
const { VARVE_TEST_BUG: bug, VARVE_TEST_FAILPOINT: failpoint } = process.env;
if (bug !== undefined) register(new URL('./planted-loader.js', import.meta.url), { data: bug });

if (failpoint !== undefined) {
  const { onFailpoint } = await import('../../src/util/failpoint.ts');
  onFailpoint((name) => {
    if (name === failpoint) process.kill(processId, 'SIGKILL');
  });
}

/** Calls of all seams that leave everything as it is. */
const READING = new Set([
  'openFile',
  'openDirectory',
  'stat',
  'readDirectory',
  'read',
  'statFile',
  'close',
  'closeWritten',
  'realPath',
  'freeSize',
  'list',
  'readHead',
  'hasDirectoryHandles',
  'effectiveUid',
  'openTarget',
  'isEmpty',
  'openEntry',
  'fstat',
  'hasAttribute',
  'reopen',
]);
/** Not calls to the system, or such as the seam keeps from failing. */
const NEVER_FAILING = new Set(['hasDirectoryHandles', 'effectiveUid', 'close']);

const [first = '', second = '', third = ''] = (process.env['VARVE_TEST_SEAM'] ?? '').split(':');
const isCounting = first === 'count';
const [kind, at, code] = isCounting ? [second, 0, ''] : [first, Number(second), third];
const isOfWrites = kind === 'lie' || kind === 'full';
let count = 0;
if (isCounting) process.on('exit', () => writeFileSync(third, String(count)));

function systemError(error: string, operation: string): Error {
  return Object.assign(new Error(`${error}: planted, ${operation}`), { code: error });
}

/** Before each call: dies, stops, or throws what the call is to fail with. */
function beforeCall(operation: string): void {
  if ((kind === 'kill' || kind === 'stop') && !READING.has(operation)) {
    count += 1;
    if (count === at) process.kill(processId, kind === 'kill' ? 'SIGKILL' : 'SIGSTOP');
  }
  if (kind === 'once' || kind === 'lasting') {
    count += 1;
    if (count === at || (kind === 'lasting' && at > 0 && count > at)) {
      throw systemError(code, operation);
    }
  }
}

/** Watches the methods of a seam, all of which answer at once or all of which answer later. */
function watch(seam: object, answers: 'at once' | 'later'): void {
  for (const [name, method] of Object.entries(seam)) {
    const call = method as (...args: unknown[]) => unknown;
    const isFailing = answers === 'later' || !NEVER_FAILING.has(name);
    const atOnce = (...args: unknown[]): unknown => {
      if (isFailing) beforeCall(name);
      return call(...args);
    };
    const later = async (...args: unknown[]): Promise<unknown> => await atOnce(...args);
    Object.assign(seam, { [name]: answers === 'at once' ? atOnce : later });
  }
}

async function watchStorage(): Promise<void> {
  const { nodeFs } = await import('../../src/storage/file-system.ts');
  const { interceptFs } = await import('./intercepted-fs.ts');
  const real: StorageFs = isOfWrites ? faultyWrites({ ...nodeFs }) : { ...nodeFs };
  const watched = interceptFs(real, async ({ operation }, run) => {
    beforeCall(operation);
    return await run();
  });
  Object.assign(nodeFs, watched);
}

function faultyWrites(fs: StorageFs): StorageFs {
  return {
    ...fs,
    create: async (path) => {
      const file = await fs.create(path);
      return {
        ...file,
        write: async (bytes, offset) => {
          count += 1;
          if (kind === 'full' && at > 0 && count >= at) throw systemError('ENOSPC', 'write');
          if (kind === 'full' || count !== at) return await file.write(bytes, offset);
          await file.write(bytes.subarray(0, bytes.length >> 1), offset);
          return bytes.length;
        },
      };
    },
  };
}

if (kind !== '') {
  await watchStorage();
  const { nodeStateFs } = await import('../../src/repository/state-fs.ts');
  const { systemCacheFs } = await import('../../src/index/cache-fs.ts');
  const { nodeTargetFs } = await import('../../src/restore/target-fs.ts');
  if (!isOfWrites) {
    watch(nodeStateFs, 'later');
    watch(systemCacheFs, 'later');
    watch(nodeTargetFs, 'at once');
  }
}
