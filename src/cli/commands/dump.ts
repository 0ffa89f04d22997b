/** `varve dump`: a file of a snapshot, or an archive of what is there, as a stream of bytes. */
import { type Command, Option } from 'commander';
import type { ArchiveFormat, SkipReason } from '../../index.ts';
import { printable } from '../../util/printable.ts';
import { type ByteOutput, newFile, standardOutput } from '../byte-output.ts';
import { exitCodes, UsageError } from '../exit-code.ts';
import { formatBytes } from '../format.ts';
import { addFilterOptions, type CommonOptions, type FilterOptions } from '../options.ts';
import { type Runtime, withRepository } from '../runtime.ts';
import { addSelectorHelp, parseSnapshotPath, selectSnapshotPath } from '../snapshot-path.ts';

interface DumpOptions extends CommonOptions, FilterOptions {
  archive?: ArchiveFormat;
  target?: string;
}

export function addDumpCommand(program: Command, runtime: Runtime): void {
  const command = program
    .command('dump')
    .summary('write a file, or a tar or zip archive, to standard output')
    .description(
      'Write a file of a snapshot to standard output, or a file or directory as an archive. All of ' +
        'it is verified; when something cannot be read the exit code is 1, and what was written ' +
        'is not whole.',
    )
    .argument('<snapshot[:path]>', 'a snapshot, or a path in one')
    .addOption(new Option('-a, --archive <format>', 'write an archive').choices(['tar', 'zip']))
    .option('--target <file>', 'write to this file, which must be new');
  addSelectorHelp(addFilterOptions(command))
    .addHelpText(
      'after',
      `
Examples:
  varve dump --repo /mnt/backup/varve latest:/home/alice/notes.txt | less
  varve dump --archive tar latest:/home/alice | tar -x -C alice
  varve dump --archive zip --target alice.zip latest:/home/alice`,
    )
    .action(async (operand: string) => {
      const options = command.optsWithGlobals<DumpOptions>();
      // A directory that the variable names is for "restore".
      const isFlagged = command.getOptionValueSource('target') === 'cli';
      const target = isFlagged ? options.target : undefined;
      runtime.exitCode = await dump(runtime, operand, { ...options, target });
    });
}

async function dump(
  runtime: Runtime,
  operand: string,
  options: Omit<DumpOptions, 'target'> & { target: string | undefined },
): Promise<number> {
  const { output, signal } = runtime;
  const { archive, target } = options;
  if (target === undefined) refuseOutput(output.isJson, archive);
  const text = parseSnapshotPath(operand);
  let size = 0;
  let skipped = 0;
  const onSkipped = (name: Uint8Array, reason: SkipReason): void => {
    skipped += 1;
    const message = `Cannot put "${printable(name)}" into a ${archive} archive`;
    output.problem({
      message,
      during: 'dump',
      code: reason,
      item: name,
      error: new Error(message),
    });
  };
  await withRepository(runtime, options, async (repository) => {
    const chosen = await selectSnapshotPath(repository, { output, text, filter: options });
    const { onProgress } = output;
    const pieces = repository.dump({ ...chosen, archive, onSkipped, signal, onProgress });
    // Nothing is made before it is known that there is something to write.
    const first = await pieces.next();
    const to = target === undefined ? standardOutput : await newFile(target);
    await writeTo(to, async (write) => {
      const count = async (piece: Uint8Array): Promise<void> => {
        signal.throwIfAborted();
        size += piece.length;
        await write(piece);
      };
      if (first.done !== true) await count(first.value);
      for await (const piece of pieces) await count(piece);
    });
  });
  output.endProgress();
  const code = skipped > 0 ? exitCodes.partial : exitCodes.done;
  if (target === undefined) return code;
  if (output.isJson) output.event('summary', { code, size, error_count: skipped });
  else output.report(`Wrote ${formatBytes(size)} to ${target}`);
  return code;
}

function refuseOutput(isJson: boolean, archive: ArchiveFormat | undefined): void {
  if (isJson) throw new UsageError('--json needs --target: standard output gets the file');
  if (archive !== undefined && process.stdout.isTTY) {
    throw new UsageError('an archive is not for a terminal; use --target, or a pipe');
  }
}

async function writeTo(
  to: ByteOutput,
  action: (write: ByteOutput['write']) => Promise<void>,
): Promise<void> {
  try {
    await action((bytes) => to.write(bytes));
    await to.finish();
  } catch (error) {
    await to.abandon();
    throw error;
  }
}
