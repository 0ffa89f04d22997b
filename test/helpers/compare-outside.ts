/**
 * Two trees compared by programs of the system alone, none of them ours: `rsync` for content and nearly all
 * else, `find` for times to the nanosecond and the room on disk, `getfattr`, `getfacl` and `lsattr`. None
 * goes deeper than a path may be long; `compareTrees` does.
 */
import { spawnSync } from 'node:child_process';

interface View {
  readonly name: string;
  /** Run by `sh` in the top of a tree; each line is one fact. */
  readonly command: string;
}

const views: readonly View[] = [
  { name: 'find', command: "find . -printf '%P\\t%y %m %U %G %n %s %T@ %l\\n'" },
  { name: 'blocks', command: "find . -type f -printf '%P\\t%b\\n'" },
  {
    name: 'xattr',
    command: 'find . -print0 | sort -z | xargs -0 getfattr -h -d -m - --absolute-names -e hex --',
  },
  { name: 'acl', command: 'getfacl -RPn . 2>/dev/null' },
  {
    name: 'flags',
    // Whether a file has an index or extents is the business of its file system.
    command: "lsattr -aR . 2>/dev/null | sed 's/^\\([^ ]*\\)[eI-]*/\\1/; s/^[-eI]*//; s/-//g'",
  },
];

/** One line for each difference, beginning with what has seen it; latin1. */
export function compareOutside(a: string, b: string): string[] {
  const differences = rsyncDifferences(a, b);
  for (const { name, command } of views) {
    const [left, right] = [facts(a, command), facts(b, command)];
    for (const line of left) if (!right.has(line)) differences.push(`${name} < ${line}`);
    for (const line of right) if (!left.has(line)) differences.push(`${name} > ${line}`);
  }
  return differences;
}

function rsyncDifferences(a: string, b: string): string[] {
  const options = ['-aHAXSn', '--checksum', '--itemize-changes', '--delete', '--numeric-ids'];
  const ended = run('rsync', [...options, `${a}/`, `${b}/`], a);
  return lines(ended).map((line) => `rsync ${line}`);
}

function facts(top: string, command: string): Set<string> {
  // Attributes are told below a line with the path: the path is made part of each.
  let path = '';
  const told = new Set<string>();
  for (const line of lines(run('sh', ['-c', command], top))) {
    if (line.startsWith('# file: ')) path = line;
    told.add(command.includes('getfa') ? `${path}\t${line}` : line);
  }
  return told;
}

function lines(text: string): string[] {
  return text.split('\n').filter((line) => line !== '');
}

function run(program: string, args: readonly string[], cwd: string): string {
  const env = { ...process.env, LC_ALL: 'C' };
  const ended = spawnSync(program, args, { cwd, env, encoding: 'latin1', maxBuffer: 2 ** 28 });
  if (ended.error !== undefined) throw ended.error;
  // Of what this user may not look at rsync says so, on both sides.
  return `${ended.stdout}${program === 'rsync' ? ended.stderr : ''}`;
}
