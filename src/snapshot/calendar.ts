/**
 * Hours, days, weeks, months and years by the clock on the wall where a snapshot was taken: what it
 * stands for then does not depend on who forgets, and where.
 *
 * An hour is told with its offset from UTC, so the hour that comes twice when summer time ends is two.
 * A zone that this machine does not know is taken for UTC.
 */

/** Names of the periods a time falls in; equal names, same period. */
export interface Periods {
  /** "2026-10-25T02+02:00". */
  readonly hourly: string;
  /** "2026-10-25". */
  readonly daily: string;
  /** "2026-W43", by ISO 8601. */
  readonly weekly: string;
  /** "2026-10". */
  readonly monthly: string;
  /** "2026". */
  readonly yearly: string;
}

/** A time before the newest: years and months by the calendar, the rest by the hour. */
export interface Span {
  readonly years: number;
  readonly months: number;
  readonly days: number;
  readonly hours: number;
}

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const dayMs = 24 * hourMs;
/** What a `Date` can hold, and a day less. */
const timeMaxMs = 8_640_000_000_000_000 - dayMs;
const zonesMax = 64;
const offsetPattern = /GMT([+-])(\d{2}):(\d{2})(?::(\d{2}))?$/;
const spanPattern = /^(?=.)(?:(\d{1,5})y)?(?:(\d{1,5})m)?(?:(\d{1,5})d)?(?:(\d{1,5})h)?$/;

/** @param timeNs nanoseconds since 1970, UTC; @param timeZone by its name in the IANA database. */
export function periodsOf(timeNs: bigint, timeZone: string): Periods {
  const ms = millisecondsOf(timeNs);
  const offsetMs = offsetAt(ms, timeZone);
  const wall = new Date(ms + offsetMs);
  const year = fullYear(wall);
  const month = `${year}-${pad(wall.getUTCMonth() + 1)}`;
  const day = `${month}-${pad(wall.getUTCDate())}`;
  return {
    hourly: `${day}T${pad(wall.getUTCHours())}${offsetText(offsetMs)}`,
    daily: day,
    weekly: weekOf(wall),
    monthly: month,
    yearly: year,
  };
}

/**
 * "1y6m14d12h": years, months, days and hours, each of which may be left out.
 * @returns undefined when it is no span.
 */
export function parseSpan(text: string): Span | undefined {
  const match = spanPattern.exec(text);
  if (match === null) return undefined;
  const [years = 0, months = 0, days = 0, hours = 0] = match.slice(1).map((n) => Number(n ?? 0));
  return { years, months, days, hours };
}

/**
 * The time a span before another, nanoseconds since 1970; undefined when that is before all times. A
 * month before the 31st is the last day of a shorter month.
 */
export function before(timeNs: bigint, { years, months, days, hours }: Span): bigint | undefined {
  const ms = millisecondsOf(timeNs);
  const date = new Date(ms);
  const day = date.getUTCDate();
  date.setUTCMonth(date.getUTCMonth() - 12 * years - months);
  if (date.getUTCDate() !== day) date.setUTCDate(0); // It ran over into the month after.
  const difference = ms - date.getTime() + days * dayMs + hours * hourMs;
  return Number.isNaN(difference) ? undefined : timeNs - BigInt(difference) * 1_000_000n;
}

/** Times beyond all calendars count as the first or last one. */
function millisecondsOf(timeNs: bigint): number {
  return Math.max(-timeMaxMs, Math.min(timeMaxMs, Number(timeNs / 1_000_000n)));
}

const zones = new Map<string, Intl.DateTimeFormat | undefined>();

/** How far the clocks of the zone are ahead of UTC at that moment. */
function offsetAt(ms: number, timeZone: string): number {
  const text = formatOf(timeZone)?.format(ms) ?? '';
  const [, sign, hours, minutes, seconds = 0] = offsetPattern.exec(text) ?? [];
  if (sign === undefined) return 0;
  const offset = Number(hours) * hourMs + Number(minutes) * minuteMs + Number(seconds) * 1000;
  return sign === '-' ? -offset : offset;
}

function formatOf(timeZone: string): Intl.DateTimeFormat | undefined {
  if (zones.has(timeZone)) return zones.get(timeZone);
  if (zones.size >= zonesMax) zones.clear();
  let format: Intl.DateTimeFormat | undefined;
  try {
    format = new Intl.DateTimeFormat('en-US', { timeZone, timeZoneName: 'longOffset' });
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
  }
  zones.set(timeZone, format);
  return format;
}

/** The week of a year that its Thursday is in. */
function weekOf(wall: Date): string {
  const sinceMonday = (wall.getUTCDay() + 6) % 7;
  const thursday = new Date(wall.getTime() + (3 - sinceMonday) * dayMs);
  const firstDay = new Date(thursday);
  firstDay.setUTCMonth(0, 1);
  const week = Math.floor((thursday.getTime() - firstDay.getTime()) / (7 * dayMs)) + 1;
  return `${fullYear(thursday)}-W${pad(week)}`;
}

function fullYear(date: Date): string {
  return String(date.getUTCFullYear()).padStart(4, '0');
}

function offsetText(offsetMs: number): string {
  const minutes = Math.floor(Math.abs(offsetMs) / minuteMs);
  return `${offsetMs < 0 ? '-' : '+'}${pad(Math.floor(minutes / 60))}:${pad(minutes % 60)}`;
}

function pad(value: number): string {
  return String(value).padStart(2, '0');
}
