/**
 * What tells this boot of this machine from every other: part of the hedge against a repeated
 * random source, and of "does that process still live".
 */
import { readFileSync } from 'node:fs';

/** 32 hex digits; zeros where the system has no boot id. */
export const BOOT_ID: string = readBootId();

function readBootId(): string {
  try {
    const text = readFileSync('/proc/sys/kernel/random/boot_id', 'latin1');
    return text.trim().replaceAll('-', '');
  } catch {
    return '0'.repeat(32);
  }
}
