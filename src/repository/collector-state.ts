/**
 * What the collector records say: which packs are dead, which are condemned, how far collection has
 * come (docs/repository-format.md, rules of the view). A mark or sweep counts only after a listing
 * begun *after* it was read shows no merged sweep that covers its generation: merging opens the name
 * again, and a collector asleep since then may put another list there.
 */
import { CorruptionError, NotFoundError } from '../errors.ts';
import type { PackName } from '../id.ts';
import { type Mark, parseMark, parseMergedSweep, parseSweep } from '../record/collector-records.ts';
import { OBJECT_KIND } from '../record/object-kind.ts';
import type { ChainFields } from '../record/record.ts';
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
  /** Those that count, each as a record of its writer: sweeps, merged sweeps, the pending mark. */
  records: { name: string; hash: string; chain: ChainFields }[];
  /** Hashes of the marks that sweeps were decided for. */
  sweptMarks: string[];
}

/** A repository in which nothing was ever collected. */
export const NO_COLLECTION: CollectorState = {
  generation: 0,
  deadPacks: new Set(),
  pendingMark: undefined,
  records: [],
  sweptMarks: [],
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
    const isStill = [...after.merged.keys()].every((generation) => names.merged.has(generation));
    return isStill ? state : undefined;
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
  const deadPacks = new Set<PackName>();
  const addDead = (packs: readonly string[]): void => {
    for (const pack of packs) deadPacks.add(pack as PackName);
  };
  const records: CollectorState['records'] = [];
  const sweptMarks: string[] = [];
  const take = async <T extends Chained>(place: RecordPlace<T>): Promise<T> => {
    const { parsed, hash } = await read(core, place);
    records.push({ name: place.name, hash, chain: parsed.chain });
    return parsed;
  };
  try {
    let mergedUpTo = 0;
    for (const [generation, name] of names.merged) {
      addDead((await take({ name, generation, parse: parseMergedSweep })).delete);
      mergedUpTo = Math.max(mergedUpTo, generation);
    }
    let generation = mergedUpTo;
    for (const [swept, name] of names.sweeps) {
      if (swept <= mergedUpTo) continue;
      const sweep = await take({ name, generation: swept, parse: parseSweep });
      addDead(sweep.delete);
      sweptMarks.push(sweep.mark);
      generation = Math.max(generation, swept);
    }
    const pendingName = names.marks.get(generation + 1);
    const pendingMark =
      pendingName === undefined
        ? undefined
        : await take({ name: pendingName, generation: generation + 1, parse: parseMark });
    addDead(pendingMark?.condemned ?? []);
    return { generation, deadPacks, pendingMark, records, sweptMarks };
  } catch (error) {
    if (error instanceof NotFoundError) return undefined;
    throw error;
  }
}

interface Chained {
  generation: number;
  chain: ChainFields;
}

interface RecordPlace<T> {
  name: string;
  generation: number;
  parse: (payload: Uint8Array) => T;
}

async function read<T extends Chained>(
  core: RepositoryCore,
  { name, generation, parse }: RecordPlace<T>,
): Promise<{ parsed: T; hash: string }> {
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
  return { parsed, hash };
}
