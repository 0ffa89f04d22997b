/**
 * All there is to damage in a small repository that has an object of every kind: every bit flipped,
 * every object cut at every length, any two exchanged, each taken away, one damage at a time. A client
 * that was there before judges each of them, one without memory a part.
 */
import type { Storage } from '../../src/storage/storage.ts';
import {
  type Contents,
  contentsOf,
  DamageTallies,
  judgeAsNewClient,
  judgeDamage,
  kindOf,
  openMemoryClient,
} from './damage-judge.ts';
import { everyKindOfObject } from './every-kind.ts';
import { flipBit } from './fault-storage.ts';
import { copyStorage, objectNames, replaceObject, type Scope } from './test-repository.ts';

/** What is put in the place of objects; undefined takes it away. */
interface Damage {
  readonly damage: string;
  readonly place: string;
  readonly objects: ReadonlyMap<string, Uint8Array | undefined>;
  /** Whether a check has to name all of them. */
  readonly mustName: boolean;
}

/** Every so many damages are judged by a new client too, and all that are not flips or cuts. */
const newClientEvery = 8;
const progressEvery = 5000;

export interface EverywhereOptions {
  /** Numbers of damages, from the first to before the second. */
  readonly range: readonly [number, number];
  readonly onProgress?: (text: string) => void;
}

export async function damageEverywhere(
  scope: Scope,
  { range: [from, to], onProgress }: EverywhereOptions,
): Promise<DamageTallies> {
  const sound = await everyKindOfObject(scope);
  const objects = new Map<string, Uint8Array>();
  for (const name of await objectNames(sound)) objects.set(name, await sound.get(name));
  const storage = await copyStorage(sound);
  const client = await openMemoryClient(scope, storage);
  const contents = await contentsOf(client);
  const tallies = new DamageTallies();
  let number = 0;
  for (const damage of allDamages(objects)) {
    number += 1;
    if (number <= from || number > to) continue;
    await apply(storage, damage.objects);
    const damaged = new Set(damage.objects.keys());
    const verdict = await judgeDamage(client, damaged, { contents });
    tallies.add(verdict, damage);
    if (number % newClientEvery === 0 || !isOfBytes(damage)) {
      await judgeAnew(storage, damage, { contents, tallies });
    }
    const sounds = [...damaged].map((name) => [name, objects.get(name)] as const);
    await apply(storage, new Map(sounds));
    if (number % progressEvery === 0) {
      onProgress?.(`${number} damages, ${tallies.losses.length} losses`);
    }
  }
  const { result } = await judgeDamage(client, new Set(), {});
  for (const { message } of result?.findings ?? []) tallies.losses.push(`at the end: ${message}`);
  return tallies;
}

async function judgeAnew(
  storage: Storage,
  damage: Damage,
  { contents, tallies }: { contents: Contents; tallies: DamageTallies },
): Promise<void> {
  const damaged = new Set(damage.objects.keys());
  const verdict = await judgeAsNewClient(storage, damaged, contents);
  const place = `${damage.place}, new client`;
  tallies.add(verdict, { ...damage, damage: `${damage.damage}, new client`, place });
}

async function apply(storage: Storage, objects: Damage['objects']): Promise<void> {
  for (const [name, bytes] of objects) {
    await storage.delete(name);
    if (bytes !== undefined) await replaceObject(storage, name, bytes);
  }
}

/** Whether it leaves the object there. */
function isOfBytes({ objects }: Damage): boolean {
  return objects.size === 1 && [...objects.values()][0] !== undefined;
}

function* allDamages(objects: ReadonlyMap<string, Uint8Array>): Generator<Damage> {
  for (const [name, bytes] of objects) {
    // A slot that only its passphrase opens may hide a flip in what is sealed.
    const mustName = kindOf(name) !== 'keys';
    for (let bit = 0; bit < 8 * bytes.length; bit++) {
      const objectsNow = new Map([[name, flipBit(bytes, bit)]]);
      const place = `${name} bit ${bit}`;
      yield { damage: `flip, ${kindOf(name)}`, place, objects: objectsNow, mustName };
    }
  }
  for (const [name, bytes] of objects) {
    for (let size = 0; size < bytes.length; size++) {
      const objectsNow = new Map([[name, bytes.subarray(0, size)]]);
      const place = `${name} cut to ${size}`;
      yield { damage: `cut, ${kindOf(name)}`, place, objects: objectsNow, mustName: true };
    }
  }
  yield* exchanges([...objects]);
  for (const name of objects.keys()) {
    const place = `${name} gone`;
    const mustName = /^(?:config|data\/.*|meta\/.*)$/.test(name);
    const objectsNow = new Map([[name, undefined]]);
    yield { damage: `gone, ${kindOf(name)}`, place, objects: objectsNow, mustName };
  }
}

function* exchanges(objects: readonly (readonly [string, Uint8Array])[]): Generator<Damage> {
  for (const [i, [name, bytes]] of objects.entries()) {
    for (const [otherName, otherBytes] of objects.slice(i + 1)) {
      const isSameKind = kindOf(name) === kindOf(otherName);
      yield {
        damage: isSameKind ? 'two of a kind exchanged' : 'two of different kinds exchanged',
        place: `${name} and ${otherName} exchanged`,
        objects: new Map([
          [name, otherBytes],
          [otherName, bytes],
        ]),
        mustName: true,
      };
    }
  }
}
