import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { type AccountNames, readAccountNames } from '../../src/walk/account-names.ts';
import { tempDir } from '../helpers/temp-dir.ts';

function read(t: TestContext, passwd: string, group: string): AccountNames {
  const dir = tempDir(t);
  writeFileSync(join(dir, 'passwd'), Buffer.from(passwd, 'latin1'));
  writeFileSync(join(dir, 'group'), Buffer.from(group, 'latin1'));
  return readAccountNames({ passwd: join(dir, 'passwd'), group: join(dir, 'group') });
}

test('readAccountNames() finds names by number, the first line first, bytes kept', (t) => {
  const passwd = 'root:x:0:0::/:/bin/sh\ntoor:x:0:0\n# note\n\nzo\xeb:x:1000:100\nbad:x:ten\n';
  const names = read(t, passwd, 'wheel:x:0:\nusers:x:100:root');

  const text = (uid: number, gid: number) => {
    const found = names.namesOf(uid, gid);
    return found && [found.user, found.group].map((name) => Buffer.from(name).toString('latin1'));
  };
  assert.deepEqual(text(0, 0), ['root', 'wheel']);
  assert.deepEqual(text(1000, 100), ['zo\xeb', 'users']);
  assert.deepEqual(text(1000, 7), ['zo\xeb', '']);
  assert.deepEqual(text(7, 100), ['', 'users']);
  assert.equal(text(7, 7), undefined);
  assert.equal(names.namesOf(0, 0), names.namesOf(0, 0));
});

test('readAccountNames() knows nobody where the files are missing', () => {
  const names = readAccountNames({ passwd: '/nowhere/passwd', group: '/nowhere/group' });

  assert.equal(names.namesOf(0, 0), undefined);
});
