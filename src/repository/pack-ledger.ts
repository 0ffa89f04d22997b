/**
 * What this client has learned by reading packs: when each was last found good, and which copies of
 * blobs were found damaged. Two small text files beside the writer state, so that they outlive the local
 * index; both are disposable. Without them a check begins with the packs it happens to meet first,
 * and damage counts only once it is found again.
 *
 *   <repository id>.read    <pack name> <ms since 1970>
 *   <repository id>.damage  <pack name> <blob id, or all>
 *
 * Lines that make no sense are passed over. Files are replaced as a whole.
 */
import { dirname, join } from 'node:path';
import { blobKey, type PackName, type RepositoryId } from '../id.ts';
import type { DistrustedCopies } from '../index/distrusted-copies.ts';
import { decodeUtf8, encodeUtf8, fromAscii, fromHex, toHex } from '../util/bytes.ts';
import type { StateFs } from './state-fs.ts';

/** About 80 bytes each; what is beyond counts as never read. */
const READ_COUNT_MAX = 2 ** 20;
/** Beyond that many a pack is distrusted as a whole. */
const DAMAGE_COUNT_MAX = 2 ** 16;
const READ_LINE = /^([0-9a-f]{64}) ([0-9]{1,15})$/;
const DAMAGE_LINE = /^([0-9a-f]{64}) ([0-9a-f]{64}|all)$/;

/** When packs were last read to their end and found good, ms since 1970. */
export type ReadTimes = Map<PackName, number>;

export class PackLedger {
  readonly #path: string;
  readonly #fs: StateFs;
  /** What was saved or read last: it counts in this process even where no file can be written. */
  #damage: DistrustedCopies | undefined;

  constructor(options: { directory: string; repositoryId: RepositoryId; fs: StateFs }) {
    this.#path = join(options.directory, toHex(options.repositoryId));
    this.#fs = options.fs;
  }

  /** Empty where nothing can be read. */
  async readTimes(): Promise<ReadTimes> {
    const times: ReadTimes = new Map();
    for (const [name, ms] of await this.#read('read', READ_LINE)) {
      times.set(name as PackName, Number(ms));
    }
    return times;
  }

  /** The newest, as many as there is room for. @throws the file system's error */
  async saveTimes(times: ReadTimes): Promise<void> {
    const newest = [...times].sort(([, a], [, b]) => b - a).slice(0, READ_COUNT_MAX);
    await this.#replace(
      'read',
      newest.map(([name, ms]) => `${name} ${ms}`),
    );
  }

  /** Copies that were found damaged, and not good since. Empty where nothing can be read. */
  async damage(): Promise<DistrustedCopies> {
    if (this.#damage !== undefined) return this.#damage;
    const damage: DistrustedCopies = new Map();
    for (const [name, id] of await this.#read('damage', DAMAGE_LINE)) {
      const known = damage.get(name as PackName);
      if (id === 'all' || known === 'all') damage.set(name as PackName, 'all');
      else damage.set(name as PackName, (known ?? new Set()).add(blobKey(fromHex(id))));
    }
    this.#damage = damage;
    return damage;
  }

  /** What was known before no longer counts. @throws the file system's error */
  async saveDamage(damage: DistrustedCopies): Promise<void> {
    const isChanged = damage.size > 0 || (await this.damage()).size > 0;
    this.#damage = damage;
    if (!isChanged) return;
    const lines: string[] = [];
    for (const [name, ids] of damage) {
      if (ids === 'all' || lines.length + ids.size > DAMAGE_COUNT_MAX) lines.push(`${name} all`);
      else for (const id of ids) lines.push(`${name} ${toHex(fromAscii(id))}`);
    }
    await this.#replace('damage', lines);
  }

  async #read(extension: string, line: RegExp): Promise<[string, string][]> {
    const bytes = await this.#fs.read(`${this.#path}.${extension}`).catch(() => undefined);
    const lines = (bytes && decodeUtf8(bytes))?.split('\n') ?? [];
    return lines.flatMap((text) => {
      const [, name, value] = line.exec(text) ?? [];
      return name === undefined || value === undefined ? [] : [[name, value] as [string, string]];
    });
  }

  async #replace(extension: string, lines: readonly string[]): Promise<void> {
    await this.#fs.makeDirectory(dirname(this.#path));
    const text = lines.map((line) => `${line}\n`).join('');
    await this.#fs.replace(`${this.#path}.${extension}`, encodeUtf8(text));
  }
}
