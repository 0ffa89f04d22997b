/**
 * Restoring a snapshot, or one path of it, into a directory. The tree is read in its order, which is
 * the order its files were packed in, so that each frame is read once and its neighbours come from
 * memory. Every chunk is verified by its id before a byte of it is written.
 *
 * One failing entry costs that entry alone: it is reported, the rest goes on.
 */
import { CorruptionError, NotFoundError, TargetError, VarveError } from '../errors.ts';
import type { LongCall } from '../progress.ts';
import { openReadAccess, type ReadAccess } from '../repository/read-access.ts';
import type { Repository } from '../repository/repository.ts';
import type { Snapshot } from '../snapshot/selection.ts';
import type { DirectoryEntry, DirectoryRoot, Node } from '../tree/node.ts';
import { toHex } from '../util/bytes.ts';
import { printable } from '../util/printable.ts';
import { Turns } from '../util/turns.ts';
import { openTarget, type Target, type TargetDirectory } from './target.ts';
import type { TargetFile } from './target-file.ts';
import { nodeTargetFs, type TargetFs } from './target-fs.ts';

export interface RestoreOptions extends LongCall {
  snapshot: Snapshot;
  /** Names from `/` to what is restored; empty for everything. */
  names: readonly Uint8Array[];
  /** Directory to restore into, made when missing; it must be empty. */
  target: Uint8Array;
  fs?: TargetFs | undefined;
  /** Told of every entry that could not be restored, or not quite. */
  onError?: ((error: VarveError, path: Uint8Array) => void) | undefined;
}

export interface RestoreResult {
  files: number;
  directories: number;
  others: number;
  bytes: bigint;
  errorCount: number;
  /** Entries whose owner this user may not set. */
  ownerNotSetCount: number;
  durationNs: bigint;
}

/**
 * @throws NotFoundError when the snapshot has no such path.
 * @throws TargetError when the target cannot be used at all.
 */
export async function restoreSnapshot(
  repository: Repository,
  options: RestoreOptions,
): Promise<RestoreResult> {
  const startedNs = repository.clock.monotonicNs();
  const access = await openReadAccess(repository, {
    signal: options.signal,
    onProgress: options.onProgress,
  });
  const start = await findStart(access, options);
  const run = new Run(repository, { ...options, access });
  const target = openTarget(options.target, {
    fs: options.fs ?? nodeTargetFs,
    random: repository.random,
    onProblem: (problem) => run.report(problem, problem.path),
  });
  await run.restore(target, start);
  return {
    ...run.counts,
    ownerNotSetCount: target.notes.ownerNotSetCount,
    durationNs: repository.clock.monotonicNs() - startedNs,
  };
}

/** What is restored: the content of a directory with its metadata, or a single entry. */
type Start =
  | { kind: 'directory'; root: DirectoryRoot | undefined; node: Node | undefined }
  | { kind: 'entry'; node: Node };

async function findStart(access: ReadAccess, options: RestoreOptions): Promise<Start> {
  const { snapshot, names } = options;
  const { root } = snapshot.manifest;
  if (names.length === 0) {
    return { kind: 'directory', root: root.entries === 0n ? undefined : root, node: undefined };
  }
  const entry = await access.find(root, names);
  const path = names.map((name) => `/${printable(name)}`).join('');
  if (entry === undefined) throw new NotFoundError('path', path);
  if (entry.type === 'refused') throw refusedError(entry.tag, path);
  if (entry.type === 'd') return { kind: 'directory', root: entry.directory, node: entry };
  return { kind: 'entry', node: entry };
}

function refusedError(tag: number, path: string): CorruptionError {
  return new CorruptionError({
    kind: 'entry',
    which: path,
    found: `field ${tag} of a later version`,
    expected: 'fields this program knows',
  });
}

class Run {
  readonly #options: RestoreOptions;
  readonly #access: ReadAccess;
  readonly #turns: Turns;
  #bytesTotal = 0;
  readonly counts = { files: 0, directories: 0, others: 0, bytes: 0n, errorCount: 0 };

  constructor(repository: Repository, options: RestoreOptions & { access: ReadAccess }) {
    this.#options = options;
    this.#access = options.access;
    this.#turns = new Turns(repository.clock, options.signal);
  }

  report(error: VarveError, path: Uint8Array): void {
    this.counts.errorCount += 1;
    this.#options.onError?.(error, path);
  }

  async restore(target: Target, start: Start): Promise<void> {
    const { root } = target;
    const total = start.kind === 'entry' ? start.node.size : start.root?.bytes;
    this.#bytesTotal = Number(total ?? 0n);
    let metadata: Node | undefined;
    try {
      if (start.kind === 'entry') {
        await this.#restoreEntry(root, start.node);
      } else {
        if (start.root !== undefined) await this.#restoreContent(root, start.root);
        metadata = start.node;
      }
    } finally {
      root.leave(metadata);
    }
  }

