/** Variables stand in for options: flag before variable before default, and none is ignored. */
import assert from 'node:assert/strict';
import { existsSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { homeWithRepository } from '../helpers/run-varve.ts';

test('every kind of option can come from a variable', async (t) => {
  const home = await homeWithRepository(t);
  writeFileSync(home.path('source', 'a'), 'x');
  const env = {
    VARVE_JSON: '1',
    VARVE_TAG: 'daily',
    VARVE_HOST: 'h1',
    VARVE_CACHE_DIR: home.path('other-cache'),
    VARVE_NO_PROGRESS: 'true',
    VARVE_LATEST: '1',
    VARVE_READ_DATA: '1',
    VARVE_VERBOSE: '1',
  };

  const saved = await home.run(['snapshot', 'source'], { env });
  await home.ok('snapshot', 'source', '--host', 'h2');
  const listed = await home.run(['snapshots'], { env });
  const checked = await home.run(['check'], { env });

  assert.equal(saved.code, 0, saved.stderr);
  assert.match(saved.stderr, /^repository [0-9a-f]{8}/);
  assert.ok(existsSync(home.path('other-cache')));
  const lines = listed.stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  assert.deepEqual(
    lines.map((line) => line.hostname),
    ['h1', undefined],
  );
  assert.deepEqual(lines[0].tags, ['daily']);
  assert.ok(JSON.parse(checked.stdout).bytes_read > 0);
});

test('a flag goes before a variable', async (t) => {
  const home = await homeWithRepository(t);
  const env = { VARVE_REPOSITORY: '/nowhere', VARVE_LATEST: 'nonsense' };

  const { code, stderr } = await home.run(['snapshots', '-r', home.repo, '--latest', '2'], { env });

  assert.equal(code, 0, stderr);
});

test('0 and false switch off', async (t) => {
  const home = await homeWithRepository(t);

  const { code, stdout } = await home.run(['snapshots'], {
    env: { VARVE_JSON: '0', VARVE_QUIET: 'false', VARVE_VERBOSE: '0' },
  });

  assert.equal(code, 0);
  assert.equal(stdout, '0 snapshots\n');
});

test('64: a malformed variable is an error', async (t) => {
  const home = await homeWithRepository(t);
  const malformed = {
    VARVE_JSON: 'maybe',
    VARVE_QUIET: '',
    VARVE_VERBOSE: '3',
    VARVE_LATEST: '-1',
    VARVE_HOST: '',
    VARVE_NO_PROGRESS: 'x',
    VARVE_PASSWORD: '',
  };

  const runs = await Promise.all(
    Object.entries(malformed).map(async ([name, value]) => ({
      name,
      ...(await home.run(['snapshots'], { env: { [name]: value } })),
    })),
  );

  for (const { name, code, stderr } of runs) {
    assert.equal(code, 64, name);
    assert.ok(stderr.includes(name), stderr);
  }
});
