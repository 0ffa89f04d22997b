/** Where a client keeps what is its own, by the XDG base directory specification. */
import { homedir } from 'node:os';
import { join } from 'node:path';

/** Of the disposable local indexes. */
export function defaultCacheDirectory(environment: NodeJS.ProcessEnv = process.env): string {
  return join(baseDirectory(environment['XDG_CACHE_HOME'], '.cache'), 'varve');
}

/** Of the writer states, which are not disposable. */
export function defaultStateDirectory(environment: NodeJS.ProcessEnv = process.env): string {
  return join(baseDirectory(environment['XDG_STATE_HOME'], join('.local', 'state')), 'varve');
}

/** The specification ignores a relative path. */
function baseDirectory(fromEnvironment: string | undefined, belowHome: string): string {
  const isAbsolute = fromEnvironment?.startsWith('/') === true;
  return isAbsolute ? (fromEnvironment as string) : join(homedir(), belowHome);
}
