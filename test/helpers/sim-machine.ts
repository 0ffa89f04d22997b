/**
 * Loaded before the program that is simulated: salts of objects are drawn from more than the random
 * source that is passed in, and so that a seed gives the same objects everywhere, all processes have the
 * same number, on the same machine, since the same boot.
 */
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import os from 'node:os';

const { readFileSync } = fs;
const bootId = '1'.repeat(32);

Object.defineProperty(process, 'pid', { value: 4711 });
os.hostname = () => 'simulated';
fs.readFileSync = ((...parameters: Parameters<typeof readFileSync>) =>
  parameters[0] === '/proc/sys/kernel/random/boot_id'
    ? bootId
    : readFileSync(...parameters)) as typeof readFileSync;
syncBuiltinESMExports();
