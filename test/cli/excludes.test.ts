/** `varve snapshot` with options that leave something out. */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { homeWithRepository, type VarveHome } from '../helpers/run-varve.ts';

function fillSource(home: VarveHome): void {
  for (const name of ['cache', 'logs', 'keep']) mkdirSync(home.path('source', name));
  for (const name of ['a.o', 'b.o', 'c.txt', 'logs/x', 'cache/y', 'keep/z', 'keep/.skip']) {
    writeFileSync(home.path('source', name), '');
  }
  const tag = 'Signature: 8a477f597d28d172789f06886806bc55\n';
  writeFileSync(home.path('source', 'cache', 'CACHEDIR.TAG'), tag);
}

/** Paths of the newest snapshot, below the source. */
async function saved(home: VarveHome): Promise<string[]> {
  const { stdout } = await home.ok('ls', '-R', `latest:${home.path('source')}`);
  const lines = stdout.trimEnd().split('\n');
  return lines.map((line) => line.replace(`${home.path('source')}/`, ''));
}

test('snapshot leaves out what patterns, files of patterns and markers say', async (t) => {
  const home = await homeWithRepository(t);
  fillSource(home);
  const file = home.path('patterns');
  writeFileSync(file, '\uFEFF# objects\r\n  *.o  \r\n\n#c.txt\n/logs\nno\\ \n');

  const excludes = ['-e', '!b.o', '--exclude-file', file, '--exclude', 'logs/'];
  const markers = ['--exclude-caches', '--exclude-if-present', '.skip', '-x'];
  const { stdout } = await home.ok('snapshot', 'source', ...excludes, ...markers);

  assert.match(stdout, /^ {2}left out {4}4 entries$/m);
  assert.deepEqual(await saved(home), [
    'b.o',
    'c.txt',
    'cache',
    'cache/CACHEDIR.TAG',
    'keep',
    'keep/.skip',
  ]);
});

test('snapshot --json counts what was left out; variables can stand for the options', async (t) => {
  const home = await homeWithRepository(t);
  fillSource(home);
  const env = {
    VARVE_EXCLUDE: '*.o',
    VARVE_EXCLUDE_CACHES: '1',
    VARVE_EXCLUDE_IF_PRESENT: '.skip:header',
  };

  const { lines } = await home.runJson(['snapshot', 'source'], { env });
  const plain = await home.ok('snapshot', 'source');

  assert.equal(lines.at(-1)?.['total_excluded'], 3);
  assert.doesNotMatch(plain.stdout, /left out/);
});

test('snapshot refuses excludes that make no sense', async (t) => {
  const home = await homeWithRepository(t);
  const usages: [args: string[], hint: RegExp][] = [
    [['--exclude', '[a'], /exclude pattern "\[a": it has a bracket that is not closed/],
    [['--exclude', './a'], /"\." or "\.\."/],
    [['--exclude', ''], /--exclude is empty/],
    [['--exclude-file', 'none'], /cannot read exclude file "none": ENOENT/],
    [['--exclude-if-present', 'a/b'], /marker "a\/b"/],
    [['--exclude-if-present', ':x'], /marker ""/],
  ];

  for (const [args, hint] of usages) {
    const { code, stderr } = await home.run(['snapshot', 'source', ...args]);

    assert.equal(code, 64, args.join(' '));
    assert.match(stderr, hint);
  }
});
