/**
 * Child process that reads a whole cache before anybody relies on it: `probe.js <directory>`. Exit
 * code 0 means that all of it is as written; dying of it is an answer too.
 */
import { openEnvironment } from './environment.ts';
import { verifyEnvironment } from './verify-environment.ts';

const environment = await openEnvironment(process.argv[2] as string, { readOnly: true });
verifyEnvironment(environment);
await environment.root.close();
