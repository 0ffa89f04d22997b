/**
 * One restore: the walk through the tree, which makes directories and symlinks and hands the files
 * on (`restore-files.ts`). One failing entry costs that entry alone: it is reported, the rest goes
 * on.
 */
import { CorruptionError, TargetError, VarveError } from '../errors.ts';
import type { BlobId } from '../id.ts';

import { joinPath } from '../platform/directory-handle.ts';
import type { SpecialFile } from '../platform/special-file.ts';
import type { ReadAccess } from '../repository/read-access.ts';
import type { Repository } from '../repository/repository.ts';
import type { Attribute } from '../tree/attributes.ts';
import type { Content } from '../tree/content.ts';
import type { DirectoryEntry, DirectoryRoot, Node } from '../tree/node.ts';
import { printable } from '../util/printable.ts';
import { Turns } from '../util/turns.ts';
import { type AccountNumbers, readAccountNumbers } from './account-numbers.ts';
import { OpenDirectories, type OpenDirectory } from './open-directories.ts';
import { isKept } from './overwrite.ts';
import type { PlannedFile } from './plan-window.ts';
import { RestoreFiles } from './restore-files.ts';
import type { RestoreOptions, RestoreResult, RestoreSelection } from './restore-snapshot.ts';
import type { Target, TargetDirectory } from './target.ts';
import type { TargetMetadata } from './target-metadata.ts';
import type { TargetNotes, TargetRules } from './target-run.ts';
import type { RestorePool } from './workers.ts';

/** What is restored: the content of a directory with its metadata, or a single entry. */
export type RestoreStart =
  | { kind: 'directory'; root: DirectoryRoot | undefined; node: Node | undefined }
  | { kind: 'entry'; node: Node };

export interface RunOptions extends RestoreOptions {
  readonly repository: Repository;
  readonly access: ReadAccess;
  readonly pool: RestorePool;
}

/** Where the walk is: a directory of the target and its names from `/` in the snapshot. */
interface Here {
  readonly directory: OpenDirectory;
  readonly names: readonly Uint8Array[];
  /** Not merely passed on the way to what is. */
  readonly isChosen: boolean;
}

export class Run {
  readonly #options: RunOptions;
  readonly #turns: Turns;
  readonly #directories = new OpenDirectories((directory) => this.#leave(directory));
  readonly #files: RestoreFiles;
  readonly #notes: TargetNotes = { ownerNotSetCount: 0, attributesLeftOutCount: 0 };
  readonly #accounts: AccountNumbers | undefined;
  #rules: TargetRules | undefined;
  #directoryCount = 0;
  #otherCount = 0;
  #keptCount = 0;
  #errorCount = 0;
  #bytesTotal = 0;
  #currentPath: Uint8Array | undefined;

