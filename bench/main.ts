/** `npm run bench -- NAME [options]`: dispatches to the benches of this folder (README.md). */
import { UsageError } from './sizes.ts';

interface Bench {
  run: (args: string[]) => Promise<void>;
}

/** Each is loaded when it is asked for, since loading some of them already prints. */
const BENCHES: Readonly<Record<string, () => Promise<Bench>>> = {
  scan: () => import('./scan.ts'),
  features: () => import('./features.ts'),
  lookup: () => import('./lookup.ts'),
  blob: () => import('./blob.ts'),
  snapshot: () => import('./snapshot.ts'),
  restore: () => import('./restore.ts'),
  check: () => import('./check.ts'),
  prune: () => import('./prune.ts'),
  savings: () => import('./savings.ts'),
};

const exitCodeUsage = 64;

const [name = '', ...args] = process.argv.slice(2);
const load = Object.hasOwn(BENCHES, name) ? BENCHES[name] : undefined;
if (load === undefined) {
  console.error(`usage: npm run bench -- ${Object.keys(BENCHES).join('|')} [options]`);
  process.exitCode = exitCodeUsage;
} else {
  try {
    const bench = await load();
    await bench.run(args);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    console.error(`${name}: ${error.message}`);
    process.exitCode = exitCodeUsage;
  }
}
