/**
 * Extended attributes: names and values, both bytes, that a file system keeps beside a file. POSIX ACLs
 * (`system.posix_acl_*`) and capabilities (`security.capability`) are such, too. Linux only; elsewhere,
 * and where the file system has none, every file has none.
 */
import { constants } from 'node:os';
import { cString, demandSuccess, type Libc, libc, systemError } from './libc.ts';

/** A descriptor, or a path of which a symlink in the last place is not followed. */
export type AttributePlace = number | Uint8Array;

/**
 * The room for names or a value. The system takes as much memory for a moment, so it begins small: with
 * 1 KiB to ask a file that has none takes 0.5 us, with 64 KiB 0.8 us.
 */
let room = new Uint8Array(1024);
const roomMax = 2 ** 20;
const noNames: Uint8Array[] = [];

/** In any order. @throws a system error */
export function listAttributes(place: AttributePlace): Uint8Array[] {
  const library = libc();
  if (library === undefined) return noNames;
  const path = typeof place === 'number' ? noPath : cString(place);
  for (;;) {
    const size =
      typeof place === 'number'
        ? library.flistxattr(place, room, room.length)
        : library.llistxattr(path, room, room.length);
    if (size === 0) return noNames;
    if (size > 0) return splitNames(size);
    if (isNone(library, 'listxattr')) return noNames;
  }
}

/** Undefined where there is none of that name, perhaps not any more. @throws a system error */
export function getAttribute(place: AttributePlace, name: Uint8Array): Uint8Array | undefined {
  const library = libc();
  if (library === undefined) return undefined;
  const path = typeof place === 'number' ? noPath : cString(place);
  const attribute = cString(name);
  for (;;) {
    const size =
      typeof place === 'number'
        ? library.fgetxattr(place, attribute, room, room.length)
        : library.lgetxattr(path, attribute, room, room.length);
    if (size >= 0) return room.slice(0, size);
    if (isNone(library, 'getxattr')) return undefined;
  }
}

const noPath = new Uint8Array(0);
const { ENODATA, ENOTSUP, EOPNOTSUPP, ENOSYS, ERANGE } = constants.errno;
const none: ReadonlySet<number> = new Set([ENODATA, ENOTSUP, EOPNOTSUPP, ENOSYS]);

/** After a call that failed: whether there is nothing; if not, there is more room now for the next call. */
function isNone(library: Libc, syscall: string): boolean {
  const errno = library.errno();
  if (none.has(errno)) return true;
  // What grows while it is asked for does so to the limits of the system, 64 KiB.
  if (errno !== ERANGE || room.length >= roomMax) throw systemError(syscall, errno);
  room = new Uint8Array(2 * room.length);
  return false;
}

/** Each name ends with a zero. */
function splitNames(size: number): Uint8Array[] {
  const names: Uint8Array[] = [];
  for (let start = 0; start < size; ) {
    const end = room.indexOf(0, start);
    names.push(room.slice(start, end));
    start = end + 1;
  }
  return names;
}

/** A descriptor, or a path that leads through one and is followed. */
export type AttributeTarget = number | Uint8Array;

/** Makes the attribute, or gives it another value. @throws a system error */
export function setAttribute(target: AttributeTarget, name: Uint8Array, value: Uint8Array): void {
  const library = demandLibrary('setxattr');
  const attribute = cString(name);
  const result =
    typeof target === 'number'
      ? library.fsetxattr(target, attribute, value, value.length, 0)
      : library.setxattr(cString(target), attribute, value, value.length, 0);
  demandSuccess(library, 'setxattr', result);
}

/** Nothing happens where there is none of that name. @throws a system error */
export function removeAttribute(target: AttributeTarget, name: Uint8Array): void {
  const library = demandLibrary('removexattr');
  const attribute = cString(name);
  const result =
    typeof target === 'number'
      ? library.fremovexattr(target, attribute)
      : library.removexattr(cString(target), attribute);
  if (result === 0) return;
  const errno = library.errno();
  if (!none.has(errno)) throw systemError('removexattr', errno);
}

function demandLibrary(syscall: string): Libc {
  const library = libc();
  if (library === undefined) throw systemError(syscall, ENOTSUP);
  return library;
}
