/**
 * A `StorageFs` through which a test sees, refuses, fakes or counts every call to another one, the
 * simulated or the real.
 */
import type { OpenFile, StorageFs } from '../../src/storage/file-system.ts';

export type FsOperation =
  | Exclude<keyof StorageFs, symbol>
  | 'write'
  | 'read'
  | 'statFile'
  | 'setMode'
  | 'syncFile'
  | 'syncDirectory'
  | 'close';

export interface FsCall {
  readonly operation: FsOperation;
  /** Of an open file: the path it was opened by. Of link and rename: the new name. */
  readonly path: string;
}

/** `run` makes the call; whatever the intercept returns or throws is what the caller gets. */
export type FsIntercept = <T>(call: FsCall, run: () => Promise<T>) => Promise<T>;

export function interceptFs(fs: StorageFs, intercept: FsIntercept): StorageFs {
  const file = (opened: OpenFile, path: string, sync: FsOperation): OpenFile => ({
    write: (bytes, position) =>
      intercept({ operation: 'write', path }, () => opened.write(bytes, position)),
    read: (into, position) =>
      intercept({ operation: 'read', path }, () => opened.read(into, position)),
    stat: () => intercept({ operation: 'statFile', path }, () => opened.stat()),
    setMode: (mode) => intercept({ operation: 'setMode', path }, () => opened.setMode(mode)),
    sync: () => intercept({ operation: sync, path }, () => opened.sync()),
    close: () => intercept({ operation: 'close', path }, () => opened.close()),
  });
  return {
    create: (path) =>
      intercept({ operation: 'create', path }, async () =>
        file(await fs.create(path), path, 'syncFile'),
      ),
    openFile: (path) =>
      intercept({ operation: 'openFile', path }, async () =>
        file(await fs.openFile(path), path, 'syncFile'),
      ),
    openDirectory: (path) =>
      intercept({ operation: 'openDirectory', path }, async () =>
        file(await fs.openDirectory(path), path, 'syncDirectory'),
      ),
    stat: (path) => intercept({ operation: 'stat', path }, () => fs.stat(path)),
    readDirectory: (path) =>
      intercept({ operation: 'readDirectory', path }, () => fs.readDirectory(path)),
    makeDirectory: (path) =>
      intercept({ operation: 'makeDirectory', path }, () => fs.makeDirectory(path)),
    link: (from, to) => intercept({ operation: 'link', path: to }, () => fs.link(from, to)),
    rename: (from, to) => intercept({ operation: 'rename', path: to }, () => fs.rename(from, to)),
    unlink: (path) => intercept({ operation: 'unlink', path }, () => fs.unlink(path)),
    realPath: (path) => intercept({ operation: 'realPath', path }, () => fs.realPath(path)),
    freeSize: (path) => intercept({ operation: 'freeSize', path }, () => fs.freeSize(path)),
  };
}

/** Every call in order, as "operation path". */
export function recordFs(fs: StorageFs): { fs: StorageFs; calls: string[] } {
  const calls: string[] = [];
  const recorded = interceptFs(fs, async ({ operation, path }, run) => {
    calls.push(`${operation} ${path}`);
    return await run();
  });
  return { fs: recorded, calls };
}

/** A file system that knows nothing of some operations and says so with `code`. */
export function refuseOperation(fs: StorageFs, operation: FsOperation, code: string): StorageFs {
  return interceptFs(fs, async (call, run) => {
    if (call.operation === operation) throw systemError(code, call);
    return await run();
  });
}

/** A planted bug: the operation does nothing and says that all went well. */
export function skipOperation(fs: StorageFs, operation: 'syncFile' | 'syncDirectory'): StorageFs {
  return interceptFs(fs, async (call, run) => {
    if (call.operation === operation) return undefined as never;
    return await run();
  });
}

/** Thrown by every call of a process that no longer lives. */
export class Stopped extends Error {}

/** The process ends before its call number `n` (from 0). */
export function stopAtCall(fs: StorageFs, n: number): StorageFs {
  let count = 0;
  return interceptFs(fs, async (_call, run) => {
    if (count++ >= n) throw new Stopped('stopped');
    return await run();
  });
}

export interface FsFault {
  /** Number of the call that fails, from 0. */
  readonly at: number;
  readonly code: string;
  /** All later calls fail too. */
  readonly isLasting?: boolean;
  /** The call is made, and only its answer is an error. */
  readonly isApplied?: boolean;
  /** Told of each call that failed. */
  readonly onFailure?: (call: FsCall) => void;
}

export function failAtCall(fs: StorageFs, fault: FsFault): StorageFs {
  let count = 0;
  return interceptFs(fs, async (call, run) => {
    const number = count++;
    const isHit = fault.isLasting === true ? number >= fault.at : number === fault.at;
    if (!isHit) return await run();
    if (fault.isApplied === true) await run();
    fault.onFailure?.(call);
    throw systemError(fault.code, call);
  });
}

function systemError(code: string, { operation, path }: FsCall): Error {
  return Object.assign(new Error(`${code}: ${operation} '${path}'`), { code });
}
