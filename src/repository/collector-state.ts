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
import type { ChainFields } from '../record/record.ts';
import { untilListingStays } from './listing.ts';
import type { RepositoryCore } from './repository.ts';
import { decodeStored, readStoredRecord } from './stored-records.ts';

const NAME_PATTERN = /^gc\/([0-9a-f]{16})\.(mark|sweep|merged|done)$/;

/** A record as it lies in storage. */
export type Stored<T> = T & {
  /** SHA-256 of its file, hex. */
  hash: string;
};

export interface CollectorState {
  /** Highest generation swept, 0 when none was. */
  generation: number;
  /** Packs in any sweep. */
  sweptPacks: Set<PackName>;
  /** Packs in any sweep, or condemned by a mark that has no sweep yet. */
  deadPacks: Set<PackName>;
  /** The mark that has no sweep yet. */
  pendingMark: Stored<Mark> | undefined;
  /** By generation; those that a merged sweep covers are not among them. */
  sweeps: Stored<Sweep>[];
  merged: Stored<MergedSweep>[];
  /** Generations that have been carried out. */
  done: Set<number>;
}

/** A repository in which nothing was ever collected. */
export const NO_COLLECTION: CollectorState = {
  generation: 0,
  sweptPacks: new Set(),
  deadPacks: new Set(),
  pendingMark: undefined,
  sweeps: [],
  merged: [],
  done: new Set(),
};

/** The records that count, as records of their writers; and hashes of marks that they name. */
export function chainedRecords({ pendingMark, sweeps, merged }: CollectorState): {
  records: Stored<{ chain: ChainFields }>[];
  named: string[];
} {
  const marks = pendingMark === undefined ? [] : [pendingMark];
  return { records: [...marks, ...sweeps, ...merged], named: sweeps.map(({ mark }) => mark) };
}

interface CollectorNames {
  marks: Map<number, string>;
  sweeps: Map<number, string>;
  merged: Map<number, string>;
  done: Set<number>;
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
  const names: CollectorNames = {
    marks: new Map(),
    sweeps: new Map(),
    merged: new Map(),
    done: new Set(),
  };
  for await (const { name } of core.storage.list('gc/')) {
    const match = NAME_PATTERN.exec(name);
    if (match === null) continue;
    const generation = Number.parseInt(match[1] as string, 16);
    if (match[2] === 'mark') names.marks.set(generation, name);
    if (match[2] === 'sweep') names.sweeps.set(generation, name);
    if (match[2] === 'merged') names.merged.set(generation, name);
    if (match[2] === 'done') names.done.add(generation);
  }
  return names;
}

/** Undefined when a listed record is gone: it was merged meanwhile, so list again. */
async function readCollectorState(
  core: RepositoryCore,
  names: CollectorNames,
): Promise<CollectorState | undefined> {
  const merged: Stored<MergedSweep>[] = [];
  const sweeps: Stored<Sweep>[] = [];
  const marks: Stored<Mark>[] = [];
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
    const view = collectorView<string, Stored<Mark>>({ merged, sweeps, marks });
    return {
      generation: view.generation,
      sweptPacks: view.sweptPacks as Set<PackName>,
      deadPacks: view.deadPacks as Set<PackName>,
      pendingMark: view.pendingMark,
      sweeps: sweeps.sort((a, b) => a.generation - b.generation),
      merged,
      done: names.done,
    };
  } catch (error) {
    if (error instanceof NotFoundError) return undefined;
    throw error;
  }
}

async function read<T extends { generation: number }>(
  core: RepositoryCore,
  record: { name: string; generation: number; parse: (payload: Uint8Array) => T },
): Promise<Stored<T>> {
  const { name, generation, parse } = record;
  const kinds = name.endsWith('.mark') ? [OBJECT_KIND.mark] : [OBJECT_KIND.sweep];
  const { payload, hash } = await readStoredRecord(core, name, { kinds });
  const parsed = decodeStored({ kind: 'collector record', which: name }, () => parse(payload));
  if (parsed.generation !== generation) {
    throw new CorruptionError({
      kind: 'collector record',
      which: name,
      found: `generation ${parsed.generation}`,
      expected: String(generation),
    });
  }
  return { ...parsed, hash };
}

export function generationName(
  generation: number,
  kind: 'mark' | 'sweep' | 'merged' | 'done',
): string {
  return `gc/${generation.toString(16).padStart(16, '0')}.${kind}`;
}
