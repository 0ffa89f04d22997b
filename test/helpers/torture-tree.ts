/**
 * A tree with every kind of entry, name and metadata that a Linux file system takes from this user, made by
 * programs of the system. As an ordinary user it has what such a user can make, and read again.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, utimesSync, writeFileSync } from 'node:fs';
import { b, rawPath } from './raw-path.ts';

const isRoot = process.geteuid?.() === 0;

/** What the tree and its comparison are made with. */
const tortureNeeds = ['setfattr', 'getfattr', 'setfacl', 'getfacl', 'chattr', 'rsync', 'setcap'];

/** Undefined where all programs are there. */
export function missingForTorture(): string | undefined {
  const isThere = (name: string): boolean => spawnSync(name, ['--help']).error === undefined;
  const missing = tortureNeeds.filter((name) => !isThere(name));
  return missing.length === 0 ? undefined : `no ${missing.join(', ')} here`;
}

/** Names that have broken programs: not text, looking like options or code, alike but for case. */
const names: readonly Uint8Array[] = [
  ...['new\nline', 'nfc-\u00e9', 'nfd-e\u0301', '\u00e9', 'e\u0301', ' lead', 'trail ', 'dot.'],
  ...['-dash', '*?[', 'back\\slash', '"q"', "'", '$(id)', '%s%n', 'tab\t', '\x01\x7f', 'con'],
  ...['NUL', '..x', '...', 'FOO', 'foo', '\u00df', '\u0130', '\u202e rtl', '\ufeffbom', 'a:b'],
  ...['__proto__', 'constructor', 'a'.repeat(255), '\u{1f600}'.repeat(63)],
]
  .map(b)
  .concat(Buffer.from('bad\xff\xfe', 'latin1'), Buffer.from('\xed\xa0\x80lone', 'latin1'));

/** For every user; times come last, because all before changes them. */
const script = `
echo data > reg; mkdir dir many; echo x > dir/a; ln dir/a hard; ln dir/a many/third
ln -s nowhere dangling; ln -s dir dl; ln -s loop2 loop1; ln -s loop1 loop2; ln -s . self
ln -s "$(head -c 4000 /dev/zero | tr '\\0' t)" long-link; ln dangling many/linked-link
mkfifo fifo; ln fifo many/fifo; mkfifo -m 620 fifo2
: > empty; head -c 300000 /dev/urandom > large
truncate -s 64M sparse; printf end | dd of=sparse bs=1 seek=33554432 conv=notrunc status=none
truncate -s 10M hole-only; printf start > hole-end; truncate -s 5M hole-end
mkdir sticky; chmod 1777 sticky
echo r > read-only; echo w > write-only; mkdir -m 555 closed
setfattr -n user.k -v val reg; setfattr -n user.empty reg; setfattr -n user.bytes -v 0x00ff0a00 reg
setfattr -n user.big -v "$(head -c 3000 /dev/zero | tr '\\0' x)" large
i=0; while [ $i -lt 40 ]; do setfattr -n user.n$i -v $i dir/a; i=$((i+1)); done
setfattr -n user.d -v q dir; setfattr -n user.ro -v ro read-only; chmod 400 read-only
setfacl -m u:1234:rw reg; setfacl -m g:77:x,m::rx dir; setfacl -d -m g:77:rx,u:1234:rwx many
chattr +d reg dir; chattr +A empty
`;

const rootScript = `
mknod chr c 1 3; mknod blk b 7 300; mknod whiteout c 0 0; ln chr many/chr
chown 4294967294:4294967293 reg; chown -h 12:34 dl; chown 1000:1000 dir many fifo chr
echo s > suid; chown 1000:1001 suid; chmod 6755 suid; setcap cap_net_raw+ep suid; setfattr -n user.s -v s suid
mkdir -m 2751 setgid-dir; echo n > noperm; chmod 0 noperm; mkdir -m 0 nodir
setfattr -n trusted.t -v q dir; setfattr -h -n trusted.lnk -v z dangling
setfattr -h -n trusted.fifo -v z fifo; setfattr -h -n security.test -v l reg
`;

const timesScript = `
touch -d '1901-12-13 20:45:52.5 UTC' large; touch -d '1969-12-31 23:59:58.123456789 UTC' empty
touch -d '@0' hole-only; touch -d '2038-01-19 03:14:08.000000001 UTC' sparse
touch -d '2200-01-01 00:00:00.123456789 UTC' hole-end; touch -d '2446-05-10 22:38:55 UTC' reg
touch -h -d '2011-11-11 11:11:11.111' dangling; touch -d '2001-02-03 04:05:06.7' fifo
touch -d '2012-12-12 12:12:12.121212121' dir many closed .
`;

/** @param top a new directory */
export function makeTortureTree(top: string): void {
  mkdirSync(top);
  const run = (text: string): void => {
    execFileSync('sh', ['-e', '-c', text], { cwd: top, stdio: ['ignore', 'ignore', 'inherit'] });
  };
  run(script);
  mkdirSync(rawPath(top, 'names'));
  for (const name of names) {
    const path = rawPath(top, 'names', name);
    writeFileSync(path, name);
    utimesSync(path, 1, 1);
  }
  if (isRoot) run(rootScript);
  run(timesScript);
}
