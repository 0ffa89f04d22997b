/**
 * Child process that reads a whole cache before anybody relies on it, and copies it:
 * `probe.js <directory> <empty directory for the copy>`. Exit code 0 means that all of it was as
 * written and is in the copy; dying of it is an answer too.
 */
import { copyEnvironment } from './copy-environment.ts';
import { openEnvironment } from './environment.ts';
import { verifyEnvironment } from './verify-environment.ts';

const [path, copyPath] = process.argv.slice(2) as [string, string];
const environment = await openEnvironment(path, { readOnly: true });
verifyEnvironment(environment);
const copy = await openEnvironment(copyPath);
copyEnvironment(environment, copy);
await copy.root.close();
await environment.root.close();
