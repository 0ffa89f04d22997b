/**
 * Holes: stretches of a file that take no room and read as zeros. Linux says where they are; elsewhere, and
 * where a file system does not know, a file is all data.
 */
import { libc } from './libc.ts';

const seekData = 3;
const seekHole = 4;

/**
 * Where the first hole at or behind `offset` begins, the end of the file being one; `offset` itself in a
 * hole. Undefined where nothing is known.
 */
export function nextHole(fd: number, offset: number): number | undefined {
  return seek(fd, offset, seekHole);
}

/** Where the first data at or behind `offset` begins; undefined where there is none, or nothing is known. */
export function nextData(fd: number, offset: number): number | undefined {
  return seek(fd, offset, seekData);
}

/** Every read says where it reads, so that the position this leaves behind means nothing. */
function seek(fd: number, offset: number, whence: number): number | undefined {
  const library = libc();
  if (library === undefined) return undefined;
  const position = Number(library.lseek(fd, offset, whence));
  return position < 0 ? undefined : position;
}
