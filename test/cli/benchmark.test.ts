/**
 * `varve benchmark` as a process: what it tells, and that it leaves nothing behind, however it ends.
 * Other programs are played by scripts, and run themselves where they are.
 */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { userTest } from '../helpers/as-user.ts';
import { events, summaries } from '../helpers/json-lines.ts';
import {
  type Ended,
  type JsonLine,
  type RunOptions,
  type VarveHome,
  varveHome,
} from '../helpers/run-varve.ts';
import { seededRandom } from '../helpers/seeded-random.ts';

const kibibyte = 2 ** 10;
const mebibyte = 2 ** 20;

/** Versions of a directory: one file stays, one changes here and there, one comes with each version. */
function makeVersions(home: VarveHome, count: number): string[] {
  const same = seededRandom(1).bytes(100 * kibibyte);
  const changing = seededRandom(2).bytes(300 * kibibyte);
  return Array.from({ length: count }, (_, i) => {
    const directory = home.path(`version${i}`);
    mkdirSync(directory);
    writeFileSync(join(directory, 'same'), same);
    for (let at = i; at < changing.length; at += 50_000) changing[at]! ^= i;
    writeFileSync(join(directory, 'changing'), changing);
    writeFileSync(join(directory, `only ${i}`), `${i}`);
    return directory;
  });
}

interface Bench {
  home: VarveHome;
  scratch: string;
  run: (args: readonly string[], options?: RunOptions) => Promise<Ended>;
  runJson: (args: readonly string[], options?: RunOptions) => Promise<JsonRun>;
}

interface JsonRun {
  code: number;
  lines: JsonLine[];
  /** By name of the program. */
  runs: Map<unknown, JsonLine>;
  last: JsonLine;
}

/** A home with a scratch directory, which must be empty after each run, as the user's own must be. */
function benchHome(t: TestContext): Bench {
  const home = varveHome(t);
  const scratch = home.path('scratch');
  mkdirSync(scratch);
  const command = (args: readonly string[]) => ['benchmark', '--scratch', scratch, ...args];
  const demandNothingLeft = (): void => {
    assert.deepEqual(readdirSync(scratch), []);
    for (const name of ['cache', 'state', 'repo', '.cache', '.local', '.config']) {
      assert.ok(!existsSync(home.path(name)), name);
    }
  };
  return {
    home,
    scratch,
    run: async (args, options) => {
      const ended = await home.run(command(args), options);
      demandNothingLeft();
      return ended;
    },
    runJson: async (args, options) => {
      const { code, lines } = await home.runJson(command(args), options);
      demandNothingLeft();
      const found = lines.filter((line) => line.message_type === 'benchmark');
      const runs = new Map(found.map((line) => [line['name'], line]));
      return { code, lines, runs, last: lines.at(-1) as JsonLine };
    },
  };
}

/** What must not change where the data is only read. */
function look(directory: string): unknown[] {
  return readdirSync(directory).map((name) => {
    const { ctimeMs, mtimeMs, ino, mode } = lstatSync(join(directory, name));
    return [name, ctimeMs, mtimeMs, ino, mode];
  });
}

test('benchmark saves three versions with every program there is, and restores two', async (t) => {
  const { home, runJson } = benchHome(t);
  const versions = makeVersions(home, 3);
  const before = versions.map(look);

  const { code, runs, last } = await runJson(['--compare', ...versions]);

  assert.equal(code, 0);
  const rawSize = 3 * 400 * kibibyte + 3;
  for (const run of runs.values()) {
    assert.equal(run['raw_size'], rawSize);
    const expected = rawSize / (run['stored_size'] as number);
    assert.ok(Math.abs((run['stored_factor'] as number) - expected) < 1e-9);
    const names = Object.keys(events['benchmark'] as object).map((name) => name.replace('?', ''));
    const missing = names.filter((name) => name !== 'failure' && run[name] === undefined);
    assert.deepEqual(missing, []);
  }
  const storedOf = (name: string): number => runs.get(name)?.['stored_size'] as number;
  const [on, off] = [storedOf('varve'), storedOf('varve_similarity_off')];
  assert.ok(on < 0.8 * off, `${on} of ${off}`);
  assert.ok(off < 1.1 * rawSize, 'what is the same in two versions is stored once');
  assert.equal(last['stored_size'], on);
  assert.equal(last['versions'], 3);
  assert.ok((last['delta_blob_count'] as number) > 0);
  assert.deepEqual(
    Object.keys(summaries['benchmark'] as object).map((name) => name.replace('?', '')),
    Object.keys(last).filter((name) => name !== 'v' && name !== 'message_type'),
  );
  assert.deepEqual(versions.map(look), before);
  for (const name of ['restic', 'borg']) {
    const isThere = spawnSync(name, ['--version']).error === undefined;
    await t.test(name, { skip: isThere ? false : `${name} is not on the PATH` }, () => {
      assert.ok(storedOf(name) > on && storedOf(name) < 1.2 * rawSize, `${storedOf(name)}`);
    });
    assert.equal((last['not_found'] as string[]).includes(name), !isThere);
  }
});

