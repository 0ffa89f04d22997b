/** A module loader that plants one bug (`planted-bugs.ts`); registered by `fault-preload.ts`. */
import type { InitializeHook, LoadHook } from 'node:module';
import { plant } from './planted-bugs.ts';

let bug = '';

export const initialize: InitializeHook<string> = (name) => {
  bug = name;
};

export const load: LoadHook = async (url, context, nextLoad) => {
  const loaded = await nextLoad(url, context);
  if (!url.includes('/dist/src/')) return loaded;
  const source = String(loaded.source);
  const planted = plant(bug, url, source);
  return planted === source ? loaded : { ...loaded, source: planted };
};
