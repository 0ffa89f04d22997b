/**
 * One open file of the local backend: writing all of it, reading exactly what was asked. The system
 * calls may do less than they are told; nothing above this file has to know.
 */
import { CorruptionError, errnoCode, StorageError } from '../errors.ts';
import type { FileStat, OpenFile } from './file-system.ts';
import type { ByteRange } from './storage.ts';

/** Bytes per write, so that cancelling does not wait for a whole pack. */
const WRITE_SIZE_MAX = 16 << 20;

/** How file systems say that they have no modes; 0400 only guards against accidents. */
const NO_MODES = new Set(['EINVAL', 'ENOSYS', 'ENOTSUP', 'EOPNOTSUPP', 'EPERM']);

export async function writeAll(
  file: OpenFile,
  bytes: Uint8Array,
  signal?: AbortSignal,
): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    signal?.throwIfAborted();
    const count = await file.write(bytes.subarray(done, done + WRITE_SIZE_MAX), done);
    // Writing nothing, without an error, is no way to say anything else than "full".
    if (count === 0) throw Object.assign(new Error('nothing written'), { code: 'ENOSPC' });
    done += count;
  }
}

/** Makes a written file read-only and durable. */
export async function finish(file: OpenFile): Promise<void> {
  try {
    await file.setMode(0o400);
  } catch (error) {
    if (!NO_MODES.has(errnoCode(error) ?? '')) throw error;
  }
  await file.sync();
}

/** The bytes of a range that lies inside the file, as its size was a moment ago. */
export async function readRange(
  file: OpenFile,
  name: string,
  { offset, length, into }: ByteRange & { into?: Uint8Array | undefined },
): Promise<Uint8Array> {
  // Not zeroed before it is filled, and not from a pool, so that it can be moved to a worker.
  const bytes = into?.subarray(0, length) ?? new Uint8Array(Buffer.allocUnsafeSlow(length).buffer);
  for (let done = 0; done < length; ) {
    const count = await file.read(bytes.subarray(done), offset + done);
    if (count === 0) throw wrongSize(name, offset + done, `at least ${offset + length}`);
    done += count;
  }
  return bytes;
}

export function demandFile(operation: string, name: string, { kind }: FileStat): void {
  if (kind !== 'file') throw new StorageError(operation, name, 'not a regular file');
}

export function wrongSize(name: string, found: number, expected: string): CorruptionError {
  return new CorruptionError({
    kind: 'object',
    which: name,
    found: `${found} bytes`,
    expected: `${expected} bytes`,
  });
}
