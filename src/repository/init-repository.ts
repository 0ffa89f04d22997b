/**
 * Creating a repository: the key slot first, then `config` by put-if-absent, which is the moment the
 * repository exists. Who loses that race removes its own slot.
 */
import { RepositoryExistsError } from '../errors.ts';
import type { RepositoryId } from '../id.ts';
import { deriveKeys } from '../keys/key-hierarchy.ts';
import type { Credential } from '../keys/key-slot.ts';
import { createSaltSource } from '../keys/salt-source.ts';
import { encodeConfig, encodeConfigClear } from '../record/config.ts';
import { encodeKeyRing, type KeyRing } from '../record/key-ring.ts';
import { OBJECT_KIND } from '../record/object-kind.ts';
import { sealObject } from '../record/sealed-object.ts';
import type { Storage } from '../storage/storage.ts';
import { concatBytes } from '../util/bytes.ts';
import { type Clock, nowMs, systemClock } from '../util/clock.ts';
import { type Random, systemRandom } from '../util/random.ts';
import { DEFAULT_CONFIG } from './default-config.ts';
import { pass } from './failpoints.ts';
import { addKeySlot } from './key-slots.ts';

/** What may lie at a location without making `init` refuse it: remains of an earlier attempt. */
const HARMLESS_PREFIXES = ['keys/', 'probe/'];

export interface InitOptions {
  storage: Storage;
  credential: Credential;
  random?: Random;
  clock?: Clock;
}

export interface InitResult {
  id: RepositoryId;
  keySlot: string;
}

/** @throws RepositoryExistsError when there is a repository, or anything else, at the location. */
export async function initRepository(options: InitOptions): Promise<InitResult> {
  const { storage, credential } = options;
  const random = options.random ?? systemRandom;
  const clock = options.clock ?? systemClock;
  await refuseOccupied(storage);
  const ring: KeyRing = {
    repositoryId: random.bytes(32) as RepositoryId,
    dedupSecret: random.bytes(32),
    generations: [{ number: 0, rootSecret: random.bytes(32) }],
    current: 0,
    createdMs: [nowMs(clock)],
    label: '',
  };
  await pass('init.before-slot');
  const { repositoryId } = ring;
  const keyRing = encodeKeyRing(ring);
  const keySlot = await addKeySlot(storage, { credential, repositoryId, keyRing, random });
  await pass('init.before-config');
  const outcome = await storage.putIfAbsent('config', makeConfig(ring, { random, clock }));
  await pass('init.after-config');
  if (outcome === 'exists') {
    await storage.delete(keySlot);
    throw new RepositoryExistsError(storage.location);
  }
  return { id: repositoryId, keySlot };
}

function makeConfig(ring: KeyRing, seams: { random: Random; clock: Clock }): Uint8Array {
  const keys = deriveKeys(ring);
  const clear = encodeConfigClear(ring.repositoryId);
  const newSalt = createSaltSource(keys.current, { ...seams, writerId: new Uint8Array(16) });
  const payload = encodeConfig(DEFAULT_CONFIG, clear);
  const identity = { kind: OBJECT_KIND.config, name: 'config' };
  return concatBytes(clear, sealObject(keys, identity, { payload, salt: newSalt }));
}

async function refuseOccupied(storage: Storage): Promise<void> {
  for await (const { name } of storage.list('')) {
    if (name === 'config') throw new RepositoryExistsError(storage.location);
    if (!HARMLESS_PREFIXES.some((prefix) => name.startsWith(prefix))) {
      throw new RepositoryExistsError(storage.location, `it holds "${name}"`);
    }
  }
}
