/**
 * Data sets out of the tags of a git repository: the source trees, and images of disks with one tree
 * each beside files of this machine that are the same in all of them.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import { UsageError } from '../sizes.ts';
import type { Maker } from './maker.ts';

export interface GitSource {
  /** A repository or a git directory. */
  path: string;
  tags: readonly string[];
}

/** Tags of sets of these names, unless a pattern is given. */
const knownTags: Readonly<Record<string, string>> = {
  redis:
    '4.0.0 4.0.3 4.0.6 4.0.9 4.0.12 5.0.0 5.0.4 5.0.6 5.0.9 5.0.14 6.0.2 6.0.5 6.0.8 6.0.10 6.0.11 ' +
    '6.0.15 6.0.17 6.0.20 6.2.1 6.2.3 6.2.7 6.2.11 6.2.14 7.0.2 7.0.5 7.0.7 7.0.11 7.2.0 7.2.2 ' +
    '7.2.4 7.4.1',
  borgrel:
    '1.1.2 1.1.5 1.1.8 1.1.11 1.1.14 1.1.17 1.2.1 1.2.4 1.2.7 1.4.0 1.4.3 2.0.0b1 2.0.0b4 2.0.0b7 ' +
    '2.0.0b10 2.0.0b13 2.0.0b16 2.0.0b19 2.0.0b22',
};

/** Images of these; the set is made where there is a source of this name. */
export const imageSource = 'redis';
const imageTags = '4.0.0 4.0.3 4.0.6 4.0.9 4.0.12 5.0.0 5.0.4 5.0.6 5.0.9 6.0.2 6.0.5 6.0.8'.split(
  ' ',
);
/** What an image holds besides the tree: about 60 MB on Debian. */
const imageFillers = ['/usr/share/perl', '/usr/share/vim'];
const imageSize = '160M';
const imageSecond = '1700000000';

/** Of `NAME=PATH` or `NAME=PATH:PATTERN`. @throws UsageError */
export function parseGitSource(text: string): [name: string, source: GitSource] {
  const [, name = '', path = '', pattern] = /^([\w-]+)=([^:]+)(?::(.+))?$/.exec(text) ?? [];
  if (!existsSync(path)) throw new UsageError(`no NAME=PATH of a git repository: "${text}"`);
  const known = Object.hasOwn(knownTags, name) ? knownTags[name]?.split(' ') : undefined;
  const tags = pattern === undefined && known !== undefined ? known : tagsOf(path, pattern ?? '*');
  if (tags.length === 0) throw new UsageError(`no tags: "${text}"`);
  return [name, { path, tags }];
}

/** In the order of versions. */
function tagsOf(path: string, pattern: string): string[] {
  const options = ['tag', '--list', '--sort=version:refname', pattern];
  const listed = execFileSync('git', ['-C', path, ...options], { encoding: 'utf8' });
  return listed.split('\n').filter(Boolean);
}

/** Writes the tree of each tag to the directory of its name. */
export function* makeTrees(maker: Maker, source: GitSource): Generator<string> {
  for (const tag of source.tags) {
    const name = tag.replaceAll('/', '-');
    writeTree(source.path, tag, maker.makeVersion(name));
    yield name;
  }
}

/**
 * Writes `disk.img` of each tag: ext4 with blocks of 1 KiB, made anew and so with ids and check sums
 * of its own. Times of inodes are the only thing in it that two runs do not have in common.
 */
export function* makeImages(maker: Maker, source: GitSource): Generator<string> {
  for (const tag of imageTags) {
    const root = join(maker.scratch, 'root');
    mkdirSync(root);
    writeTree(source.path, tag, root);
    for (const filler of imageFillers.filter((path) => existsSync(path))) {
      execFileSync('cp', ['-a', '--', filler, join(root, basename(filler))]);
    }
    const uuid = uuidOf(`image ${tag}`);
    const format = ['-q', '-t', 'ext4', '-b', '1024', '-U', uuid, '-E', `hash_seed=${uuid}`];
    const image = join(maker.makeVersion(tag), 'disk.img');
    execFileSync('mke2fs', [...format, '-d', root, image, imageSize], {
      env: { ...process.env, E2FSPROGS_FAKE_TIME: imageSecond },
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    rmSync(root, { recursive: true });
    yield tag;
  }
}

function writeTree(path: string, tag: string, directory: string): void {
  const script = 'set -o pipefail; git -C "$1" archive "$2" | tar -x -C "$3"';
  execFileSync('bash', ['-c', script, 'bash', path, tag, directory]);
}

function uuidOf(label: string): string {
  const hex = createHash('sha256').update(label).digest('hex');
  return hex.replace(/^(.{8})(.{4}).(.{3}).(.{3})(.{12}).*$/, '$1-$2-4$3-8$4-$5');
}
