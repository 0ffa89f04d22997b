/**
 * `varve prune`: what it tells, asks and deletes, and that nothing a snapshot needs is ever among it,
 * whoever is at work at the same time or is killed.
 */
import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { copyFileSync, readdirSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { basename, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { beginSession } from '../../src/repository/begin-session.ts';
import { openRepository } from '../../src/repository/open-repository.ts';
import type { Repository } from '../../src/repository/repository.ts';
import { loadView } from '../../src/repository/view.ts';
import { createLocalStorage } from '../../src/storage/local.ts';
import { compareTrees } from '../helpers/compare-trees.ts';
import { forgetSnapshots } from '../helpers/forget-snapshots.ts';
import { events, type Fields, summaries } from '../helpers/json-lines.ts';
import {
  contentOf,
  homeWithRepository,
  type JsonLine,
  type RunOptions,
  type VarveHome,
} from '../helpers/run-varve.ts';
import { seededRandom } from '../helpers/seeded-random.ts';
import { hasTerminal, onTerminal } from '../helpers/terminal.ts';

const pruneNow = ['prune', '--yes', '--grace', '0'] as const;
const deletedSome = /^Deleted [1-9]\d* packs? of /m;

/** Works with the repository of a home in this process, as a client of that home or as another one. */
async function withRepository<T>(
  home: VarveHome,
  client: 'own' | 'other',
  use: (repository: Repository) => Promise<T>,
): Promise<T> {
  const directory = (name: string): string =>
    client === 'own' ? home.path(name, 'varve') : home.path('other', name);
  const repository = await openRepository({
    storage: await createLocalStorage(home.repo),
    askPassphrase: async () => undefined,
    cacheDirectory: directory('cache'),
    stateDirectory: directory('state'),
  });
  try {
    return await use(repository);
  } finally {
    await repository.close();
  }
}

/** Forgets all snapshots but the newest. */
async function forgetOlder(home: VarveHome): Promise<void> {
  await withRepository(home, 'own', async (repository) => {
    const { snapshots } = await loadView(repository, 'read');
    const ids = snapshots.slice(0, -1).map(({ id }) => id);
    await forgetSnapshots(repository, ids);
  });
}

/** The file of a session whose process is gone without having said so. */
async function leaveSession(home: VarveHome, minutesAgo: number): Promise<string> {
  const { id } = await withRepository(home, 'other', (repository) =>
    beginSession(repository, { purpose: 'snapshot' }),
  );
  const lastSign = new Date(Date.now() - minutesAgo * 60_000);
  utimesSync(join(home.repo, 'sessions', id), lastSign, lastSign);
  return id;
}

function writeRandom(home: VarveHome, name: string, options: { salt: number; size: number }): void {
  const { salt, size } = options;
  writeFileSync(home.path('source', name), seededRandom(salt).bytes(size));
}

/** A snapshot that is forgotten, and one that has a part of its files. */
async function homeWithGarbage(t: TestContext): Promise<VarveHome> {
  const home = await homeWithRepository(t);
  writeRandom(home, 'stays', { salt: 1, size: 300_000 });
  for (const salt of [2, 3]) writeRandom(home, `goes${salt}`, { salt, size: 2_000_000 });
  await home.ok('snapshot', 'source');
  for (const salt of [2, 3]) rmSync(home.path('source', `goes${salt}`));
  await home.ok('snapshot', 'source');
  await forgetOlder(home);
  return home;
}

/** Every byte is sound, and the newest snapshot is what the source is. */
async function assertSound(home: VarveHome): Promise<void> {
  const source = home.path('source');
  const target = home.path('target');
  const checked = await home.run(['check', '--read-data']);
  await home.ok('restore', `latest:${source}`, '--target', target);

  assert.equal(checked.code, 0, checked.stdout);
  assert.deepEqual(compareTrees(source, target), []);
  rmSync(target, { recursive: true });
}

/** Paths in the repository. */
function packsOf(home: VarveHome): string[] {
  const names = readdirSync(home.repo, { recursive: true, encoding: 'utf8' });
  return names.filter((name) => /^(data|meta)\/.*[0-9a-f]{64}$/.test(name)).sort();
}

function packSizeOf(home: VarveHome): number {
  return packsOf(home).reduce((sum, name) => sum + statSync(join(home.repo, name)).size, 0);
}

function hasSession(home: VarveHome): boolean {
  return readdirSync(join(home.repo, 'sessions')).length > 0;
}

test('varve prune tells what goes and why, and deletes it', async (t) => {
  const home = await homeWithGarbage(t);
  const before = contentOf(home.repo);

  const early = await home.ok('prune', '--yes');
  const dry = await home.ok('gc', '--dry-run', '--grace', '0');
  const explained = await home.ok('compact', '-n', '--grace', '0', '--explain');
  const after = contentOf(home.repo);
  const done = await home.ok(...pruneNow);
  const again = await home.ok(...pruneNow);

  assert.match(
    early.stdout,
    /^Nothing to delete in \d+ packs of .*MiB\n1 forgotten snapshot is kept/,
  );
  assert.deepEqual([...after.keys()], [...before.keys()]);
  const [, going] = /^\d+ packs of [\d.]+ MiB, of which (\d+) go:\n/.exec(dry.stdout) ?? [];
  assert.match(dry.stdout, /^ {2}waste +\d packs? +[\d.]+ MiB {2}of which [\d.]+ KiB are needed/m);
  assert.match(dry.stdout, /^Frees [34]\.\d MiB, writes [\d.]+ KiB again$/m);
  assert.match(dry.stdout, /\nNothing was deleted\n$/);
  const listed = explained.stdout.match(/^\w+ +[0-9a-f]{64} {2}\w+ +[\d.]+ .* needed$/gm) ?? [];
  assert.equal(listed.length, Number(going));
  assert.ok(explained.stdout.endsWith(dry.stdout));
  assert.match(done.stdout, /^Deleted \d packs? of [34]\.\d MiB\n {2}written again +[\d.]+ KiB$/m);
  for (const path of packsOf(home)) {
    assert.ok(!listed.some((line) => line.includes(basename(path))), path);
  }
  assert.equal(early.stderr + done.stderr + again.stderr, '');
  assert.match(
    again.stdout,
    /^Nothing to delete in \d packs? of [\d.]+ KiB\n(?:[\d.]+ KiB that nothing needs stay .*\n)?$/,
  );
  await assertSound(home);
});

test('varve prune --json tells all that is described', async (t) => {
  const home = await homeWithGarbage(t);
  const id = await leaveSession(home, 40);
  const seen = new Set<string>();
  const run = async (...args: string[]): Promise<JsonLine[]> => {
    const { lines } = await home.runJson(args);
    for (const { message_type: type, v: _, ...fields } of lines) {
      for (const name of Object.keys(fields)) seen.add(`${type} ${name}`);
    }
    return lines;
  };

  const dry = await run('prune', '-n', '--grace', '0');
  const waiting = await run(...pruneNow);
  const done = await run(...pruneNow, '--fence-after', '30m');

  const describe = (type: string, fields: Fields | undefined): string[] =>
    Object.keys(fields ?? {}).map((name) => `${type} ${name.replace('?', '')}`);
  const described = [
    ...['plan', 'pack', 'waiting'].flatMap((type) => describe(type, events[type])),
    ...describe('summary', summaries['prune']),
  ];
  assert.deepEqual(
    described.filter((name) => !seen.has(name)),
    [],
  );
  const plan = dry.find(({ message_type: type }) => type === 'plan');
  const packs = dry.filter(({ message_type: type }) => type === 'pack');
  assert.equal(packs.length, Number(plan?.['dead_packs']) + Number(plan?.['repack_packs']));
  const [first, second, third] = [dry, waiting, done].map((lines) => lines.at(-1));
  assert.deepEqual([first?.['outcome'], first?.['dry_run'], first?.['code']], ['planned', true, 0]);
  assert.deepEqual([second?.['outcome'], second?.['code']], ['waiting', 11]);
  assert.deepEqual([third?.['outcome'], third?.['generation']], ['swept', 1]);
  assert.deepEqual(third?.['fenced'], [id]);
});

test('64: varve prune without a yes, and values that make no sense', async (t) => {
  const home = await homeWithRepository(t);
  const before = contentOf(home.dir);

  const runs = [
    await home.run(['prune']),
    await home.run(['prune', '--json']),
    await home.run([...pruneNow, '--max-duration', '2']),
    await home.run([...pruneNow, '--fence-after', 'never']),
    await home.run([...pruneNow, '--max-repack-size', 'all']),
    await home.run(['prune', '--yes'], { env: { VARVE_GRACE: '1w' } }),
  ];

  for (const { code, stderr } of runs) assert.equal(code, 64, stderr);
  assert.match(
    runs[0]?.stderr as string,
    /without a terminal "varve prune" needs --yes, or --dry-/,
  );
  assert.match(runs[2]?.stderr as string, /Expected a duration such as 30m/);
  assert.match(runs[5]?.stderr as string, /VARVE_GRACE is "1w"\. Expected a duration/);
  assert.deepEqual(contentOf(home.dir), before);
});

test('varve prune asks on a terminal, and deletes only after a yes', async (t) => {
  if (!hasTerminal()) {
    t.skip('no terminal to be had');
    return;
  }
  const home = await homeWithGarbage(t);
  const packs = packsOf(home);
  const question = 'prune --grace 0 --no-progress'; // Whose line would hide the end of the question.

  for (const [answer, end] of [
    ['\r', /Nothing was deleted\s+exit code 1/],
    ['\x04', /Nothing was deleted\s+exit code 1/],
    ['\x03', /exit code 130/],
  ] as const) {
    assert.match(await onTerminal(home, question, [answer]), end);
    assert.deepEqual(packsOf(home), packs);
  }
  const done = await onTerminal(home, question, ['y\r']);

  assert.match(done, /of which \d+ go:[\s\S]*Delete \d+ packs?\? \[y\/N\] /);
  assert.match(done, /Deleted \d+ packs? of [\s\S]*exit code 0/);
  await assertSound(home);
});

test('--max-repack-size leaves the rest for later', async (t) => {
  const home = await homeWithGarbage(t);

  const dry = await home.ok('prune', '-n', '--grace', '0', '--max-repack-size', '0');

  assert.match(dry.stdout, /[34]\.\d MiB that nothing needs stay .*: limits keep it there$/m);
});

test('11: varve prune waits for sessions that may need something, and ends dead ones', async (t) => {
  const home = await homeWithGarbage(t);
  const id = await leaveSession(home, 40);
  const packs = packsOf(home);

  const waiting = await home.run([...pruneNow, '-q']);
  const left = packsOf(home);
  const ended = await home.ok(...pruneNow, '--fence-after', '30m');

  assert.equal(waiting.code, 11);
  assert.match(waiting.stdout, /^Nothing was deleted yet\n1 session began before/);
  const line = new RegExp(`^ {2}${id.slice(0, 8)} {2}${hostname()} {2}last sign 20\\d\\d-`, 'm');
  assert.match(waiting.stdout, line);
  assert.match(waiting.stdout, /--fence-after$/m);
  assert.deepEqual(left, packs);
  assert.match(ended.stdout, /^Ended 1 session without a sign of life$/m);
  assert.match(ended.stdout, deletedSome);
  await assertSound(home);
});

/** Interrupts the process, once, when it says that it waits. */
function interruptWaiting(child: ChildProcess): void {
  child.stderr?.on('data', (text: string) => {
    if (text.includes('note: waiting for 1 session')) child.kill('SIGINT');
  });
}

test('130: an interrupted prune has lost nothing, and the next one goes on', async (t) => {
  const home = await homeWithGarbage(t);
  const id = await leaveSession(home, 0);

  const stopped = await home.run(pruneNow, { onSpawn: interruptWaiting });
  await assertSound(home);
  rmSync(join(home.repo, 'sessions', id));
  const planned = await home.ok('prune', '-n');
  const next = await home.ok(...pruneNow);

  assert.equal(stopped.code, 130, stopped.stderr);
  assert.match(stopped.stderr, /^note: no snapshot has lost anything; the next prune goes on$/m);
  assert.match(planned.stdout, /^ {2}earlier +\d packs? .*an earlier prune has named them$/m);
  assert.match(next.stdout, deletedSome);
  assert.ok(!next.stdout.includes('run it again'));
  await assertSound(home);
});

test('varve prune that is killed at any moment is made good by the next one', async (t) => {
  const home = await homeWithRepository(t);
  const random = seededRandom(31);
  writeRandom(home, 'stays', { salt: 1, size: 300_000 });
  let killedCount = 0;

  for (let round = 0; round < 4; round++) {
    const afterMs = 150 + random.below(900);
    writeRandom(home, 'goes', { salt: 100 + round, size: 1_500_000 });
    await home.ok('snapshot', 'source');
    rmSync(home.path('source', 'goes'));
    await home.ok('snapshot', 'source');
    await forgetOlder(home);
    const before = packSizeOf(home);

    const killed = await home.run(pruneNow, {
      onSpawn: (child) => void delay(afterMs).then(() => child.kill('SIGKILL')),
    });
    const checked = await home.run(['check']);
    await home.ok(...pruneNow);
    await home.ok(...pruneNow);

    if (killed.code === null) killedCount += 1;
    const when = `killed after ${afterMs} ms: ${killed.stdout}`;
    assert.equal(checked.code, 0, `${when}${checked.stdout}`);
    assert.ok(packSizeOf(home) < before - 1_000_000, when);
  }
  await assertSound(home);
  assert.ok(!hasSession(home), 'sessions of killed processes are gone');
  t.diagnostic(`${killedCount} of 4 were killed`);
});

test('two prunes at once delete what one would have', async (t) => {
  const home = await homeWithGarbage(t);

  const both = await Promise.all([home.run(pruneNow), home.run(pruneNow)]);
  await home.ok(...pruneNow); // Both may have written something again.
  const last = await home.ok(...pruneNow);

  for (const { code, stderr } of both) assert.ok(code === 0 || code === 11, stderr);
  assert.ok(both.some(({ stdout }) => deletedSome.test(stdout)));
  assert.match(last.stdout, /^Nothing to delete in /);
  await assertSound(home);
});

test('a prune while a snapshot runs takes nothing that it needs', async (t) => {
  const home = await homeWithRepository(t);
  for (const salt of [1, 2, 3]) writeRandom(home, `f${salt}`, { salt, size: 4_000_000 });
  await home.ok('snapshot', 'source', '--source', 'first');
  copyFileSync(home.path('source', 'f1'), home.path('f1'));
  for (const salt of [1, 2, 3]) rmSync(home.path('source', `f${salt}`));
  await home.ok('snapshot', 'source', '--source', 'second');
  await forgetOlder(home);
  // What was in the forgotten snapshot alone, and is in the next one again.
  copyFileSync(home.path('f1'), home.path('source', 'f1'));
  for (const salt of [4, 5, 6, 7]) writeRandom(home, `f${salt}`, { salt, size: 2 ** 24 });
  const snapshotArgs = ['snapshot', 'source', '--source', 'third', '--jobs', '2'];
  let pruned: ReturnType<VarveHome['run']> | undefined;
  const options: RunOptions = {
    onSpawn: (child) => {
      pruned = untilSession(home, child).then(() => home.run(pruneNow));
    },
  };

  const saved = await home.run(snapshotArgs, options);
  const result = await pruned;
  const next = await home.ok(...pruneNow);

  assert.equal(saved.code, 0, saved.stderr);
  assert.equal(result?.code, 0, result?.stderr);
  // A pack that both need a part of is first left, and then written again.
  assert.match(`${result?.stdout}${next.stdout}`, deletedSome);
  await assertSound(home);
});

async function untilSession(home: VarveHome, child: ChildProcess): Promise<void> {
  while (child.exitCode === null && !hasSession(home)) await delay(5);
}