  /** Files and directories in their order, then the symlinks, which nothing below may go through. */
  async #restoreContent(directory: TargetDirectory, root: DirectoryRoot): Promise<void> {
    const symlinks: Node[] = [];
    const onBadPage = (error: VarveError): void => this.report(error, directory.path);
    for await (const entries of this.#access.directory(root, onBadPage)) {
      for (const entry of entries) {
        if (entry.type === 'l') symlinks.push(entry);
        else await this.#restoreEntry(directory, entry);
      }
    }
    for (const symlink of symlinks) await this.#restoreEntry(directory, symlink);
  }

  async #restoreEntry(parent: TargetDirectory, entry: DirectoryEntry): Promise<void> {
    if (this.#turns.isOver) await this.#takeTurn(parent, entry);
    await this.#collecting(parent, entry, async () => {
      if (entry.type === 'refused') throw refusedError(entry.tag, printable(entry.name));
      if (entry.type === 'd') await this.#restoreDirectory(parent, entry);
      else if (this.#isLinked(parent, entry)) this.#count(entry);
      else if (entry.type === 'f') await this.#restoreFile(parent, entry);
      else if (entry.type === 'l') this.#restoreSymlink(parent, entry);
      else throw parent.refuseSpecial(entry.name, entry.type);
    });
  }

  async #restoreDirectory(parent: TargetDirectory, node: Node): Promise<void> {
    const directory = parent.enter(node.name);
    try {
      if (node.directory !== undefined) await this.#restoreContent(directory, node.directory);
    } finally {
      directory.leave(node);
    }
    this.counts.directories += 1;
  }

  /** Whether the entry is now another name of a file this run has made. */
  #isLinked(parent: TargetDirectory, { name, linkGroup }: Node): boolean {
    return linkGroup !== undefined && parent.hardLink(name, linkGroup);
  }

  async #restoreFile(parent: TargetDirectory, node: Node): Promise<void> {
    const file = parent.createFile(node.name);
    let size: number;
    try {
      size = await this.#writeContent(parent, node, file);
    } catch (error) {
      file.abort();
      throw error;
    }
    file.finish(size, node);
    this.#count(node);
  }

  /** Gives the size of the file; holes are left out of what is written. */
  async #writeContent(parent: TargetDirectory, node: Node, file: TargetFile): Promise<number> {
    let position = 0;
    for await (const chunks of this.#access.chunks(node.content ?? { kind: 'empty' })) {
      for (const { id, length } of chunks) {
        if (id !== undefined) {
          const plaintext = await this.#access.readChunk(id);
          demandLength(plaintext, Number(length), toHex(id));
          file.write(plaintext, position);
        }
        position += Number(length);
        this.counts.bytes += length;
        if (this.#turns.isOver) await this.#takeTurn(parent, node);
      }
    }
    return position;
  }

  #restoreSymlink(parent: TargetDirectory, node: Node): void {
    parent.symlink(node.name, node.target as Uint8Array, node);
    this.#count(node);
  }

  #count(node: Node): void {
    if (node.type === 'f') this.counts.files += 1;
    else this.counts.others += 1;
  }

  /** Reports what fails for this entry and goes on; cancelling ends everything. */
  async #collecting(
    parent: TargetDirectory,
    entry: DirectoryEntry,
    action: () => Promise<void>,
  ): Promise<void> {
    try {
      await action();
    } catch (error) {
      if (!(error instanceof VarveError)) throw error;
      this.report(error, error instanceof TargetError ? error.path : joinName(parent, entry));
    }
  }

  async #takeTurn(parent: TargetDirectory, entry: DirectoryEntry): Promise<void> {
    const { files, bytes } = this.counts;
    this.#options.onProgress?.({
      phase: 'restore',
      filesDone: files,
      bytesDone: Number(bytes),
      bytesTotal: this.#bytesTotal,
      currentPath: joinName(parent, entry),
    });
    await this.#turns.next();
  }
}

function joinName(parent: TargetDirectory, { name }: DirectoryEntry): Uint8Array {
  return Buffer.concat([parent.path, Buffer.from('/'), name]);
}

function demandLength(plaintext: Uint8Array, length: number, id: string): void {
  if (plaintext.length === length) return;
  throw new CorruptionError({
    kind: 'data chunk',
    which: id,
    found: `${plaintext.length} bytes`,
    expected: `${length}, as its chunk list says`,
  });
}
