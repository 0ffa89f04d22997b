import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkProfile, DEFAULT_PROFILE } from '../../src/chunk/profile.ts';

const kib = 1024;

test('checkProfile() accepts the profiles in use and the outermost sizes', () => {
  checkProfile(DEFAULT_PROFILE);
  checkProfile({ average: 16 * kib, minimum: 8 * kib, maximum: 32 * kib });
  checkProfile({ average: 1024 * kib, minimum: 512 * kib, maximum: 2048 * kib });
  checkProfile({ average: 8 * kib, minimum: 4 * kib, maximum: 128 * kib });
  checkProfile({ average: 4096 * kib, minimum: 4096 * kib, maximum: 8192 * kib });
});

const refused: [string, { average: number; minimum: number; maximum: number }][] = [
  ['an average below 8 KiB', { average: 4 * kib, minimum: 4 * kib, maximum: 8 * kib }],
  ['an average above 4 MiB', { average: 8192 * kib, minimum: 4096 * kib, maximum: 8192 * kib }],
  ['an average that is no power of two', { ...DEFAULT_PROFILE, average: 65537 }],
  ['a minimum below 4 KiB', { ...DEFAULT_PROFILE, minimum: 4095 }],
  ['a minimum above the average', { ...DEFAULT_PROFILE, minimum: 65537 }],
  ['a maximum below the average', { ...DEFAULT_PROFILE, maximum: 65535 }],
  ['a maximum above 16 averages', { ...DEFAULT_PROFILE, maximum: 16 * 65536 + 1 }],
  ['a maximum above 8 MiB', { average: 1024 * kib, minimum: 512 * kib, maximum: 8192 * kib + 1 }],
  ['a fraction', { ...DEFAULT_PROFILE, minimum: 32768.5 }],
  ['a size that is not a number', { ...DEFAULT_PROFILE, maximum: Number.NaN }],
];

for (const [what, profile] of refused) {
  test(`checkProfile() refuses ${what}`, () => {
    assert.throws(() => checkProfile(profile), RangeError);
  });
}
