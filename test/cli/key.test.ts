/** `varve key`: adding, removing and changing what opens a repository. */
import assert from 'node:assert/strict';
import { readdirSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { contentOf, homeWithRepository, type VarveHome, varveHome } from '../helpers/run-varve.ts';
import { hasTerminal, onTerminal } from '../helpers/terminal.ts';

function slotsOf(home: VarveHome): string[] {
  return readdirSync(`${home.repo}/keys`).sort();
}

test('varve key adds, lists and removes slots, and changes a passphrase', async (t) => {
  const home = varveHome(t);
  for (const name of ['first', 'second', 'third']) writeFileSync(home.path(name), `${name}\n`);
  const withFirst = (...args: string[]) => home.ok('--password-file', 'first', ...args);
  const withThird = (...args: string[]) => home.ok('--password-file', 'third', ...args);
  await withFirst('init');
  const [first = ''] = slotsOf(home);

  const added = await withFirst('key', 'add', '--new-password-file', 'second');
  const second = slotsOf(home).find((id) => id !== first) as string;
  const listed = await withFirst('key', 'list');
  const changed = await withFirst('key', 'passwd', '--new-password-command', 'cat third');
  const third = slotsOf(home).find((id) => id !== second) as string;
  const gone = await home.run(['snapshots', '--password-file', 'first']);
  const removed = await withThird('key', 'remove', second.slice(0, 8), '--yes');
  const last = await home.run(['key', 'remove', third, '--yes', '--password-file', 'third']);

  assert.equal(added.stdout, `Added key slot ${second}\n`);
  const rows = listed.stdout.split('\n');
  assert.match(rows[0] as string, new RegExp(`^\\*  ${first.slice(0, 8)}  passphrase  20\\d\\d-`));
  assert.match(rows[1] as string, new RegExp(`^   ${second.slice(0, 8)}  passphrase  20\\d\\d-`));
  assert.equal(rows[2], '2 key slots');
  assert.match(
    changed.stdout,
    new RegExp(`^Key slot ${third} has taken the place of ${first}\n1 `),
  );
  assert.equal(gone.code, 12);
  assert.equal(removed.stdout, `Removed key slot ${second}\n`);
  assert.equal(last.code, 1);
  assert.match(last.stderr, /no other one that this program can open.*\n.*varve key add/);
  assert.deepEqual(slotsOf(home), [third]);
  await withThird('snapshots');
});

test('varve key --json tells slots and what became of them', async (t) => {
  const home = await homeWithRepository(t);
  const [own = ''] = slotsOf(home);
  const env = { VARVE_NEW_PASSWORD: 'new' };

  const added = await home.runJson(['key', 'add', '--insecure-no-password']);
  const open = added.lines.at(-1)?.['key_slot'] as string;
  const listed = await home.runJson(['key', 'list']);
  const removed = await home.runJson(['key', 'remove', open, '--yes']);
  const changed = await home.runJson(['key', 'passwd'], { env });
  const unknown = await home.runJson(['key', 'remove', 'ffff', '--yes'], {
    env: { VARVE_PASSWORD: 'new' },
  });

  const keys = listed.lines.slice(0, -1);
  assert.deepEqual(keys.map((line) => line['id']).sort(), [own, open].sort());
  for (const { message_type: type, kind, created, short_id: short, id, ...rest } of keys) {
    assert.deepEqual([type, kind, short], ['key', 'none', String(id).slice(0, 8)]);
    assert.match(created as string, /^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z$/);
    assert.deepEqual(Object.keys(rest).sort(), ['current', 'v']);
  }
  assert.equal(keys.filter((line) => line['current'] === true).length, 1);
  assert.equal(listed.lines.at(-1)?.['key_slots'], 2);
  assert.equal(removed.lines.at(-1)?.['key_slot'], open);
  const {
    key_slot: slot,
    removed_key_slot: old,
    other_key_slots: others,
  } = changed.lines.at(-1) as unknown as Record<string, unknown>;
  assert.deepEqual([[slot], old, others], [slotsOf(home), own, 0]);
  assert.equal(unknown.code, 1);
});

test('64: varve key without what it needs, and nothing is written', async (t) => {
  const home = await homeWithRepository(t);
  const [own = ''] = slotsOf(home);
  const before = contentOf(home.dir);
  const env = { VARVE_NEW_PASSWORD: 'new' };
  const both = { ...env, VARVE_NEW_PASSWORD_FD: '3' };

  const runs = [
    await home.run(['key']),
    await home.run(['key', 'turn']),
    await home.run(['key', 'add']),
    await home.run(['key', 'passwd']),
    await home.run(['key', 'add'], { env: both }),
    await home.run(['key', 'add', '--insecure-no-password'], { env }),
    await home.run(['key', 'add', '--new-password-file', 'a', '--new-password-command', 'b']),
    await home.run(['key', 'add', '--new-password-file', '']),
    await home.run(['key', 'remove', own]),
  ];

  for (const { code, stdout, stderr } of runs) assert.deepEqual([code, stdout], [64, ''], stderr);
  assert.match(runs[2]?.stderr as string, /no new passphrase given: use --new-password-file/);
  assert.match(runs[4]?.stderr as string, /VARVE_NEW_PASSWORD and VARVE_NEW_PASSWORD_FD/);
  assert.match(runs[8]?.stderr as string, /needs --yes/);
  const empty = await home.run(['key', 'passwd', '--new-password-command', 'printf ""']);
  assert.equal(empty.code, 12);
  assert.match(empty.stderr, /Cannot change passphrase: the passphrase is empty/);
  assert.deepEqual(contentOf(home.dir), before);
});

test('varve key asks on a terminal, and removes only after a yes', async (t) => {
  if (!hasTerminal()) {
    t.skip('no terminal to be had');
    return;
  }
  const home = await homeWithRepository(t);
  const [own = ''] = slotsOf(home);

  const differ = await onTerminal(home, 'key add', ['open sesame\r', 'open barley\r']);
  const added = await onTerminal(home, 'key add', ['open sesame\r', 'open sesame\r']);
  const [a, b] = slotsOf(home);
  const other = (a === own ? b : a) as string;
  const answers: [answer: string, end: RegExp][] = [
    ['\r', /Nothing was removed\s+exit code 1/],
    ['yn\r', /Nothing was removed\s+exit code 1/],
    ['\x04', /Nothing was removed\s+exit code 1/],
    ['\x03', /exit code 130/],
  ];
  for (const [answer, end] of answers) {
    assert.match(await onTerminal(home, `key remove ${own}`, [answer]), end);
    assert.deepEqual(slotsOf(home), [own, other].sort());
  }
  const removed = await onTerminal(home, `key remove ${own}`, ['n\x7fyes\r']);

  assert.match(differ, /Cannot add key slot: the two passphrases differ[\s\S]*exit code 12/);
  assert.match(added, /New passphrase: [\s\S]*Added key slot [\s\S]*exit code 0/);
  assert.ok(!(differ + added).includes('sesame'));
  assert.match(
    removed,
    /\(no passphrase, 20.*\), which opened the repository this time\? \[y\/N\]/,
  );
  assert.match(removed, /yes\s+Removed key slot [\s\S]*exit code 0/);
  assert.deepEqual(slotsOf(home), [other]);
});
