/** Quantities and times as text for people. Programs get numbers and RFC 3339 (`json.ts`). */

const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB', 'EiB'];

/** "1.5 GiB": one decimal, except for bytes. */
export function formatBytes(size: number | bigint): string {
  let value = Number(size);
  let i = 0;
  while (value >= 1023.95 && i < units.length - 1) {
    value /= 1024;
    i += 1;
  }
  return `${i === 0 ? value : value.toFixed(1)} ${units[i]}`;
}

/** "1,234 files". */
export function formatCount(count: number | bigint, singular: string, plural?: string): string {
  const word = Number(count) === 1 ? singular : (plural ?? `${singular}s`);
  return `${count.toLocaleString('en')} ${word}`;
}

/** "0:07", "1:02:03". */
export function formatDuration(seconds: number): string {
  const total = Math.floor(seconds);
  const [hours, minutes] = [Math.floor(total / 3600), Math.floor(total / 60) % 60];
  const tail = `${String(total % 60).padStart(2, '0')}`;
  if (hours === 0) return `${minutes}:${tail}`;
  return `${hours}:${String(minutes).padStart(2, '0')}:${tail}`;
}

/** How long something took: "0.3 s", from a minute on "1:02". */
export function formatElapsed(seconds: number): string {
  return seconds < 60 ? `${seconds.toFixed(1)} s` : formatDuration(seconds);
}

export function secondsOf(durationNs: bigint): number {
  return Number(durationNs) / 1e9;
}

/** "2026-01-31 12:00:00" where the user is; seconds beyond what a `Date` holds as "@seconds". */
export function formatLocalTime(seconds: bigint): string {
  const date = new Date(Number(seconds) * 1000);
  if (Number.isNaN(date.getTime())) return `@${seconds}`;
  return `${localDay(date)} ${localClock(date)}`;
}

/** "2026-01-31T12:00:00+01:00". */
export function formatLocalIso(seconds: bigint): string {
  const date = new Date(Number(seconds) * 1000);
  if (Number.isNaN(date.getTime())) return `@${seconds}`;
  const offset = -date.getTimezoneOffset();
  const sign = offset < 0 ? '-' : '+';
  const [hours, minutes] = [Math.floor(Math.abs(offset) / 60), Math.abs(offset) % 60];
  return `${localDay(date)}T${localClock(date)}${sign}${pad(hours)}:${pad(minutes)}`;
}

/** Whole seconds of a count of nanoseconds, towards the past. */
export function secondsOfNs(ns: bigint): bigint {
  const seconds = ns / 1_000_000_000n;
  return ns < 0n && seconds * 1_000_000_000n !== ns ? seconds - 1n : seconds;
}

function localDay(date: Date): string {
  return `${date.getFullYear()}-${pad(date.getMonth() + 1)}-${pad(date.getDate())}`;
}

function localClock(date: Date): string {
  return [date.getHours(), date.getMinutes(), date.getSeconds()].map(pad).join(':');
}

function pad(value: number): string {
  return String(value).padStart(2, '0');
}