  constructor(options: RunOptions) {
    const { access, pool, signal } = options;
    this.#options = options;
    this.#accounts = options.isNumericOwner === true ? undefined : readAccountNumbers();
    this.#turns = new Turns(options.repository.clock, signal);
    this.#files = new RestoreFiles({
      access,
      pool,
      signal,
      directories: this.#directories,
      report: (error, path) => this.report(error, path),
      takeTurn: (file) => this.#takeTurn(file.directory, file.name),
      rules: () => this.#rules as TargetRules,
      onAnswer: ({ notes }) => {
        this.#addNotes(notes);
        this.#tellProgress();
      },
    });
  }

  get counts(): Omit<RestoreResult, 'durationNs'> {
    const { files, bytes } = this.#files.counts;
    return {
      files,
      bytes,
      directories: this.#directoryCount,
      others: this.#otherCount,
      kept: this.#keptCount,
      errorCount: this.#errorCount,
      ...this.#notes,
    };
  }

  report(error: VarveError, path: Uint8Array): void {
    this.#errorCount += 1;
    this.#options.onError?.(error, path);
  }

  async restore({ root, rules, notes }: Target, start: RestoreStart): Promise<void> {
    this.#rules = rules;
    const total = start.kind === 'entry' ? start.node.size : start.root?.bytes;
    this.#bytesTotal = Number(total ?? 0n);
    try {
      const node = start.kind === 'directory' ? start.node : undefined;
      const metadata = node && (await this.#metadataOf(node, root));
      const directory = this.#directories.add(root, metadata);
      const { names, selection } = this.#options;
      const here = { directory, names, isChosen: selection?.isChosen(names) ?? true };
      if (start.kind === 'entry') await this.#restoreEntry(here, start.node);
      else if (start.root !== undefined) await this.#restoreContent(here, start.root);
      this.#directories.release(directory);
      await this.#files.settle();
      this.#addNotes(notes);
    } finally {
      // Whatever happened: nobody writes any more when descriptors are closed.
      await this.#options.pool.close();
      this.#files.giveUp();
      this.#directories.giveUp();
    }
  }

  async #restoreContent(here: Here, root: DirectoryRoot): Promise<void> {
    const { target } = here.directory;
    const choose = this.#testIn(here);
    const onBadPage = (error: VarveError): void => this.report(error, target.path);
    for await (const entries of this.#options.access.directory(root, onBadPage)) {
      for (const entry of entries) {
        const choice = choose?.({ name: entry.name, isDirectory: entry.type === 'd' }) ?? 'chosen';
        if (choice !== 'none') await this.#restoreEntry(here, entry, choice === 'chosen');
        if (target.isLost) return;
      }
    }
  }

  #testIn({ names, isChosen }: Here): ReturnType<RestoreSelection['testIn']> | undefined {
    const path = joinPath(new Uint8Array(0), ...names);
    return this.#options.selection?.testIn({ path, isChosen });
  }

  async #restoreEntry(here: Here, entry: DirectoryEntry, isChosen = true): Promise<void> {
    const { directory } = here;
    if (this.#turns.isOver) await this.#takeTurn(directory, entry.name);
    try {
      if (entry.type === 'refused') throw refusedError(entry.tag, printable(entry.name));
      if (entry.type === 'd') await this.#restoreDirectory(here, entry, isChosen);
      else if (entry.type === 's') throw directory.target.refuseSpecial(entry.name, socketFound);
      else await this.#restoreLeaf(directory, entry);
    } catch (error) {
      this.#reportEntry(directory, entry.name, error);
    }
  }

  /** Anything but a directory or socket. */
  async #restoreLeaf(directory: OpenDirectory, node: Node): Promise<void> {
    const { target } = directory;
    const { type } = node;
    const isSpecial = type === 'p' || type === 'c' || type === 'b';
    if (isSpecial && this.#options.withSpecialFiles !== true) {
      throw target.refuseSpecial(node.name, `entry of type "${type}" was not asked for`);
    }
    target.make();
    const { overwrite } = this.#options;
    const existing = overwrite === undefined ? undefined : target.look(node.name);
    if (existing !== undefined && overwrite !== undefined) {
      if (existing.type !== type) throw target.refuseOther(node.name);
      if (isKept(overwrite, node, existing)) {
        this.#keptCount += 1;
        return;
      }
    }
    const isReplacing = existing !== undefined;
    const metadata = await this.#metadataOf(node, target);
    if (type === 'f') await this.#files.add(planFile(directory, { node, isReplacing }, metadata));
    else if (type === 'l') addSymlink(directory, { node, isReplacing }, metadata);
    else if (isSpecial) this.#makeSpecial(directory, { node, type, isReplacing }, metadata);
  }

  #makeSpecial(
    { target }: OpenDirectory,
    entry: { node: Node; type: SpecialFile['type']; isReplacing: boolean },
    metadata: TargetMetadata,
  ): void {
    const { node, type, isReplacing } = entry;
    const { name, device = { major: 0, minor: 0 } } = node;
    const { linkGroup } = metadata;
    const link = linkGroup === undefined ? 'first' : target.hardLink(name, linkGroup, isReplacing);
    if (link !== 'linked') target.special(name, { type, device }, metadata, isReplacing);
    this.#otherCount += 1;
    if (link instanceof TargetError) throw link;
  }

  async #restoreDirectory(here: Here, node: Node, isChosen: boolean): Promise<void> {
    const { directory: parent, names } = here;
    const name = node.name.slice();
    const target = isChosen ? parent.target.enter(name) : parent.target.pass(name);
    const metadata = await this.#metadataOf(node, parent.target);
    const directory = this.#directories.add(target, metadata, {
      parent,
      isPassed: !isChosen,
    });
    if (node.directory !== undefined) {
      // Names are kept for a filter only, so that depth costs no memory.
      const below = this.#options.selection === undefined ? [] : [...names, name];
      await this.#restoreContent({ directory, names: below, isChosen }, node.directory);
    }
    this.#directories.release(directory);
  }

  /** All that belongs into the directory is there. */
  #leave(directory: OpenDirectory): void {
    const { target, symlinks, metadata, parent } = directory;
    if (!target.isMade) return;
    for (const { name, linkTarget, isReplacing, metadata: itsMetadata } of symlinks) {
      try {
        const { linkGroup } = itsMetadata;
        const link =
          linkGroup === undefined ? 'first' : target.hardLink(name, linkGroup, isReplacing);
        if (link !== 'linked') target.symlink(name, linkTarget, itsMetadata, isReplacing);
        this.#otherCount += 1;
        if (link instanceof TargetError) this.#reportEntry(directory, name, link);
      } catch (error) {
        this.#reportEntry(directory, name, error);
      }
    }
    // All that was to be restored in it has failed.
    if (directory.isPassed && target.removeIfEmpty()) return;
    try {
      target.leave(metadata);
      if (parent !== undefined) this.#directoryCount += 1;
    } catch (error) {
      this.#reportError(error, target.path);
    }
  }

  async #metadataOf(node: Node, directory: TargetDirectory): Promise<TargetMetadata> {
    const { mode, owner, ownerNames, mtime, linkGroup, attributeBlob, flags } = node;
    const isNamed = owner !== undefined && ownerNames !== undefined;
    const attributes =
      attributeBlob === undefined
        ? node.attributes
        : await this.#readAttributes(attributeBlob, { directory, name: node.name });
    // Nothing of it is a view: a node would keep its page in memory for as long as it waits.
    return {
      mode,
      owner: (isNamed ? this.#accounts?.numbersOf(owner, ownerNames) : undefined) ?? owner,
      mtime,
      linkGroup: linkGroup?.slice(),
      attributes: attributes?.map(([name, value]) => [name.slice(), value.slice()] as const),
      flags,
    };
  }

  /** What cannot be read is reported and does not cost the entry. */
  async #readAttributes(
    id: BlobId,
    { directory, name }: { directory: TargetDirectory; name: Uint8Array },
  ): Promise<Attribute[] | undefined> {
    try {
      return await this.#options.access.attributes(id);
    } catch (error) {
      this.#reportError(error, joinPath(directory.path, name));
      return undefined;
    }
  }

  #addNotes({ ownerNotSetCount, attributesLeftOutCount }: TargetNotes): void {
    this.#notes.ownerNotSetCount += ownerNotSetCount;
    this.#notes.attributesLeftOutCount += attributesLeftOutCount;
  }

  /** Cancelling ends everything; what fails for one entry is reported. */
  #reportEntry({ target }: OpenDirectory, name: Uint8Array, error: unknown): void {
    this.#reportError(error, joinPath(target.path, name));
  }

  #reportError(error: unknown, path: Uint8Array): void {
    if (!(error instanceof VarveError)) throw error;
    this.report(error, error instanceof TargetError ? error.path : path);
  }

  async #takeTurn({ target }: OpenDirectory, name: Uint8Array): Promise<void> {
    if (!this.#turns.isOver) return;
    this.#currentPath = joinPath(target.path, name);
    this.#tellProgress();
    await this.#turns.next();
  }

  #tellProgress(): void {
    const { selection, onProgress } = this.#options;
    const { files, bytes } = this.#files.counts;
    onProgress?.({
      phase: 'restore',
      filesDone: files,
      bytesDone: Number(bytes),
      ...(selection === undefined && { bytesTotal: this.#bytesTotal }),
      ...(this.#currentPath !== undefined && { currentPath: this.#currentPath }),
    });
  }
}

export function refusedError(tag: number, path: string): CorruptionError {
  return new CorruptionError({
    kind: 'entry',
    which: path,
    found: `field ${tag} of a later version`,
    expected: 'fields this program knows',
  });
}

const socketFound = 'sockets are not restored';

function addSymlink(
  directory: OpenDirectory,
  { node, isReplacing }: { node: Node; isReplacing: boolean },
  metadata: TargetMetadata,
): void {
  directory.symlinks.push({
    name: node.name.slice(),
    linkTarget: (node.target as Uint8Array).slice(),
    isReplacing,
    metadata,
  });
}

function planFile(
  directory: OpenDirectory,
  { node, isReplacing }: { node: Node; isReplacing: boolean },
  metadata: TargetMetadata,
): PlannedFile {
  return {
    directory,
    name: node.name.slice(),
    metadata,
    content: copyContent(node.content ?? { kind: 'empty' }),
    size: Number(node.size ?? 0n),
    isReplacing,
    target: undefined,
    holdCount: 1,
    hasFailed: false,
    isFirstName: false,
    notLinked: undefined,
  };
}

function copyContent(content: Content): Content {
  if (content.kind === 'empty') return content;
  const { kind, length } = content;
  const id = content.id.slice() as BlobId;
  if (kind === 'blob') return { kind, id, length };
  return { kind, id, length, height: content.height, chunks: content.chunks };
}
