/** `varve key`: what opens the repository, and changing that. */
import { type Command, Option } from 'commander';
import { shortId } from '../../id.ts';
import type { KeySlot, Repository } from '../../index.ts';
import { exitCodes, UsageError } from '../exit-code.ts';
import { formatCount, formatLocalTime } from '../format.ts';
import { type JsonFields, rfc3339OfNs } from '../json.ts';
import type { CommonOptions } from '../options.ts';
import {
  findNewPassphraseSource,
  type NewPassphraseOptions,
  type PassphraseSource,
  readNewPassphrase,
} from '../passphrase.ts';
import { type Runtime, withRepository } from '../runtime.ts';
import { formatTable } from '../table.ts';
import { askConsent } from '../terminal.ts';

interface AddOptions extends CommonOptions, NewPassphraseOptions {
  insecureNoPassword?: boolean;
}

interface RemoveOptions extends CommonOptions {
  yes?: boolean;
}

type PasswdOptions = CommonOptions & NewPassphraseOptions;

export function addKeyCommand(program: Command, runtime: Runtime): void {
  const key = program
    .command('key')
    .summary('list, add, change or remove passphrases')
    .description(
      'A repository opens with any of its key slots, each of which has a passphrase of its own. ' +
        'All of them hold the same keys, which never change: whoever has copied a slot and knows ' +
        'its passphrase can read the repository also after that slot was removed.',
    )
    .helpCommand('help [command]', 'print help for a command');
  addListCommand(key, runtime);
  addAddCommand(key, runtime);
  addRemoveCommand(key, runtime);
  addPasswdCommand(key, runtime);
}

function addListCommand(key: Command, runtime: Runtime): void {
  const command = key
    .command('list')
    .summary('list key slots')
    .description('List the key slots, oldest first; "*" marks the one that opened this time.')
    .action(async () => {
      runtime.exitCode = await list(runtime, command.optsWithGlobals<CommonOptions>());
    });
}

function addAddCommand(key: Command, runtime: Runtime): void {
  const command = addNewPassphraseOptions(
    key
      .command('add')
      .summary('add a passphrase')
      .description(
        'Add a key slot with a passphrase of its own; the others stay. On a terminal the new ' +
          'passphrase is asked for twice, after the one that opens the repository.',
      ),
  )
    .option('--insecure-no-password', 'let everybody open it who can read the files')
    .action(async () => {
      runtime.exitCode = await add(runtime, command.optsWithGlobals<AddOptions>());
    });
}

function addRemoveCommand(key: Command, runtime: Runtime): void {
  const command = key
    .command('remove')
    .summary('remove a passphrase')
    .description(
      'Remove a key slot; the last one that opens stays. On a terminal it asks first, without ' +
        'one it needs --yes.',
    )
    .argument('<id>', 'of the key slot, or at least its first 4 digits')
    .option('--yes', 'do not ask')
    .action(async (id: string) => {
      runtime.exitCode = await remove(runtime, id, command.optsWithGlobals<RemoveOptions>());
    });
}

function addPasswdCommand(key: Command, runtime: Runtime): void {
  const command = addNewPassphraseOptions(
    key
      .command('passwd')
      .summary('change the passphrase')
      .description(
        'Change the passphrase of the key slot that opens the repository this time: add a new ' +
          'slot and, once that has opened, remove the old one. Other slots stay.',
      ),
  ).action(async () => {
    runtime.exitCode = await passwd(runtime, command.optsWithGlobals<PasswdOptions>());
  });
}

function addNewPassphraseOptions(command: Command): Command {
  return command
    .addOption(
      new Option('--new-password-file <file>', 'read the new passphrase from a file').conflicts(
        'newPasswordCommand',
      ),
    )
    .option('--new-password-command <command>', 'run a command that prints it');
}

async function list(runtime: Runtime, options: CommonOptions): Promise<number> {
  const { output } = runtime;
  const slots = await withRepository(runtime, options, (repository) => repository.keys());
  if (output.isJson) {
    for (const slot of slots) output.event('key', keyFields(slot));
    output.event('summary', { code: exitCodes.done, key_slots: slots.length });
    return exitCodes.done;
  }
  const rows = slots.map((slot) => [
    slot.isInUse ? '*' : '',
    shortId(slot.id),
    kindText(slot),
    createdText(slot),
  ]);
  for (const line of formatTable(rows, ['left', 'left', 'left', 'left'])) output.result(line);
  output.report(formatCount(slots.length, 'key slot'));
  return exitCodes.done;
}

