/** `varve sessions`: who writes to the repository, or was stopped while doing so. */
import type { Command } from 'commander';
import { shortId } from '../../id.ts';
import type { OpenSession } from '../../index.ts';
import { encodeUtf8 } from '../../util/bytes.ts';
import { printable } from '../../util/printable.ts';
import { exitCodes } from '../exit-code.ts';
import { formatCount, formatLocalTime } from '../format.ts';
import { type JsonFields, rfc3339OfNs } from '../json.ts';
import type { CommonOptions } from '../options.ts';
import { type Runtime, withRepository } from '../runtime.ts';
import { formatTable } from '../table.ts';

export function addSessionsCommand(program: Command, runtime: Runtime): void {
  const command = program
    .command('sessions')
    .summary('list running and dead sessions')
    .description(
      'List the sessions that have begun and not ended, oldest first. One without a sign of life ' +
        'for half an hour is shown as silent: it was killed or suspended, or cannot reach the ' +
        'repository. Only prune waits for it, for a day. Nothing is written.',
    )
    .action(async () => {
      runtime.exitCode = await sessions(runtime, command.optsWithGlobals<CommonOptions>());
    });
}

async function sessions(runtime: Runtime, options: CommonOptions): Promise<number> {
  const { output } = runtime;
  const listed = await withRepository(runtime, options, (repository) => repository.sessions());
  for (const { name, error } of listed.damaged) {
    const { message } = error;
    output.problem({ message, during: 'list', code: 'damaged', item: encodeUtf8(name), error });
  }
  const errorCount = listed.damaged.length;
  const code = errorCount > 0 ? exitCodes.partial : exitCodes.done;
  if (output.isJson) {
    for (const session of listed.sessions) output.event('session', sessionFields(session));
    const count = listed.sessions.length;
    output.event('summary', { code, sessions: count, error_count: errorCount });
    return code;
  }
  const rows = listed.sessions.map(rowOf);
  const alignments = ['left', 'left', 'left', 'left', 'left', 'left'] as const;
  for (const line of formatTable(rows, alignments)) output.result(line);
  output.report(formatCount(rows.length, 'session'));
  return code;
}

/** Id, start, host, purpose, program and state. */
function rowOf({
  id,
  startedMs,
  host,
  purpose,
  program,
  lastSignMs,
  state,
}: OpenSession): string[] {
  const since = state === 'silent' ? 'silent since' : 'running, last sign';
  return [
    shortId(id),
    timeText(startedMs),
    printable(encodeUtf8(host)),
    purpose,
    printable(encodeUtf8(program)),
    `${since} ${timeText(lastSignMs)}`,
  ];
}

function timeText(ms: number): string {
  return formatLocalTime(BigInt(Math.floor(ms / 1000)));
}

function sessionFields(session: OpenSession): JsonFields {
  const { id, writerId, host, program, purpose, startedMs, lastSignMs, state } = session;
  return {
    id,
    short_id: shortId(id),
    writer_id: writerId,
    hostname: host,
    program,
    purpose,
    started: rfc3339OfNs(BigInt(startedMs) * 1_000_000n),
    last_sign: rfc3339OfNs(BigInt(lastSignMs) * 1_000_000n),
    state,
  };
}
