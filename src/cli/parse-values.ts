/**
 * Values of options as users write them: counts, sizes and times. What makes no sense is refused in
 * words that commander puts behind the name of the option, and `options.ts` behind a variable's.
 */
import { InvalidArgumentError } from 'commander';

const SIZE = /^(\d{1,9}(?:\.\d{1,3})?)(?:B|([KMGT])(?:iB)?)?$/i;
const SIZE_UNITS = 'KMGT';
const DURATION = /^(?=\d)(?:(\d{1,6})d)?(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,6})s)?$/;
const TIME =
  /^(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2})(?:(:\d{2})(?:\.(\d{1,9}))?)?(Z|[+-]\d{2}:\d{2})?)?$/i;

/** @throws InvalidArgumentError */
export function parseCount(text: string): number {
  if (!/^[1-9]\d{0,8}$/.test(text)) {
    throw new InvalidArgumentError('Expected a whole number from 1 on.');
  }
  return Number(text);
}

/** How far down; nothing below is a depth, too. @throws InvalidArgumentError */
export function parseDepth(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError('Expected a whole number from 0 on.');
  return Number(text);
}

/** How many threads; none is a number, too. @throws InvalidArgumentError */
export function parseJobs(text: string): number {
  if (!/^\d{1,3}$/.test(text)) throw new InvalidArgumentError('Expected a number up to 999.');
  return Number(text);
}

/** "512M", "1.5GiB", or a number of bytes; units are powers of 1024. @throws InvalidArgumentError */
export function parseSize(text: string): number {
  const [, number, unit] = SIZE.exec(text) ?? [];
  const power = unit === undefined ? 0 : SIZE_UNITS.indexOf(unit.toUpperCase()) + 1;
  const size = Math.round(Number(number) * 1024 ** power);
  if (number === undefined || size === 0) {
    throw new InvalidArgumentError('Expected a size such as 512M or 1.5G.');
  }
  return size;
}

/** The same; nothing is a size, too. @throws InvalidArgumentError */
export function parseSizeOrZero(text: string): number {
  return text === '0' ? 0 : parseSize(text);
}

/** "90s", "30m", "1d12h", or 0. @returns milliseconds. @throws InvalidArgumentError */
export function parseDuration(text: string): number {
  const parts = DURATION.exec(text);
  if (text === '0') return 0;
  if (parts === null) throw new InvalidArgumentError('Expected a duration such as 30m or 1d12h.');
  const [days, hours, minutes, seconds] = parts.slice(1).map((part) => Number(part ?? 0)) as [
    number,
    number,
    number,
    number,
  ];
  return (((days * 24 + hours) * 60 + minutes) * 60 + seconds) * 1000;
}

/**
 * RFC 3339, or the same without an offset for local time; a day alone is its first moment.
 * @returns nanoseconds since 1970, UTC.
 * @throws InvalidArgumentError, also for a day or an hour that does not exist.
 */
export function parseTime(text: string): bigint {
  const [, day, minute = '00:00', second = ':00', fraction = '', offset = ''] =
    TIME.exec(text) ?? [];
  const clock = `${day}T${minute}${second}`;
  const ms = new Date(`${clock}${offset.toUpperCase()}`).getTime();
  if (day === undefined || Number.isNaN(ms) || !isReal(clock)) {
    throw new InvalidArgumentError('Expected a time such as 2026-01-31T12:00 (local) or …+01:00.');
  }
  return BigInt(ms) * 1_000_000n + BigInt(fraction.padEnd(9, '0'));
}

/** `Date` takes the 31st of a short month for the 1st of the next, and 24:00 for the next day. */
function isReal(clock: string): boolean {
  const date = new Date(`${clock}Z`);
  return !Number.isNaN(date.getTime()) && date.toISOString().startsWith(clock);
}
