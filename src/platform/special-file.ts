/** FIFOs and device nodes, relative to the handle of a directory: Node makes neither. */
import { constants } from 'node:os';
import type { DirectoryHandle } from './directory-handle.ts';
import { cString, demandSuccess, libc, systemError } from './libc.ts';

export interface SpecialFile {
  readonly type: 'p' | 'c' | 'b';
  /** Of a device. */
  readonly device: { readonly major: number; readonly minor: number };
}

const typeBits = { p: 0o010000, c: 0o020000, b: 0o060000 } as const;
const privateMode = 0o600;

/** Private to us. @throws a system error */
export function makeSpecialFile(
  directory: DirectoryHandle,
  name: Uint8Array,
  { type, device }: SpecialFile,
): void {
  const library = libc();
  if (library === undefined) throw systemError('mknodat', constants.errno.ENOSYS);
  const mode = typeBits[type] | privateMode;
  const number = type === 'p' ? 0n : joinDevice(device);
  const result = library.mknodat(directory.fd, cString(name), mode, number);
  demandSuccess(library, 'mknodat', result);
}

/** The encoding of device numbers that C libraries on Linux use. */
function joinDevice({ major, minor }: SpecialFile['device']): bigint {
  const [high, low] = [BigInt(major), BigInt(minor)];
  return (
    (low & 0xffn) | ((high & 0xfffn) << 8n) | ((low & ~0xffn) << 12n) | ((high & ~0xfffn) << 32n)
  );
}
