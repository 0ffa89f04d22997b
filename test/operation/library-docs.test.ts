/**
 * docs/library.md as a program: its code blocks are compiled as they stand, against the types of the
 * package, run in an empty directory, and must print what the page says. The page must also name
 * all that the package exports, and every option.
 */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { tempDir } from '../helpers/temp-dir.ts';

const root = fileURLToPath(new URL('../../../', import.meta.url));
const page = readFileSync(join(root, 'docs', 'library.md'), 'utf8');
const [api, options, repository] = ['index.ts', 'api/options.ts', 'api/repository.ts'].map((path) =>
  readFileSync(join(root, 'src', path), 'utf8'),
) as [string, string, string];

interface Example {
  code: string;
  /** What it prints, nothing where nothing follows. */
  output: string;
}

function examplesOf(text: string): Example[] {
  const blocks = text.matchAll(/^```ts\n([\s\S]*?)^```\n(?:\n```text\n([\s\S]*?)^```\n)?/gm);
  return [...blocks].map(([, code, output = '']) => ({ code: code as string, output }));
}

/** The examples as one module that tells where each of them ends. */
function moduleOf(examples: readonly Example[]): string {
  return examples.map(({ code }, i) => `${code}${endOf(i)}\n`).join('');
}

function endOf(i: number): string {
  return `console.log('-- end of example ${i}');`;
}

function expectedOutput(examples: readonly Example[]): string {
  return examples.map(({ output }, i) => `${output}-- end of example ${i}\n`).join('');
}

/** A directory in which the package can be imported by its name. */
function newProject(t: TestContext): string {
  const directory = tempDir(t);
  mkdirSync(join(directory, 'node_modules'));
  symlinkSync(root, join(directory, 'node_modules', 'varve'));
  mkdirSync(join(directory, 'documents', 'photos'), { recursive: true });
  writeFileSync(join(directory, 'documents', 'letter.txt'), 'Dear Alice');
  writeFileSync(join(directory, 'documents', 'photos', 'cat.jpg'), 'not really a cat');
  const compilerOptions = {
    target: 'es2023',
    module: 'nodenext',
    strict: true,
    noUnusedLocals: true,
    exactOptionalPropertyTypes: true,
    skipLibCheck: true,
    types: ['node'],
    typeRoots: [join(root, 'node_modules', '@types')],
  };
  const files = ['page.ts'];
  writeFileSync(join(directory, 'tsconfig.json'), JSON.stringify({ compilerOptions, files }));
  writeFileSync(join(directory, 'package.json'), '{ "type": "module" }');
  return directory;
}

/** What the compiler says; nothing when all is well. */
function compile(directory: string, program: string): string {
  writeFileSync(join(directory, 'page.ts'), program);
  const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
  const { stdout } = spawnSync(process.execPath, [tsc, '-p', '.'], {
    cwd: directory,
    encoding: 'utf8',
  });
  return stdout;
}

test('docs/library.md compiles, runs, and prints what it says', (t) => {
  const examples = examplesOf(page);
  const directory = newProject(t);

  const faults = compile(directory, moduleOf(examples));

  assert.ok(examples.length >= 7);
  assert.equal(faults, '');
  const printed = execFileSync(process.execPath, ['page.js'], {
    cwd: directory,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: process.env['PATH'], HOME: directory },
  });
  assert.equal(printed, expectedOutput(examples));
});

test('an example that the package does not allow is seen', (t) => {
  const [first] = examplesOf(page) as [Example];
  const wrong = "\n```ts\nawait repository.snapshot({ path: 'documents' });\n```\n";

  const faults = compile(newProject(t), moduleOf([first, ...examplesOf(wrong)]));

  assert.match(faults, /page\.ts\(\d+,\d+\): error .*'path'/);
});

/** What `src/index.ts` exports, types included. */
function exportedNames(text: string): string[] {
  const listed = [...text.matchAll(/^export (?:type )?\{([^}]*)\}/gm)].flatMap(([, names]) =>
    (names as string).split(',').map((name) => name.trim().replace(/^type /, '')),
  );
  return listed.filter((name) => name !== '');
}

/** Fields of the exported interfaces of options. */
function optionNames(text: string): string[] {
  const bodies = text.matchAll(/^export interface \w+(?:Options|Filter)\b[^{]*\{([\s\S]*?)^\}/gm);
  return [...bodies].flatMap(([, body]) =>
    [...(body as string).matchAll(/^ {2}(\w+)\??:/gm)].map(([, name]) => name as string),
  );
}

/** What an open repository can do. */
function methodNames(text: string): string[] {
  const [, body = ''] = /^export interface Repository \{([\s\S]*?)^\}/m.exec(text) ?? [];
  return [...body.matchAll(/^ {2}(\w+)\(/gm)].map(([, name]) => name as string);
}

test('docs/library.md names all that is exported, every method and every option', () => {
  const [exported, fields, methods] = [
    exportedNames(api),
    optionNames(options),
    methodNames(repository),
  ];
  const isNamed = (name: string): boolean => new RegExp(`\\b${name}\\b`).test(page);

  assert.ok(exported.length > 35 && fields.length > 20 && methods.length > 10);
  assert.deepEqual(
    [...exported, ...methods, ...fields].filter((name) => !isNamed(name)),
    [],
  );
});
