/**
 * What the collector records say: which packs are dead, which are condemned, how far collection has
 * come (docs/repository-format.md, rules of the view). A mark or sweep counts only after a listing
 * begun *after* it was read shows no merged sweep that covers its generation: merging opens the name
 * again, and a collector asleep since then may put another list there.
 */
import { CorruptionError, NotFoundError } from '../errors.ts';
import type { PackName } from '../id.ts';
import { collectorView, isSettled, isVoid, lastSwept } from '../protocol/collector-view.ts';
import {
  type Mark,
  type MergedSweep,
  parseMark,
  parseMergedSweep,
  parseSweep,
  type Sweep,
} from '../record/collector-records.ts';
import { OBJECT_KIND } from '../record/object-kind.ts';
import { untilListingStays } from './listing.ts';
import type { RepositoryCore } from './repository.ts';
import { decodeStored, readStoredRecord } from './stored-records.ts';

const NAME_PATTERN = /^gc\/([0-9a-f]{16})\.(mark|sweep|merged|done)$/;

export interface CollectorState {
  /** Highest generation swept, 0 when none was. */
  generation: number;
  /** Packs in any sweep, or condemned by a mark that has no sweep yet. */
  deadPacks: Set<PackName>;
  /** The mark that has no sweep yet. */
  pendingMark: Mark | undefined;
}

/** A repository in which nothing was ever collected. */
export const NO_COLLECTION: CollectorState = {
  generation: 0,
  deadPacks: new Set(),
  pendingMark: undefined,
};

interface CollectorNames {
  marks: Map<number, string>;
  sweeps: Map<number, string>;
  merged: Map<number, string>;
}

/** @throws CorruptionError when a record cannot be read: nothing may then be taken for live. */
export async function loadCollectorState(core: RepositoryCore): Promise<CollectorState> {
  return await untilListingStays('gc/', async () => {
    const names = await listCollectorNames(core);
    const state = await readCollectorState(core, names);
    const after = await listCollectorNames(core);
    return isSettled(new Set(names.merged.keys()), after.merged.keys()) ? state : undefined;
  });
}

async function listCollectorNames(core: RepositoryCore): Promise<CollectorNames> {
  const names: CollectorNames = { marks: new Map(), sweeps: new Map(), merged: new Map() };
  for await (const { name } of core.storage.list('gc/')) {
    const match = NAME_PATTERN.exec(name);
    if (match === null) continue;
    const generation = Number.parseInt(match[1] as string, 16);
    if (match[2] === 'mark') names.marks.set(generation, name);
    if (match[2] === 'sweep') names.sweeps.set(generation, name);
    if (match[2] === 'merged') names.merged.set(generation, name);
  }
  return names;
}

/** Undefined when a listed record is gone: it was merged meanwhile, so list again. */
async function readCollectorState(
  core: RepositoryCore,
  names: CollectorNames,
): Promise<CollectorState | undefined> {
  const merged: MergedSweep[] = [];
  const sweeps: Sweep[] = [];
  const marks: Mark[] = [];
  try {
    for (const [generation, name] of names.merged) {
      merged.push(await read(core, { name, generation, parse: parseMergedSweep }));
    }
    for (const [generation, name] of names.sweeps) {
      if (isVoid(generation, names.merged.keys())) continue;
      sweeps.push(await read(core, { name, generation, parse: parseSweep }));
    }
    const generation = lastSwept({ merged: names.merged.keys(), sweeps: names.sweeps.keys() }) + 1;
    const name = names.marks.get(generation);
    if (name !== undefined) marks.push(await read(core, { name, generation, parse: parseMark }));
    const view = collectorView<string, Mark>({ merged, sweeps, marks });
    return {
      generation: view.generation,
      deadPacks: view.deadPacks as Set<PackName>,
      pendingMark: view.pendingMark,
    };
  } catch (error) {
    if (error instanceof NotFoundError) return undefined;
    throw error;
  }
}

async function read<T extends { generation: number }>(
  core: RepositoryCore,
  record: { name: string; generation: number; parse: (payload: Uint8Array) => T },
): Promise<T> {
  const { name, generation, parse } = record;
  const kinds = name.endsWith('.mark') ? [OBJECT_KIND.mark] : [OBJECT_KIND.sweep];
  const { payload } = await readStoredRecord(core, name, { kinds });
  const parsed = decodeStored({ kind: 'collector record', which: name }, () => parse(payload));
  if (parsed.generation !== generation) {
    throw new CorruptionError({
      kind: 'collector record',
      which: name,
      found: `generation ${parsed.generation}`,
      expected: String(generation),
    });
  }
  return parsed;
}
