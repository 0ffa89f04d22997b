/** `varve undelete`: a forgotten snapshot comes back. */
import type { Command } from 'commander';
import { shortId } from '../../id.ts';
import { exitCodes } from '../exit-code.ts';
import { formatBytes, formatCount } from '../format.ts';
import { addFilterOptions, type CommonOptions, type FilterOptions, filterOf } from '../options.ts';
import { type Runtime, withRepository } from '../runtime.ts';
import { addSelectorHelp } from '../snapshot-path.ts';

interface UndeleteOptions extends CommonOptions, FilterOptions {}

export function addUndeleteCommand(program: Command, runtime: Runtime): void {
  const command = program
    .command('undelete')
    .summary('bring a forgotten snapshot back')
    .description(
      'Bring a forgotten snapshot back, whole or not at all, as a new one with the times, names ' +
        'and content that it had. "varve snapshots --forgotten" lists those there are.',
    )
    .argument('<snapshot>', 'a forgotten snapshot');
  addSelectorHelp(addFilterOptions(command)).action(async (selector: string) => {
    runtime.exitCode = await undelete(
      runtime,
      selector,
      command.optsWithGlobals<UndeleteOptions>(),
    );
  });
}

async function undelete(
  runtime: Runtime,
  selector: string,
  options: UndeleteOptions,
): Promise<number> {
  const { output, signal } = runtime;
  const result = await withRepository(runtime, options, (repository) =>
    repository.undelete(selector, {
      filter: filterOf(options),
      signal,
      onProgress: output.onProgress,
    }),
  );
  output.endProgress();
  const { id, forgottenId, isForgotten, newBlobs, newBytes, storedBytes } = result;
  if (output.isJson) {
    output.event('summary', {
      code: exitCodes.done,
      snapshot_id: id,
      forgotten_id: forgottenId,
      forgotten: isForgotten,
      data_blobs: newBlobs,
      data_added: newBytes,
      data_added_packed: storedBytes,
    });
    return exitCodes.done;
  }
  output.report(`Snapshot ${shortId(forgottenId)} is back as ${id}`);
  if (newBlobs > 0) {
    output.report(`${formatCount(newBlobs, 'blob')} (${formatBytes(newBytes)}) stored again`);
  }
  if (isForgotten) output.notice('the snapshot was forgotten by somebody at once');
  return exitCodes.done;
}
