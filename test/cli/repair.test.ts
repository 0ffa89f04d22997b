/** `varve repair`: plans, consent, what is printed, and exit codes. */
import assert from 'node:assert/strict';
import { chmodSync, cpSync, readFileSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import {
  contentOf,
  homeWithRepository,
  mainPath,
  type VarveHome,
  varveHome,
} from '../helpers/run-varve.ts';
import { seededRandom } from '../helpers/seeded-random.ts';
import { hasTerminal, spawnOnTerminal } from '../helpers/terminal.ts';

function files(home: VarveHome, folder: string): string[] {
  return [...contentOf(home.repo).keys()].filter((path) => path.includes(`/${folder}/`));
}

/** One bit in the middle of the only pack, where the data is. */
function damageData(home: VarveHome): void {
  const [pack = ''] = files(home, 'meta');
  const bytes = readFileSync(pack);
  const at = bytes.length >> 1;
  bytes[at] = (bytes[at] as number) ^ 1;
  chmodSync(pack, 0o600);
  writeFileSync(pack, bytes);
}

async function withSnapshot(t: Parameters<typeof varveHome>[0]): Promise<VarveHome> {
  const home = await homeWithRepository(t);
  writeFileSync(home.path('source', 'file'), seededRandom(1).bytes(100_000));
  writeFileSync(home.path('source', 'small'), 'small');
  await home.ok('snapshot', 'source');
  return home;
}

test('varve repair index names the packs of a lost segment again', async (t) => {
  const home = await withSnapshot(t);
  const [segment = ''] = files(home, 'index');
  unlinkSync(segment);
  const before = contentOf(home.repo);

  const found = await home.run(['check']);
  const unasked = await home.run(['repair', 'index']);
  const dry = await home.runJson(['repair', 'index', '--dry-run']);
  assert.deepEqual(contentOf(home.repo), before);
  const { code, lines } = await home.runJson(['repair', 'index', '--yes']);
  const again = await home.ok('repair', 'index', '--yes');

  assert.equal(found.code, 4);
  assert.match(found.stdout, /heal with: varve repair index\n/);
  assert.equal(unasked.code, 64);
  assert.match(unasked.stderr, /--yes/);
  assert.deepEqual([dry.lines.at(-1)?.['applied'], dry.lines.at(-1)?.['dry_run']], [false, true]);
  assert.equal(code, 0);
  assert.deepEqual(lines.at(-1)?.['packs'], dry.lines.at(-1)?.['packs']);
  assert.equal(lines.at(-1)?.['applied'], true);
  assert.equal(again.stdout, 'Every pack is named\n');
  await home.ok('check', '--read-data');
});

test('varve repair packs heals from live files', async (t) => {
  const home = await withSnapshot(t);
  damageData(home);

  const found = await home.run(['check', '--read-data']);
  const without = await home.run(['repair', 'packs', '--yes']);
  const dry = await home.ok('repair', 'packs', '-n', '--live', 'source');
  const { code, lines } = await home.runJson(['repair', 'packs', '--yes', '--live', home.dir]);

  assert.equal(found.code, 4);
  assert.match(
    found.stdout,
    /hurts .*\/source\/file\n {2}heal with: varve repair packs --live DIR\n/,
  );
  assert.equal(without.code, 3);
  assert.match(
    without.stdout,
    /^lost: data chunk .*\n.*\n {2}hurts .*\/file\nNothing can be healed\n/m,
  );
  assert.match(dry.stdout, /To be stored again: \d+ blobs? \(\d+ from live files\)\n/);
  assert.equal(code, 0);
  assert.ok((lines.at(-1)?.['healed_from_live'] as number) > 0);
  const after = await home.ok('check', '--read-data');
  assert.match(after.stdout, /note: pack-damaged/);
  await home.ok('restore', 'latest', '--target', 'out');
});

test('varve repair packs heals from a copy of the repository with a passphrase of its own', async (t) => {
  const home = varveHome(t);
  const env = { VARVE_PASSWORD: 'here' };
  await home.run(['init'], { env });
  writeFileSync(home.path('source', 'file'), seededRandom(1).bytes(100_000));
  await home.run(['snapshot', 'source'], { env });
  cpSync(home.repo, home.path('copy'), { recursive: true });
  writeFileSync(home.path('there'), 'there\n');
  const passwd = ['key', 'passwd', '-r', home.path('copy'), '--new-password-file', 'there'];
  assert.equal((await home.run(passwd, { env })).code, 0);
  for (const pack of files(home, 'meta')) rmSync(pack);

  const from = ['repair', 'packs', '--yes', '--from', 'copy'];
  const wrong = await home.run(from, { env: { ...env, VARVE_FROM_PASSWORD: 'here' } });
  const ended = await home.runJson([...from, '--from-password-file', 'there'], { env });

  assert.equal(wrong.code, 12);
  assert.equal(ended.code, 0, JSON.stringify(ended.lines));
  assert.ok((ended.lines.at(-1)?.['healed_from_other'] as number) > 2);
  assert.equal((await home.run(['check', '--read-data'], { env })).code, 0);
});

test('of another repository varve repair packs says how to heal from it, and that is how it is done', async (t) => {
  const home = await withSnapshot(t);
  const other = home.path('other repository');
  await home.ok('init', '--insecure-no-password', '-r', other);
  await home.ok('snapshot', 'source', '-r', other);
  damageData(home);
  await home.run(['check', '--read-data']);
  rmSync(home.path('source'), { recursive: true });

  const { code, stderr } = await home.run(['repair', 'packs', '--yes', '--from', other]);

  assert.equal(code, 3);
  const told = [...stderr.matchAll(/"varve ([^"]*)"/g)].map(([, command]) => command as string);
  assert.match(stderr, /^note: ".*" is no copy of this repository /m);
  assert.deepEqual(told, [
    `restore --repo ${other} latest --target DIR`,
    'repair packs --live DIR',
  ]);
  for (const command of told) {
    const args = command.replace(other, 'OTHER').replace('DIR', 'back').split(' ');
    const yes = command.startsWith('repair') ? ['--yes'] : [];
    await home.ok(...args.map((arg) => arg.replace('OTHER', other)), ...yes);
  }
  await home.ok('check', '--read-data');
  await home.ok('restore', 'latest', '--target', 'out');
});

test('varve repair snapshots makes one without what is lost, and names it', async (t) => {
  const home = await withSnapshot(t);
  damageData(home);
  await home.run(['check', '--read-data']);

  const packs = await home.runJson(['repair', 'packs', '--yes']);
  const dry = await home.run(['repair', 'snapshots', '--dry-run']);
  const { code, lines } = await home.runJson(['repair', 'snapshots', '--yes']);
  const again = await home.ok('repair', 'snapshots', '--yes');
  const listed = await home.ok('snapshots', '--tag', 'repaired');

  assert.equal(packs.code, 3);
  assert.ok(packs.lines.some((line) => line.message_type === 'lost_blob'));
  assert.match(dry.stdout, /^Snapshot [0-9a-f]{8} without 1 entry\n {2}damaged {2}.*\/file\n/);
  assert.equal(code, 0);
  const told = lines.filter((line) => line.message_type !== 'status');
  assert.deepEqual(
    told.map((line) => line.message_type),
    ['repaired_snapshot', 'lost_entry', 'summary'],
  );
  assert.match(again.stdout, /was repaired before\nNo snapshot to repair\n/);
  assert.match(listed.stdout, /1 snapshot/);
  const repaired = told[0]?.['repaired_id'] as string;
  const restored = await home.ok('restore', repaired, '--target', 'out');
  assert.match(restored.stdout, /1 file/);
});

test('varve repair asks on a terminal, and no is no', { skip: !hasTerminal() }, async (t) => {
  const home = await withSnapshot(t);
  unlinkSync(files(home, 'index')[0] as string);
  const before = contentOf(home.repo);
  const env = { PATH: process.env['PATH'], HOME: home.dir, VARVE_REPOSITORY: home.repo };
  const command = `${process.execPath} ${mainPath} repair index; echo "exit code $?"`;

  const shown = await new Promise<string>((resolve) => {
    const child = spawnOnTerminal(command, { cwd: home.dir, env });
    let text = '';
    child.stdout?.setEncoding('utf8').on('data', (piece: string) => {
      text += piece;
      if (/\[y\/N\] $/.test(piece) && !piece.includes('\x1b[2K')) child.stdin?.write('n\r');
    });
    child.on('close', () => resolve(text));
  });

  assert.match(shown, /To be named again: 1 pack/);
  assert.match(shown, /Nothing was written/);
  assert.match(shown, /exit code 1/);
  assert.deepEqual(contentOf(home.repo), before);
});
