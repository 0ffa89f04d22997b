/** `varve rebuild-index`: throws the local index away and makes it again. */
import type { Command } from 'commander';
import type { RebuildResult } from '../../index.ts';
import { encodeUtf8 } from '../../util/bytes.ts';
import { exitCodes } from '../exit-code.ts';
import { formatCount } from '../format.ts';
import type { CommonOptions } from '../options.ts';
import { type Runtime, withRepository } from '../runtime.ts';

export function addRebuildIndexCommand(program: Command, runtime: Runtime): void {
  const command = program
    .command('rebuild-index')
    .summary('make the local index again')
    .description(
      'Throw the local index away and make it again from the repository, to which nothing is ' +
        'written. What cannot be read is named; the exit code is then 3.',
    )
    .action(async () => {
      runtime.exitCode = await rebuild(runtime, command.optsWithGlobals<CommonOptions>());
    });
}

async function rebuild(runtime: Runtime, options: CommonOptions): Promise<number> {
  const { output, signal } = runtime;
  const result = await withRepository(runtime, options, (repository) =>
    repository.rebuildIndex({ signal, onProgress: output.onProgress }),
  );
  output.endProgress();
  for (const { name, error } of result.damaged) {
    const { message } = error;
    output.problem({ message, during: 'read', code: 'damaged', item: encodeUtf8(name), error });
  }
  const code = result.damaged.length > 0 ? exitCodes.partial : exitCodes.done;
  const { packs, blobs, segments } = result;
  if (output.isJson) {
    output.event('summary', { code, packs, blobs, segments, error_count: result.damaged.length });
  } else {
    output.report(`The local index holds ${countsOf(result)}`);
  }
  return code;
}

function countsOf({ packs, blobs, segments }: RebuildResult): string {
  const from = formatCount(segments, 'segment');
  return `${formatCount(blobs, 'blob')} in ${formatCount(packs, 'pack')}, from ${from}`;
}
