/** All commands, as commander needs them told. */
import { Command } from 'commander';
import { PROGRAM } from '../index.ts';
import { addBenchmarkCommand } from './commands/benchmark.ts';
import { addCheckCommand } from './commands/check.ts';
import { addDiffCommand } from './commands/diff.ts';
import { addDuCommand } from './commands/du.ts';
import { addDumpCommand } from './commands/dump.ts';
import { addFindCommand } from './commands/find.ts';
import { addForgetCommand } from './commands/forget.ts';
import { addHistoryCommand } from './commands/history.ts';
import { addInitCommand } from './commands/init.ts';
import { addKeyCommand } from './commands/key.ts';
import { addLsCommand } from './commands/ls.ts';
import { addPruneCommand } from './commands/prune.ts';
import { addRebuildIndexCommand } from './commands/rebuild-index.ts';
import { addRepairCommand } from './commands/repair.ts';
import { addRestoreCommand } from './commands/restore.ts';
import { addRewriteCommand } from './commands/rewrite.ts';
import { addSessionsCommand } from './commands/sessions.ts';
import { addSnapshotCommand } from './commands/snapshot.ts';
import { addSnapshotsCommand } from './commands/snapshots.ts';
import { addStatsCommand } from './commands/stats.ts';
import { addTagCommand } from './commands/tag.ts';
import { addUndeleteCommand } from './commands/undelete.ts';
import { addCommonOptions, type CommonOptions, completeOptions } from './options.ts';
import type { Runtime } from './runtime.ts';

const helpEnd = `
These options may stand before or after the command. A variable can stand in
for every option: VARVE_REPOSITORY for --repo, else VARVE_ and the name of the
option (VARVE_CACHE_DIR). A passphrase may also be in VARVE_PASSWORD, or be read
from the descriptor VARVE_PASSWORD_FD.

Exit codes: 0 done, 1 failed, 3 done but not all could be read or written,
4 damage found, 10 no repository, 11 busy, 12 wrong passphrase or none,
64 usage, 130 interrupted.`;

export function createProgram(runtime: Runtime): Command {
  const program = new Command('varve')
    .description('Deduplicating, encrypting snapshots of files and directories.')
    .version(PROGRAM, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print help')
    .helpCommand('help [command]', 'print help for a command')
    .addHelpText('after', helpEnd)
    .exitOverride()
    .configureOutput({ outputError: () => {} }); // The error is thrown, and told by whoever catches it.
  addCommonOptions(program);
  for (const add of [
    addInitCommand,
    addSnapshotCommand,
    addSnapshotsCommand,
    addLsCommand,
    addDiffCommand,
    addFindCommand,
    addHistoryCommand,
    addDumpCommand,
    addRestoreCommand,
    addForgetCommand,
    addUndeleteCommand,
    addTagCommand,
    addRewriteCommand,
    addPruneCommand,
    addCheckCommand,
    addRepairCommand,
    addStatsCommand,
    addDuCommand,
    addRebuildIndexCommand,
    addKeyCommand,
    addSessionsCommand,
    addBenchmarkCommand,
  ]) {
    add(program, runtime);
  }
  let verbosity = 0;
  program.on('option:verbose', () => {
    verbosity += 1;
    program.setOptionValueWithSource('verbose', verbosity, 'cli');
  });
  program.hook('preAction', (_, command) => {
    completeOptions(program, runtime.environment);
    completeOptions(command, runtime.environment);
    configureOutput(runtime, program.opts<CommonOptions>());
  });
  return program;
}

function configureOutput({ output }: Runtime, options: CommonOptions): void {
  const { json = false, quiet = false, verbose = 0, progress } = options;
  output.configure({ isJson: json, isQuiet: quiet, verbosity: verbose, hasProgress: progress });
}