/** A directory for PATH with scripts that play programs. */
function makePrograms(home: VarveHome, scripts: Readonly<Record<string, string>>): string {
  const directory = home.path('programs');
  mkdirSync(directory);
  for (const [name, script] of Object.entries(scripts)) {
    writeFileSync(join(directory, name), `#!/bin/sh\n${script}\n`);
    chmodSync(join(directory, name), 0o755);
  }
  return directory;
}

test('benchmark tells people of one version in a table and step by step', async (t) => {
  const { home, run } = benchHome(t);
  const [version] = makeVersions(home, 1) as [string];
  execFileSync('mkfifo', [join(version, 'fifo')]);
  const before = look(version);
  const PATH = makePrograms(home, { restic: '[ "$1" != backup ] || { echo no way >&2; exit 1; }' });
  const env = { PATH, VARVE_DRY_RUN: '1', VARVE_PASSWORD_FD: '77' };

  const { code, stdout, stderr } = await run(['-v', '--compare', version], { env });

  assert.equal(code, 3);
  const size = String.raw`\d+\.\d KiB +\d\.\d\d : 1`;
  const times = String.raw`( +\d+\.\d s){3}`;
  const expected = [
    String.raw`^1 version, 400\.0 KiB in all`,
    ' +stored +factor +save +unchanged +restore',
    `varve +${size}${times}`,
    ` {2}similarity off +${size}${times}`,
    'restic +failed',
    '',
    'varve, step by step',
    String.raw` {2}raw +400\.0 KiB`,
    ` {2}unique +${size}`,
    ` {2}delta +${size}`,
    ` {2}compressed +${size}`,
    ` {2}stored +${size}\n$`,
  ];
  assert.match(stdout, new RegExp(expected.join('\n')));
  assert.match(stderr, /^varve: version 1 of 1\n.*^varve_similarity_off: restoring version 1$/ms);
  assert.match(stderr, /^note: restic failed: "restic backup .*" ended with 1.*no way/m);
  assert.match(stderr, /^note: not found on the PATH: borg$/m);
  assert.deepEqual(look(version), before);
});

