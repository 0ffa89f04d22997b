/** docs/command-line.md against the command: help texts word for word, and the fields of JSON lines. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { exitCodes } from '../../src/cli/exit-code.ts';
import { events, type Fields, summaries } from '../helpers/json-lines.ts';
import { varveHome } from '../helpers/run-varve.ts';

const page = readFileSync(
  fileURLToPath(new URL('../../../docs/command-line.md', import.meta.url)),
  'utf8',
);

function commandsOf(help: string): string[] {
  const section = help.split('\nCommands:\n')[1]?.split('\n\n')[0] ?? '';
  const names = [...section.matchAll(/^ {2}([a-z-]+)/gm)].map(([, name]) => name as string);
  return names.filter((name) => name !== 'help');
}

/** Fields the table names for an event, without the values that stand behind one. */
function fieldsOf(event: string): Set<string> {
  const row = page.split('\n').find((line) => line.startsWith(`| ${event} `)) ?? '';
  const fields = (row.split('|')[2] ?? '').replace(
    /(`(?:action|kind|outcome|phase|reason|severity|state|type)`) \([^)]*\)/g,
    '$1',
  );
  return new Set([...fields.matchAll(/`(\w+)`/g)].map(([, name]) => name as string));
}

/** Names at any depth. */
function namesIn(fields: Fields): Set<string> {
  return new Set(
    Object.entries(fields).flatMap(([key, inner]) => [
      key.replace(/\?$/, ''),
      ...(typeof inner === 'string' ? [] : namesIn(inner)),
    ]),
  );
}

test('docs/command-line.md shows the help of every command as it is', async (t) => {
  const home = varveHome(t);
  const { stdout: help } = await home.ok('help');
  const commands = commandsOf(help);

  assert.ok(commands.length >= 7);
  assert.ok(page.includes(`$ varve help\n${help}\`\`\`\n`), 'varve help');
  for (const command of commands) {
    const { stdout } = await home.ok('help', command);

    assert.ok(page.includes(`$ varve help ${command}\n${stdout}\`\`\`\n`), command);
    for (const line of stdout.split('\n')) assert.ok(line.length <= 80, line);
  }
});

test('docs/command-line.md names the variable of every option', async (t) => {
  const home = varveHome(t);
  const { stdout: help } = await home.ok('help');
  const helps = [help];
  for (const command of commandsOf(help)) helps.push((await home.ok('help', command)).stdout);
  for (const group of ['key', 'repair']) {
    const own = helps.find((text) => text.startsWith(`Usage: varve ${group}`)) ?? '';
    for (const command of commandsOf(own)) {
      helps.push((await home.ok(group, 'help', command)).stdout);
    }
  }
  const options = helps.flatMap((text) => text.match(/^ {2}(?:-\w, )?--[a-z-]+/gm) ?? []);
  const names = new Set(options.map((option) => option.replace(/^.*--/, '')));

  for (const name of ['help', 'version']) names.delete(name);
  assert.ok(names.size > 20);
  for (const name of names) {
    const variable = name === 'repo' ? 'repository' : name;
    assert.ok(page.includes(`\`VARVE_${variable.replaceAll('-', '_').toUpperCase()}\``), name);
  }
});

const groups = {
  key: ['list', 'add', 'remove', 'passwd'],
  repair: ['index', 'packs', 'snapshots'],
};

for (const [group, commands] of Object.entries(groups)) {
  test(`docs/command-line.md shows the help of every command of ${group} as it is`, async (t) => {
    const home = varveHome(t);
    const { stdout: help } = await home.ok('help', group);

    assert.deepEqual(commandsOf(help), commands);
    for (const command of commands) {
      const { stdout } = await home.ok(group, 'help', command);

      assert.ok(page.includes(`$ varve ${group} help ${command}\n${stdout}\`\`\`\n`), command);
      for (const line of stdout.split('\n')) assert.ok(line.length <= 80, line);
    }
  });
}

test('docs/command-line.md names every exit code', () => {
  for (const code of [...Object.values(exitCodes), 129, 130, 141, 143]) {
    assert.match(page, new RegExp(`^\\| ${code} `, 'm'));
  }
});

test('docs/command-line.md names the fields of every JSON line, and no others', () => {
  const described: [event: string, fields: Fields][] = [
    ...Object.entries(events).map(([event, fields]): [string, Fields] => [`\`${event}\``, fields]),
    ...Object.entries(summaries).map(([command, fields]): [string, Fields] => [
      `\`summary\` of \`${command}\``,
      fields,
    ]),
  ];

  for (const [event, fields] of described) {
    assert.deepEqual([...fieldsOf(event)].sort(), [...namesIn(fields)].sort(), event);
  }
});
