/** `varve init`: a new repository, empty, with one key slot. */
import type { Command } from 'commander';
import { initRepository } from '../../index.ts';
import { encodeUtf8 } from '../../util/bytes.ts';
import { printable } from '../../util/printable.ts';
import { exitCodes, UsageError } from '../exit-code.ts';
import type { CommonOptions } from '../options.ts';
import { findPassphraseSource, readNewPassphrase } from '../passphrase.ts';
import { locationOf, type Runtime } from '../runtime.ts';
import { askConsent } from '../terminal.ts';

const use = { action: 'create repository', question: 'Passphrase of the new repository' };

interface InitOptions extends CommonOptions {
  insecureNoPassword?: boolean;
  withRecover?: boolean;
}

export function addInitCommand(program: Command, runtime: Runtime): void {
  program
    .command('init')
    .summary('create a repository')
    .description(
      'Create a repository in a new or empty directory. On a terminal the passphrase is asked ' +
        'for twice. Without it nothing in the repository can ever be read. --with-recover ' +
        'adds a program of one file that restores snapshots without varve; on a terminal it is ' +
        'offered.',
    )
    .option('--insecure-no-password', 'let everybody open it who can read the files')
    .option('--with-recover', 'store recover.mjs beside the data')
    .addHelpText('after', '\nExample:\n  varve init --repo /mnt/backup/varve')
    .action(async (_: unknown, command: Command) => {
      runtime.exitCode = await init(runtime, command.optsWithGlobals<InitOptions>());
    });
}

async function init({ output, environment }: Runtime, options: InitOptions): Promise<number> {
  const location = locationOf(options);
  const source = findPassphraseSource(options, environment);
  const isOpen = options.insecureNoPassword === true;
  if (isOpen && source !== undefined) {
    throw new UsageError('--insecure-no-password and a passphrase exclude each other');
  }
  const passphrase = isOpen ? undefined : await readNewPassphrase(source, use);
  const withRecover = options.withRecover ?? (await offerRecover(output));
  const created = await initRepository({
    ...{ location, passphrase, withRecover },
    isInsecure: isOpen,
  });
  const { recoverPath } = created;
  if (output.isJson) {
    const { id, location: repository, keySlot } = created;
    output.event('initialized', { id, repository, key_slot: keySlot, recover: recoverPath });
    output.event('summary', { code: exitCodes.done });
    return exitCodes.done;
  }
  output.report(
    `Created repository ${created.id}`,
    `  at ${printable(encodeUtf8(created.location))}, key slot ${created.keySlot}`,
    isOpen
      ? 'It opens without a passphrase, for everybody who can read its files.'
      : 'Keep the passphrase: without it nothing in the repository can be read.',
    ...(recoverPath === undefined
      ? []
      : [`Stored ${printable(encodeUtf8(recoverPath))}, which restores without varve.`]),
  );
  return exitCodes.done;
}

async function offerRecover({ isJson }: Runtime['output']): Promise<boolean> {
  if (isJson || !process.stdin.isTTY) return false;
  return await askConsent('Store recover.mjs beside the data, which restores without varve?');
}
