/**
 * Opening a repository: the clear part of `config` says whether this program may, a key slot gives
 * the keys, and the sealed part of `config` must repeat the clear one.
 */
import { createBlobIdentifier } from '../blob/blob-ids.ts';
import { CHUNKER_NAME, checkProfile } from '../chunk/profile.ts';
import { NoRepositoryError, NotFoundError, VersionError } from '../errors.ts';
import { deriveKeys, type RepositoryKeys } from '../keys/key-hierarchy.ts';
import {
  CONFIG_CLEAR_SIZE,
  type ConfigClear,
  parseConfig,
  parseConfigClear,
  type RepositoryConfig,
} from '../record/config.ts';
import { OBJECT_KIND } from '../record/object-kind.ts';
import { openObject } from '../record/sealed-object.ts';
import type { Storage } from '../storage/storage.ts';
import { type Clock, systemClock } from '../util/clock.ts';
import { type Random, systemRandom } from '../util/random.ts';
import { ZstdCodec } from '../util/zstd.ts';
import { DEFAULT_CONFIG } from './default-config.ts';
import { IndexHolder } from './index-holder.ts';
import { type AskPassphrase, openKeyRing } from './key-slots.ts';
import { PackLedger } from './pack-ledger.ts';
import type { OnNotice, Repository, RepositoryCore } from './repository.ts';
import { nodeStateFs, type StateFs } from './state-fs.ts';
import { decodeStored, readStoredRecord } from './stored-records.ts';
import { WriterStateStore } from './writer-state.ts';

const CONFIG_SIZE_MAX = 2 ** 20;
const CONFIG_UPDATE_NAME = /^config\.d\/([0-9a-f]{8})$/;

const memoryDefault = 2 ** 29;

export interface OpenOptions {
  storage: Storage;
  askPassphrase: AskPassphrase;
  /** Where the local index lives; disposable. */
  cacheDirectory: string;
  /** Where the writer state lives; not disposable. */
  stateDirectory: string;
  /** Threads for an operation, each of which opens the storage by its location; default: none. */
  jobs?: number;
  /** Bytes for an operation; default 512 MiB. */
  memory?: number;
  clock?: Clock;
  random?: Random;
  stateFs?: StateFs;
  onNotice?: OnNotice;
}

/**
 * @throws NoRepositoryError, KeyError, VersionError, CorruptionError, StorageError
 */
export async function openRepository(options: OpenOptions): Promise<Repository> {
  const { storage } = options;
  const random = options.random ?? systemRandom;
  const onNotice = options.onNotice ?? (() => {});
  const file = await readConfigFile(storage);
  const place = { kind: 'config', which: 'config' };
  const clear = decodeStored(place, () => parseConfigClear(file));
  const { slot, ring } = await openKeyRing(storage, clear.repositoryId, options.askPassphrase);
  const keys = deriveKeys(ring);
  const config = await loadConfig({ storage, keys }, file);
  const core: RepositoryCore = {
    id: clear.repositoryId,
    storage,
    keys,
    config,
    canWrite: mayWrite(clear, config),
    clock: options.clock ?? systemClock,
    random,
    onNotice,
  };
  const { cacheDirectory, stateDirectory, stateFs = nodeStateFs } = options;
  const index = new IndexHolder({ cacheDirectory, repositoryId: core.id, onNotice });
  return {
    ...core,
    canCollect: clear.canCollect,
    keySlot: slot,
    identify: createBlobIdentifier(keys.blobId),
    codec: new ZstdCodec(),
    jobs: options.jobs ?? 0,
    memory: options.memory ?? memoryDefault,
    writerStates: new WriterStateStore({
      directory: stateDirectory,
      repositoryId: core.id,
      fs: stateFs,
      random,
    }),
    ledger: new PackLedger({ directory: stateDirectory, repositoryId: core.id, fs: stateFs }),
    index,
    close: async () => {
      await index.close();
      await storage.close();
    },
  };
}

async function readConfigFile(storage: Storage): Promise<Uint8Array> {
  try {
    return await storage.get('config', { sizeMax: CONFIG_SIZE_MAX });
  } catch (error) {
    if (!(error instanceof NotFoundError)) throw error;
    throw new NoRepositoryError(storage.location, undefined, error);
  }
}

/** The parameters: those of the highest update in `config.d/`, else of `config` itself. */
async function loadConfig(place: ConfigPlace, file: Uint8Array): Promise<RepositoryConfig> {
  const initial = parseInitialConfig(place, file);
  let newest: string | undefined;
  for await (const { name } of place.storage.list('config.d/')) {
    if (CONFIG_UPDATE_NAME.test(name) && (newest === undefined || name > newest)) newest = name;
  }
  if (newest === undefined) return initial;
  return await readConfigUpdate(place, newest, file);
}

/**
 * Reads `config`, or an update of it, as it is stored now.
 * @throws NoRepositoryError, NotFoundError, CorruptionError, VersionError, StorageError
 */
export async function readConfig(place: ConfigPlace, name: string): Promise<RepositoryConfig> {
  const file = await readConfigFile(place.storage);
  decodeStored({ kind: 'config', which: 'config' }, () => parseConfigClear(file));
  const initial = parseInitialConfig(place, file);
  return name === 'config' ? initial : await readConfigUpdate(place, name, file);
}

interface ConfigPlace {
  storage: Storage;
  keys: RepositoryKeys;
}

function parseInitialConfig({ keys }: ConfigPlace, file: Uint8Array): RepositoryConfig {
  const clear = file.subarray(0, CONFIG_CLEAR_SIZE);
  return decodeStored({ kind: 'config', which: 'config' }, () => {
    const sealed = file.subarray(CONFIG_CLEAR_SIZE);
    const { payload } = openObject(keys, sealed, { kinds: [OBJECT_KIND.config], name: 'config' });
    return parseConfig(payload, { clear, number: 0, defaults: DEFAULT_CONFIG });
  });
}

/** @param file the whole of `config`, whose clear part the update repeats. */
async function readConfigUpdate(
  place: ConfigPlace,
  name: string,
  file: Uint8Array,
): Promise<RepositoryConfig> {
  const clear = file.subarray(0, CONFIG_CLEAR_SIZE);
  const { payload } = await readStoredRecord(place, name, { kinds: [OBJECT_KIND.config] });
  const number = Number.parseInt(name.slice('config.d/'.length), 16);
  return decodeStored({ kind: 'config', which: name }, () =>
    parseConfig(payload, { clear, number, defaults: DEFAULT_CONFIG }),
  );
}

/** A chunker this program does not know would spoil deduplication for everybody else. */
function mayWrite(clear: ConfigClear, { chunker }: RepositoryConfig): boolean {
  if (!clear.canWrite || chunker.name !== CHUNKER_NAME) return false;
  try {
    checkProfile(chunker);
    return true;
  } catch {
    return false;
  }
}

/** @throws VersionError when a later format forbids this program to write here. */
export function demandWritable(core: RepositoryCore): void {
  if (core.canWrite) return;
  throw new VersionError(
    'this repository for writing',
    'a later format or another chunker',
    `format 1 with chunker ${CHUNKER_NAME}`,
  );
}

/** @throws VersionError when a later format forbids this program to collect here. */
export function demandCollectable(repository: Repository): void {
  demandWritable(repository);
  if (repository.canCollect) return;
  throw new VersionError('this repository for collecting', 'a later format', 'format 1');
}
