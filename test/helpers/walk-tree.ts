/**
 * Walks sources and keeps the events as lines, for tests that compare them. What is in the system's own
 * files is walked a second time with everything listed ahead, which must make no difference.
 */
import assert from 'node:assert/strict';
import { concatBytes, encodeU32, encodeU64 } from '../../src/util/bytes.ts';
import { readAccountNames } from '../../src/walk/account-names.ts';
import { listAhead } from '../../src/walk/ahead-lister.ts';
import type { ExcludeOptions } from '../../src/walk/excludes.ts';
import { type ListingBatch, ListingWriter } from '../../src/walk/listing.ts';
import { ListingsInOrder } from '../../src/walk/listings-in-order.ts';
import { outermostSources, planSources, type SourcePlan } from '../../src/walk/plan-sources.ts';
import type { SourceEntry } from '../../src/walk/source-entry.ts';
import { nodeSourceFs, type SourceFs } from '../../src/walk/source-fs.ts';
import type { SourceMetadata } from '../../src/walk/source-metadata.ts';
import { type Ahead, type WalkEvent, type WalkOptions, walk } from '../../src/walk/walk.ts';

/** Stands for the keyed hash: readable and different for different input. */
export function testLinkGroup(mountOrdinal: number, inode: bigint): Uint8Array {
  return concatBytes(encodeU32(mountOrdinal), encodeU64(inode));
}

export interface Walked {
  readonly events: WalkEvent[];
  /** How many entries were left out. */
  readonly excluded: number;
  /** `enter /a`, `entry f /a/b`, `leave /a`, `error reason /c`, one per event, latin1. */
  readonly lines: string[];
}

export function walkOptions(fs: SourceFs): WalkOptions {
  return { fs, accounts: readAccountNames(), linkGroup: testLinkGroup };
}

export function walkTree(
  sources: (string | Uint8Array)[],
  fs: SourceFs = nodeSourceFs,
  excludes: ExcludeOptions = {},
): Walked {
  const plan = planSources(sources, '/');
  const walked = walkPlan(plan, { ...walkOptions(fs), excludes });
  if (fs === nodeSourceFs) {
    const ahead = listAllAhead(plan, excludes);
    const again = walkPlan(plan, { ...walkOptions(fs), excludes, ahead });
    assert.deepEqual(again.lines, walked.lines);
    assert.equal(again.excluded, walked.excluded);
    assert.deepEqual(metadataBelow(again, plan), metadataBelow(walked, plan));
  }
  return walked;
}

export function walkPlan(plan: SourcePlan, options: WalkOptions): Walked {
  let excluded = 0;
  const onExcluded = (): void => {
    excluded++;
  };
  const events = [...walk(plan, { ...options, onExcluded })];
  return { events, excluded, lines: events.map(describe) };
}

/** What another thread would have found out by now, had it gone through all of the sources. */
export function listAllAhead(plan: SourcePlan, excludes: ExcludeOptions = {}): Ahead {
  const writer = new ListingWriter();
  const batches: ListingBatch[] = [];
  const paths = outermostSources(plan.root);
  listAhead({ paths, excludes }, writer, () => {
    // Batches of one directory and of several.
    if (batches.length % 2 === 0 || writer.size > 1000) batches.push(writer.take());
    return true;
  });
  batches.push(writer.take());
  return new ListingsInOrder(() => batches.shift());
}

/** Of all that is at or below a source: directories above may be others' and change. */
export function metadataBelow({ events }: Walked, { paths }: SourcePlan): SourceMetadata[] {
  const tops = paths.map(latin1);
  return events.flatMap((event) => {
    if (event.kind === 'error') return [];
    const path = latin1(event.entry.path);
    return tops.some((top) => path.startsWith(top)) ? [event.entry.metadata] : [];
  });
}

function describe(event: WalkEvent): string {
  if (event.kind === 'error') return `error ${event.error.reason} ${latin1(event.error.path)}`;
  const { metadata, path } = event.entry;
  const type = event.kind === 'entry' ? `${metadata.type} ` : '';
  return `${event.kind} ${type}${latin1(path)}`;
}

function latin1(path: Uint8Array): string {
  return Buffer.from(path).toString('latin1');
}

/** The entry that ends with `/name`, entered or not. */
export function entryNamed(walked: Walked, name: string): SourceEntry {
  for (const event of walked.events) {
    if (event.kind === 'error' || event.kind === 'leave') continue;
    if (latin1(event.entry.metadata.name) === name) return event.entry;
  }
  throw new Error(`no entry ${name}`);
}

export function metadataOf(walked: Walked, name: string): SourceMetadata {
  return entryNamed(walked, name).metadata;
}

/** Lines below `top`, with `top` cut off. */
export function linesBelow(walked: Pick<Walked, 'lines'>, top: string): string[] {
  return walked.lines
    .filter((line) => line.includes(`${top}/`))
    .map((line) => line.replace(`${top}/`, ''));
}
