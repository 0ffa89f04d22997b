/**
 * Operations on a repository that was damaged (`fault-operations.ts`). A repair that was hit is begun
 * again, as somebody would; then everything must be well, but for what says that it is damaged.
 */
import { chmodSync, cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type ClientHome, isPackName, saveVersions } from './fault-clients.ts';
import type { FaultOperation } from './fault-operation.ts';
import { objectsOf } from './fault-oracle.ts';
import type { FaultPlace } from './fault-place.ts';

/** One more snapshot, of a file that is new; gives the names of the objects it is in. */
async function saveMore(place: FaultPlace): Promise<string[]> {
  const before = objectsOf(place);
  const content = readFileSync(join(place.source, 'changing')).reverse();
  writeFileSync(join(place.source, 'more'), content);
  await place.ok(...place.snapshotArgs);
  return [...objectsOf(place).keys()].filter((name) => !before.has(name));
}

/** A byte of the object is another one now. */
function damage(place: FaultPlace, name: string, offset: number): void {
  const path = join(place.repository, name);
  const bytes = readFileSync(path);
  bytes[offset] = (bytes[offset] as number) ^ 0x10;
  chmodSync(path, 0o600);
  writeFileSync(path, bytes);
  chmodSync(path, 0o400);
  place.ledger.damaged.add(name);
}

const REPAIR_SNAPSHOTS = ['repair', 'snapshots', '--read-data', '--yes'];

function copyOf(place: FaultPlace): string {
  return join(place.client, 'copy');
}

/** Two snapshots, the newest of which has lost some of its data; a copy of the repository has not. */
async function withDamagedPack(place: FaultPlace): Promise<void> {
  await saveVersions(place, 1, 200_000);
  const made = await saveMore(place);
  cpSync(place.repository, copyOf(place), { recursive: true });
  for (const name of made.filter(isPackName)) damage(place, name, 2000);
}

/** Two snapshots; gives the names of the index segments of the newest. */
async function withNewSegment(place: FaultPlace): Promise<string[]> {
  await saveVersions(place, 1);
  return (await saveMore(place)).filter((name) => name.startsWith('index/'));
}

/** Runs a command as a client that must end well. */
async function okBy(
  place: FaultPlace,
  { cache, state }: ClientHome,
  args: readonly string[],
): Promise<void> {
  const env = { VARVE_CACHE_DIR: cache, XDG_STATE_HOME: state };
  const ended = await place.run(args, { env });
  if (ended.code !== 0) throw new Error(`${args.join(' ')}: ${ended.stdout}${ended.stderr}`);
}

function repairing(
  name: string,
  command: (place: FaultPlace) => string[],
  prepare: FaultOperation['prepare'],
): FaultOperation {
  return {
    name,
    prepare,
    command,
    settle: async (place, home) => {
      await okBy(place, home, command(place));
    },
  };
}

export const REPAIRS: readonly FaultOperation[] = [
  repairing(
    'repair index, segment lost',
    () => ['repair', 'index', '--yes'],
    async (place) => {
      for (const name of await withNewSegment(place)) rmSync(join(place.repository, name));
    },
  ),
  repairing(
    'repair index, segment damaged',
    () => ['repair', 'index', '--yes'],
    async (place) => {
      for (const name of await withNewSegment(place)) damage(place, name, 200);
      place.removeClient();
    },
  ),
  repairing(
    'repair packs from a copy',
    (place) => ['repair', 'packs', '--read-data', '--from', copyOf(place), '--yes'],
    withDamagedPack,
  ),
  repairing(
    'repair packs from files',
    (place) => ['repair', 'packs', '--read-data', '--live', place.source, '--yes'],
    withDamagedPack,
  ),
  {
    name: 'repair snapshots',
    prepare: async (place) => {
      await withDamagedPack(place);
      const { kept, broken, rescued } = place.ledger;
      const newest = [...kept.keys()].at(-1) ?? '';
      rescued.add(kept.get(newest) ?? '');
      kept.delete(newest);
      broken.add(newest);
    },
    command: () => REPAIR_SNAPSHOTS,
    settle: async (place, home) => {
      await okBy(place, home, REPAIR_SNAPSHOTS);
      await okBy(place, home, ['forget', ...place.ledger.broken, '--yes']);
    },
  },
];