async function add(runtime: Runtime, options: AddOptions): Promise<number> {
  const { output, environment } = runtime;
  const isInsecure = options.insecureNoPassword === true;
  const source = findNewPassphraseSource(options, environment);
  if (isInsecure && source !== undefined) {
    throw new UsageError('--insecure-no-password and a new passphrase exclude each other');
  }
  if (!isInsecure) demandNewPassphrase(source);
  const id = await withRepository(runtime, options, async (repository) => {
    const passphrase = isInsecure ? undefined : await newPassphrase(source, 'add key slot');
    return await repository.addKey({ passphrase, isInsecure });
  });
  if (output.isJson) output.event('summary', { code: exitCodes.done, key_slot: id });
  else {
    output.report(`Added key slot ${id}`);
    if (isInsecure) {
      output.report('The repository opens without a passphrase now, for all who can read it.');
    }
  }
  return exitCodes.done;
}

async function remove(runtime: Runtime, id: string, options: RemoveOptions): Promise<number> {
  const { output } = runtime;
  const isAsking = options.yes !== true;
  if (isAsking && !process.stdin.isTTY) {
    throw new UsageError('without a terminal "varve key remove" needs --yes');
  }
  const removed = await withRepository(runtime, options, async (repository) => {
    const slot = await repository.selectKey(id);
    if (isAsking && !(await askConsent(removalQuestion(slot)))) return undefined;
    return await repository.removeKey(slot.id);
  });
  const code = removed === undefined ? exitCodes.failed : exitCodes.done;
  if (output.isJson) output.event('summary', { code, key_slot: removed?.id });
  else output.report(removed ? `Removed key slot ${removed.id}` : 'Nothing was removed');
  return code;
}

async function passwd(runtime: Runtime, options: PasswdOptions): Promise<number> {
  const { output, environment } = runtime;
  const source = findNewPassphraseSource(options, environment);
  demandNewPassphrase(source);
  const changed = await withRepository(runtime, options, async (repository) => {
    const passphrase = await newPassphrase(source, 'change passphrase');
    const others = await otherCount(repository); // Nothing may fail once it is changed.
    return { ...(await repository.changePassphrase(passphrase)), others };
  });
  const { id, removedId, others } = changed;
  if (output.isJson) {
    const fields = { key_slot: id, removed_key_slot: removedId, other_key_slots: others };
    output.event('summary', { code: exitCodes.done, ...fields });
    return exitCodes.done;
  }
  output.report(`Key slot ${id} has taken the place of ${removedId}`);
  if (others > 0) {
    output.report(`${formatCount(others, 'other key slot')} stayed: see "varve key list"`);
  }
  return exitCodes.done;
}

/** Before the repository is opened, which takes a moment. @throws UsageError */
function demandNewPassphrase(source: PassphraseSource | undefined): void {
  if (source !== undefined || process.stdin.isTTY) return;
  throw new UsageError(
    'no new passphrase given: use --new-password-file, --new-password-command, ' +
      'VARVE_NEW_PASSWORD, or a terminal to type it',
  );
}

function newPassphrase(source: PassphraseSource | undefined, action: string): Promise<string> {
  return readNewPassphrase(source, { action, question: 'New passphrase' });
}

async function otherCount(repository: Repository): Promise<number> {
  return (await repository.keys()).filter(({ isInUse }) => !isInUse).length;
}

function removalQuestion(slot: KeySlot): string {
  const whose = slot.isInUse ? ', which opened the repository this time' : '';
  const details = `${kindText(slot)}, ${createdText(slot)}`;
  return `Remove key slot ${slot.id} (${details})${whose}?`;
}

function kindText({ kind, found }: KeySlot): string {
  if (kind === 'none') return 'no passphrase';
  if (kind === 'foreign') return 'of another repository';
  if (kind === 'unknown') return found ?? kind;
  return kind === 'damaged' ? `damaged: ${found}` : kind;
}

function createdText({ createdMs }: KeySlot): string {
  return formatLocalTime(BigInt(Math.floor(createdMs / 1000)));
}

function keyFields({ id, kind, found, createdMs, isInUse }: KeySlot): JsonFields {
  return {
    id,
    short_id: shortId(id),
    current: isInUse,
    kind,
    found,
    created: rfc3339OfNs(BigInt(createdMs) * 1_000_000n),
  };
}
