/** `npm run bench -- NAME [options]`: dispatches to the benches of this folder. */
import { run as runLookup } from './lookup.ts';
import { run as runScan } from './scan.ts';

const BENCHES: Readonly<Record<string, (args: string[]) => Promise<void>>> = {
  scan: runScan,
  lookup: runLookup,
};

const [name = '', ...args] = process.argv.slice(2);
const bench = Object.hasOwn(BENCHES, name) ? BENCHES[name] : undefined;
if (bench === undefined) {
  console.error(`usage: npm run bench -- ${Object.keys(BENCHES).join('|')} [options]`);
  process.exitCode = 64;
} else {
  await bench(args);
}
