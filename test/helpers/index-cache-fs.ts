/** A `CacheFs` some of whose calls fail as a full or read-only disk makes them fail. */
import { type CacheFs, systemCacheFs } from '../../src/index/cache-fs.ts';

export function failingCacheFs(
  code: string,
  fails: (call: keyof CacheFs, path: string) => boolean,
): CacheFs {
  const check = (call: keyof CacheFs, path: string): void => {
    if (fails(call, path)) throw Object.assign(new Error(`${code}: simulated`), { code });
  };
  const guarded = <Call extends 'makeDirectory' | 'list' | 'stat' | 'remove'>(call: Call) =>
    (async (path: string) => {
      check(call, path);
      return await systemCacheFs[call](path);
    }) as CacheFs[Call];
  return {
    ...systemCacheFs,
    makeDirectory: guarded('makeDirectory'),
    list: guarded('list'),
    stat: guarded('stat'),
    remove: guarded('remove'),
    write: async (path, text) => {
      check('write', path);
      await systemCacheFs.write(path, text);
    },
    rename: async (source, target) => {
      check('rename', source);
      await systemCacheFs.rename(source, target);
    },
  };
}
