/** What a benchmark understands of the JSON lines of varve. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { VarveLines } from '../../src/cli/benchmark/varve-lines.ts';
import { jsonLine, outsideText, outsideTexts } from '../../src/cli/json.ts';
import type { SourceError } from '../../src/errors.ts';
import type { Progress } from '../../src/progress.ts';

const path = new Uint8Array(Buffer.from('/a\xff', 'latin1'));

function linesOf(...texts: string[]): {
  lines: VarveLines;
  shown: Progress[];
  errors: SourceError[];
} {
  const shown: Progress[] = [];
  const errors: SourceError[] = [];
  const lines = new VarveLines({
    onProgress: (progress) => shown.push(progress),
    onError: (error) => errors.push(error),
  });
  for (const text of texts) lines.onLine(text);
  return { lines, shown, errors };
}

test('VarveLines hands on progress and errors, with names that are not UTF-8', () => {
  const error = { error: { message: 'Cannot read it' }, during: 'read', code: 'io' };
  const { lines, shown, errors } = linesOf(
    jsonLine('status', { phase: 'snapshot', files_done: 1, bytes_done: 2, error_count: 0 }),
    jsonLine('status', {
      phase: 'restore',
      files_restored: 3,
      bytes_restored: 4,
      total_files: 5,
      total_bytes: 6,
      ...outsideTexts('current_files', [path]),
    }),
    jsonLine('error', { ...error, ...outsideText('item', path) }),
    jsonLine('summary', { code: 3 }),
  );

  assert.deepEqual(shown, [
    { phase: 'snapshot', filesDone: 1, bytesDone: 2 },
    {
      phase: 'restore',
      filesDone: 3,
      bytesDone: 4,
      filesTotal: 5,
      bytesTotal: 6,
      currentPath: path,
    },
  ]);
  assert.deepEqual(
    errors.map(({ message, operation, reason, path: item }) => [message, operation, reason, item]),
    [['Cannot read it', 'read', 'io', path]],
  );
  assert.equal(lines.summary()['code'], 3);
});

test('VarveLines throws what ended a run, or that nothing did', () => {
  const failed = linesOf(
    jsonLine('exit_error', { code: 1, error_code: 'storage', message: 'Cannot store it' }),
  );
  const silent = linesOf();

  assert.throws(() => failed.lines.summary(), { code: 'storage', message: 'Cannot store it' });
  assert.throws(() => silent.lines.summary(), { code: 'internal' });
});