test('benchmark takes links as what they lead to, and a path that is named twice once', async (t) => {
  const { home, runJson } = benchHome(t);
  const [first, second] = makeVersions(home, 2) as [string, string];
  const [one, other] = [join(first, 'changing'), join(second, 'changing')];
  symlinkSync(other, home.path('link'));
  const PATH = makePrograms(home, {
    restic: `export -p >> "$0.log"; echo "ran $*" >> "$0.log"
      cd .. && echo "beside" * >> "$0.log"
      [ "$1" != init ] || printf 1234567890 > "$RESTIC_REPOSITORY"`,
    borg: '[ "$1" != create ] || exit 2',
  });
  const mine = { RESTIC_PASSWORD_FILE: '/mine', RESTIC_CACHE_DIR: '/mine', BORG_REPO: '/mine' };

  const { code, lines, runs, last } = await runJson(
    ['--compare', one, home.path('link'), one, 'missing'],
    { env: { PATH, ...mine } },
  );

  assert.equal(code, 3);
  assert.deepEqual([last['versions'], last['error_count']], [2, 1]);
  assert.equal(last['raw_size'], 2 * 300 * kibibyte);
  const [missing] = lines;
  assert.deepEqual([missing?.message_type, missing?.['code']], ['error', 'missing']);
  assert.equal(runs.get('varve')?.['restore_middle_seconds'], undefined);
  assert.match(String(runs.get('borg')?.['failure']), /"borg create .*" ended with 2/);
  assert.equal(runs.get('restic')?.['stored_size'], 10);
  const log = readFileSync(join(PATH, 'restic.log'), 'utf8');
  assert.doesNotMatch(log, /mine/);
  assert.match(log, /TMPDIR=.*varve-benchmark-/);
  assert.match(log, /^beside data restic$/m, 'nothing of varve is left');
  const ran = [...log.matchAll(/^ran (.*)$/gm)].map(([, args]) => args as string);
  assert.deepEqual(
    ran.map((args) => args.replace(/ \/\S*\//, ' …/')),
    [
      'version',
      'init',
      'backup --tag version-0 …/changing',
      'backup --tag version-1 …/changing',
      'backup --tag unchanged …/changing',
      'restore latest --tag version-1 --target …/restored',
    ],
  );
});

test('benchmark refuses what it cannot use, and makes nothing', async (t) => {
  const { home, run, runJson, scratch } = benchHome(t);
  const [version] = makeVersions(home, 1) as [string];

  const wholly = await runJson(['missing', 'nowhere']);
  const inside = await run([home.dir]);
  const same = await run([scratch]);
  const root = await run(['/']);
  const noScratch = await home.run(['benchmark', version, '--scratch', 'nowhere']);
  const empty = await run(['']);

  assert.equal(wholly.code, 1);
  assert.equal(wholly.last['error_code'], 'not_found');
  for (const { code, stderr } of [inside, same, root]) {
    assert.equal(code, 64);
    assert.match(
      stderr,
      /^varve: the scratch directory ".*scratch" is in ".*": name another one$/m,
    );
  }
  assert.equal(noScratch.code, 64);
  assert.match(noScratch.stderr, /^varve: cannot use scratch directory "nowhere": ENOENT$/m);
  assert.equal(empty.code, 64);
});

userTest(import.meta.url, 'benchmark names once what this user may not read', async (t) => {
  const { home, runJson } = benchHome(t);
  const [version] = makeVersions(home, 1) as [string];
  chmodSync(join(version, 'same'), 0);

  const { code, lines, last } = await runJson([version]);

  assert.equal(code, 3);
  assert.equal(last['error_count'], 1);
  assert.equal(last['raw_size'], 300 * kibibyte + 1);
  const errors = lines.filter((line) => line.message_type === 'error');
  assert.deepEqual(
    errors.map((error) => [error['code'], error['item']]),
    [['permission', join(version, 'same')]],
  );
});

/** Runs until there is something in the repository, and gets the signal then. */
async function stopWhenBusy(
  { scratch, run }: Bench,
  args: readonly string[],
  signals: readonly NodeJS.Signals[],
): Promise<Ended> {
  const isBusy = (): boolean =>
    readdirSync(scratch, { recursive: true, encoding: 'utf8' }).some((path) =>
      /\/repository\/(tmp|data|sessions)\/./.test(path),
    );
  return await run(args, {
    onSpawn: async (child) => {
      while (child.exitCode === null && !isBusy()) await delay(5);
      for (const signal of signals) {
        child.kill(signal);
        await delay(1);
      }
    },
  });
}

test('benchmark removes all it made when it is stopped, once or twice', async (t) => {
  const bench = benchHome(t);
  const directory = bench.home.path('large');
  mkdirSync(directory);
  for (let i = 0; i < 6; i++) {
    writeFileSync(join(directory, `${i}`), seededRandom(i).bytes(16 * mebibyte));
  }

  for (const [signals, code] of [
    [['SIGINT'], 130],
    [['SIGTERM'], 143],
    [['SIGINT', 'SIGINT'], 130],
  ] as const) {
    const ended = await stopWhenBusy(bench, [directory], signals);

    assert.equal(ended.code, code, ended.stderr);
    assert.equal(ended.stdout, '');
  }
  const copying = await bench.run([directory, makeVersions(bench.home, 1)[0] as string], {
    onSpawn: async (child) => {
      while (readdirSync(bench.scratch).length === 0) await delay(5);
      child.kill('SIGINT');
    },
  });
  assert.equal(copying.code, 130, copying.stderr);
});
