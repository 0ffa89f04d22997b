/** docs/command-line.md against the command: help texts word for word, and the fields of JSON lines. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { exitCodes } from '../../src/cli/exit-code.ts';
import { homeWithRepository, type JsonLine, varveHome } from '../helpers/run-varve.ts';

const page = readFileSync(
  fileURLToPath(new URL('../../../docs/command-line.md', import.meta.url)),
  'utf8',
);

function commandsOf(help: string): string[] {
  const section = help.split('\nCommands:\n')[1]?.split('\n\n')[0] ?? '';
  return [...section.matchAll(/^ {2}([a-z-]+)/gm)].map(([, name]) => name as string);
}

/** Fields the table names for an event. */
function fieldsOf(event: string): Set<string> {
  const row = page.split('\n').find((line) => line.startsWith(`| ${event} `)) ?? '';
  const fields = row.split('|')[2] ?? '';
  return new Set([...fields.matchAll(/`(\w+)`/g)].map(([, name]) => name as string));
}

/** Names at any depth, without the exact bytes of names that are no text. */
function namesIn(line: JsonLine): string[] {
  const { v: _, message_type: __, ...fields } = line;
  const names = (value: unknown): string[] =>
    typeof value !== 'object' || value === null || Array.isArray(value)
      ? []
      : Object.entries(value).flatMap(([name, inner]) => [name, ...names(inner)]);
  return names(fields).filter((name) => !name.endsWith('_b64'));
}

test('docs/command-line.md shows the help of every command as it is', async (t) => {
  const home = varveHome(t);
  const { stdout: help } = await home.ok('help');
  const commands = commandsOf(help).filter((command) => command !== 'help');

  assert.ok(commands.length >= 7);
  assert.ok(page.includes(`$ varve help\n${help}\`\`\`\n`), 'varve help');
  for (const command of commands) {
    const { stdout } = await home.ok('help', command);

    assert.ok(page.includes(`$ varve help ${command}\n${stdout}\`\`\`\n`), command);
    for (const line of stdout.split('\n')) assert.ok(line.length <= 80, line);
  }
});

test('docs/command-line.md shows the help of every command of key as it is', async (t) => {
  const home = varveHome(t);
  const { stdout: help } = await home.ok('help', 'key');
  const commands = commandsOf(help).filter((command) => command !== 'help');

  assert.deepEqual(commands, ['list', 'add', 'remove', 'passwd']);
  for (const command of commands) {
    const { stdout } = await home.ok('key', 'help', command);

    assert.ok(page.includes(`$ varve key help ${command}\n${stdout}\`\`\`\n`), command);
    for (const line of stdout.split('\n')) assert.ok(line.length <= 80, line);
  }
});

test('docs/command-line.md names every exit code', () => {
  for (const code of [...Object.values(exitCodes), 129, 130, 141, 143]) {
    assert.match(page, new RegExp(`^\\| ${code} `, 'm'));
  }
});

test('docs/command-line.md names every field of every JSON line', async (t) => {
  const home = await homeWithRepository(t);
  writeFileSync(home.path('source', 'a'), 'x');
  const runs: [summary: string, args: string[]][] = [
    ['`summary` of `init`', ['init', '--insecure-no-password', '-r', 'other']],
    ['`summary` of `snapshot`', ['snapshot', 'source', 'missing']],
    ['`summary` of `snapshots`', ['snapshots']],
    ['`summary` of `ls`', ['ls', '-R', 'latest']],
    ['`summary` of `restore`', ['restore', 'latest', '--target', 'out']],
    ['`summary` of `check`', ['check', '--read-data']],
    ['`summary` of `rebuild-index`', ['rebuild-index']],
    ['`summary` of `key add`', ['key', 'add', '--insecure-no-password']],
    ['`summary` of `key list`', ['key', 'list']],
    ['`summary` of `key passwd`', ['key', 'passwd', '--new-password-command', 'echo new']],
    ['`summary` of `sessions`', ['sessions']],
    ['`exit_error`', ['ls', 'unknown']],
  ];

  for (const [end, args] of runs) {
    const { lines } = await home.runJson(args);

    for (const line of lines) {
      const isEnd = line.message_type === 'summary';
      const documented = fieldsOf(isEnd ? end : `\`${line.message_type}\``);
      const unnamed = namesIn(line).filter((name) => !documented.has(name));
      assert.deepEqual(unnamed, [], `${args[0]}: ${line.message_type}`);
    }
  }
});
