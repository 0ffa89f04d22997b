/**
 * A snapshot in the place of another one: the same host, source, times and errors, with something else
 * about it, and the old one as its parent. Manifests never change, so that this is how history is
 * edited; the old one stays until it is forgotten.
 *
 * It is a session with all its steps. What the new tree takes over from the old one is relied on by
 * rule CLOSURE: as a whole where the session trusts the old snapshot, else blob by blob, and then
 * what is readable and does not count as present is stored again.
 */
import { CorruptionError } from '../../errors.ts';
import { type SessionId, shortId } from '../../id.ts';
import { ReadAccess } from '../../repository/read-access.ts';
import type { Repository } from '../../repository/repository.ts';
import { runSession } from '../../repository/run-session.ts';
import type { ManifestInput, Session } from '../../repository/session.ts';
import { loadView } from '../../repository/view.ts';
import type { Snapshot } from '../../snapshot/selection.ts';
import { printable } from '../../util/printable.ts';
import { Turns } from '../../util/turns.ts';
import { forget } from '../forget.ts';
import { TreeRewriter } from '../repair/rewrite-tree.ts';

/** What the new manifest says otherwise than the old one. */
export type Amendment = Partial<Pick<ManifestInput, 'tags' | 'root' | 'stats'>>;

export interface ReplaceOptions {
  signal: AbortSignal | undefined;
  /** Gives what changes, and sees to it that all that is new is stored. */
  amend: (session: Session, access: ReadAccess) => Promise<Amendment>;
}

/**
 * The id of the new snapshot.
 * @throws CorruptionError when something that the old one needs is lost, VersionError, BusyError,
 * StorageError
 */
export async function replaceSnapshot(
  repository: Repository,
  old: Snapshot,
  { signal, amend }: ReplaceOptions,
): Promise<SessionId> {
  const work = async (session: Session): Promise<SessionId> => {
    const { sync, view } = session;
    const access = new ReadAccess(repository, { view, sync, signal, mayRebuild: false });
    if (!session.trusts(old.id)) await keepTree(repository, { session, access, old, signal });
    const { chain, sessionId, segments, ...manifest } = old.manifest;
    const amended = await amend(session, access);
    const { id } = await session.commit({ ...manifest, ...amended, parents: [old.id] });
    return id;
  };
  return await runSession(repository, { purpose: 'copy', signal }, work);
}

/** Those that are live still. @throws as `forget` */
export async function forgetReplaced(
  repository: Repository,
  ids: readonly SessionId[],
  signal: AbortSignal | undefined,
): Promise<void> {
  const { snapshots } = await loadView(repository, 'write');
  const live = new Set(snapshots.map(({ id }) => id));
  const selectors = ids.filter((id) => live.has(id));
  if (selectors.length === 0) return;
  await forget(repository, { choice: { selectors }, mayEmpty: true, signal });
}

/** Everything in the old tree is asked for, and is there afterwards. */
async function keepTree(
  repository: Repository,
  parts: {
    session: Session;
    access: ReadAccess;
    old: Snapshot;
    signal: AbortSignal | undefined;
  },
): Promise<void> {
  const { session, access, old, signal } = parts;
  const rewriter = new TreeRewriter({
    repository,
    access,
    session,
    turns: new Turns(repository.clock, signal),
    onLoss: (path) => {
      const object = { kind: 'snapshot', which: shortId(old.id) };
      throw new CorruptionError({
        ...object,
        found: `damage at "${printable(path)}"`,
        expected: 'a whole one',
      });
    },
  });
  await rewriter.rewrite(old.manifest.root);
}
