/** Where a passphrase may come from, and what happens without the right one. */
import assert from 'node:assert/strict';
import { closeSync, openSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { splitWords } from '../../src/cli/split-words.ts';
import { contentOf, mainPath, varveHome } from '../helpers/run-varve.ts';
import { hasTerminal, spawnOnTerminal } from '../helpers/terminal.ts';

test('a passphrase comes from file, command, environment or descriptor', async (t) => {
  const home = varveHome(t);
  const file = home.path('passphrase');
  writeFileSync(file, 'open sesame\n');
  const withDescriptor = async (args: string[]) => {
    const descriptor = openSync(file, 'r');
    try {
      return await home.run(args, {
        env: { VARVE_PASSWORD_FD: '3' },
        stdio: ['ignore', 'pipe', 'pipe', descriptor],
      });
    } finally {
      closeSync(descriptor);
    }
  };

  const created = await home.ok('init', '--password-file', file);
  const runs = [
    await home.run(['snapshots', '--password-command', "printf '%s\\r\\n' 'open sesame'"]),
    await home.run(['snapshots'], { env: { VARVE_PASSWORD: 'open sesame' } }),
    await home.run(['snapshots'], { env: { VARVE_PASSWORD_FILE: file } }),
    await withDescriptor(['snapshots']),
  ];

  assert.match(created.stdout, /Keep the passphrase/);
  for (const { code, stderr } of runs) assert.equal(code, 0, stderr);
});

test('12: a wrong passphrase, or none, and nothing is written', async (t) => {
  const home = varveHome(t);
  const env = { VARVE_PASSWORD: 'open sesame' };
  assert.equal((await home.run(['init'], { env })).code, 0);
  const before = contentOf(home.dir);

  const wrong = await home.run(['snapshot', 'source'], { env: { VARVE_PASSWORD: 'open' } });
  const none = await home.run(['snapshot', 'source']);
  const file = await home.run(['snapshots', '--password-file', 'nowhere'], { env });
  const command = await home.run(['snapshots', '--password-command', 'false']);
  const missing = await home.run(['snapshots', '--password-command', 'no-such-command --x']);

  for (const { code, stdout } of [wrong, none, file, command, missing]) {
    assert.equal(code, 12);
    assert.equal(stdout, '');
  }
  assert.match(wrong.stderr, /wrong passphrase/);
  assert.match(none.stderr, /no passphrase given\n.*--password-file/);
  assert.match(file.stderr, /"nowhere": ENOENT/);
  assert.match(command.stderr, /ended with 1/);
  assert.match(missing.stderr, /"no-such-command": ENOENT/);
  assert.deepEqual(contentOf(home.dir), before);
});

test('12: init without passphrase or terminal creates nothing', async (t) => {
  const home = varveHome(t);

  const none = await home.run(['init']);
  const empty = await home.run(['init', '--password-command', 'printf ""']);
  const both = await home.run(['init', '--insecure-no-password', '--password-file', 'x']);

  assert.equal(none.code, 12);
  assert.match(none.stderr, /no passphrase given/);
  assert.equal(empty.code, 12);
  assert.equal(both.code, 64);
  assert.deepEqual(contentOf(home.dir), new Map());
});

test('64: two sources of one rank are a mistake, a flag goes before a variable', async (t) => {
  const home = varveHome(t);
  writeFileSync(home.path('passphrase'), 'open sesame');
  const env = { VARVE_PASSWORD: 'wrong', VARVE_PASSWORD_FD: '3' };

  const ambiguous = await home.run(['init'], { env });
  const malformed = await home.run(['init'], { env: { VARVE_PASSWORD_FD: 'three' } });
  const quote = await home.run(['init', '--password-command', "echo 'open"]);
  const flagged = await home.run(['init', '--password-file', 'passphrase'], { env });

  assert.equal(ambiguous.code, 64);
  assert.match(ambiguous.stderr, /VARVE_PASSWORD and VARVE_PASSWORD_FD/);
  assert.equal(malformed.code, 64);
  assert.equal(quote.code, 64);
  assert.equal(flagged.code, 0);
});

test('a passphrase is asked for on a terminal, twice for a new repository, and not shown', async (t) => {
  if (!hasTerminal()) {
    t.skip('no terminal to be had');
    return;
  }
  const home = varveHome(t);
  const env = { PATH: process.env['PATH'], HOME: home.dir, VARVE_REPOSITORY: home.repo };
  /** Answers each prompt in turn. */
  const onTerminal = (args: string, answers: string[]): Promise<string> =>
    new Promise((resolve) => {
      const command = `${process.execPath} ${mainPath} ${args}; echo "exit code $?"`;
      const child = spawnOnTerminal(command, { cwd: home.dir, env });
      let [shown, seen] = ['', 0];
      child.stdout?.setEncoding('utf8').on('data', (text: string) => {
        shown += text;
        if (!/((repository|again|Passphrase):|varve\? \[y\/N\]) $/.test(shown.slice(seen))) return;
        seen = shown.length;
        child.stdin?.write(answers.shift() ?? '\x03');
      });
      child.on('close', () => resolve(shown));
    });

  const differ = await onTerminal('init', ['open sesame\r', 'open barley\r']);
  const corrected = 'oops\x15open ses\x7fsamx\x7fe\r';
  const created = await onTerminal('init', [corrected, 'open sesame\r', 'y\r']);
  const opened = await onTerminal('snapshots', ['open sesame\r']);
  const stopped = await onTerminal('snapshots', ['open\x03']);

  assert.match(differ, /the two passphrases differ[\s\S]*exit code 12/);
  assert.match(created, /Created repository [\s\S]*Stored .*recover\.mjs[\s\S]*exit code 0/);
  assert.match(opened, /0 snapshots[\s\S]*exit code 0/);
  assert.match(stopped, /exit code 130/);
  for (const shown of [differ, created, opened]) assert.ok(!shown.includes('sesame'), shown);
});

test('splitWords() splits as a shell does that expands nothing', () => {
  const words: [line: string, words: string[]][] = [
    ['pass show varve', ['pass', 'show', 'varve']],
    ['  a\t b  ', ['a', 'b']],
    [`echo 'a b' "c d" e\\ f`, ['echo', 'a b', 'c d', 'e f']],
    [`a'b'"c"d`, ['abcd']],
    [`'' ""`, ['', '']],
    [`"a\\"b\\c" '\\'`, ['a"b\\c', '\\']],
    ['echo $HOME `id`', ['echo', '$HOME', '`id`']],
    ['', []],
  ];

  for (const [line, expected] of words) assert.deepEqual(splitWords(line), expected, line);
  for (const line of [`'a`, `"a`, 'a\\']) assert.throws(() => splitWords(line), /quote/);
});
