/**
 * An operation that commits a snapshot: a session that a collection fenced meanwhile starts over; what
 * it stored is found again.
 */
import { beginSession } from './begin-session.ts';
import type { Repository } from './repository.ts';
import type { Session } from './session.ts';

/** A session that loses against a collection this often gives up. */
const triesMax = 3;

/**
 * @param work ends with the commit; where it fails the session is given up.
 * @throws BusyError when collections fenced three sessions in a row, and what `work` throws.
 */
export async function runSession<T>(
  repository: Repository,
  options: Parameters<typeof beginSession>[1],
  work: (session: Session) => Promise<T>,
): Promise<T> {
  for (let i = 1; ; i++) {
    const session = await beginSession(repository, options);
    try {
      return await work(session);
    } catch (error) {
      const refusal = await session.refusalBehind(error);
      await session.abort();
      if (refusal === undefined || i === triesMax) throw refusal ?? error;
    }
  }
}
