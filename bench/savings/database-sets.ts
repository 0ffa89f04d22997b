/**
 * Data sets of a database that is in use: 150,000 rows with an index, then ten days of 3,000 updates
 * scattered over them and 1,500 new rows, as a file of SQLite and as a dump in SQL. The program
 * `sqlite3` makes both; pages lie as its version puts them.
 */
import { execFileSync } from 'node:child_process';
import { closeSync, copyFileSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { type Dice, makeDice } from './dice.ts';
import type { Maker } from './maker.ts';

/** `sqlite` is the file, `sqldump` the dump of it. */
export type DatabaseKind = 'sqlite' | 'sqldump';

export interface DatabaseOptions {
  kind: DatabaseKind;
  words: readonly string[];
  /** Rows at first, a multiple of 100; a day changes a fiftieth and adds a hundredth. Default 150,000. */
  rowCount?: number;
}

const dayCount = 10;
const firstSecond = 1_700_000_000;

export function* makeDatabaseDays(maker: Maker, options: DatabaseOptions): Generator<string> {
  const { kind, words, rowCount = 150_000 } = options;
  const dice = makeDice('database', words);
  const database = join(maker.scratch, 'app.db');
  runSql(database, creation(rowCount, dice));
  const [updated, added] = [rowCount / 50, rowCount / 100];
  for (let day = 0; day < dayCount; day++) {
    runSql(database, changes({ rows: rowCount + day * added, updated, added }, dice));
    const name = `day${`${day}`.padStart(2, '0')}`;
    const directory = maker.makeVersion(name);
    if (kind === 'sqlite') copyFileSync(database, join(directory, 'app.db'));
    else dump(database, join(directory, 'app.sql'));
    yield name;
  }
}

function creation(rows: number, dice: Dice): string {
  const columns =
    'id integer primary key, name text, email text, balance real, note text, ts integer';
  const statements = [`create table t(${columns})`, 'create index i1 on t(email)', 'begin'];
  for (let i = 0; i < rows; i++) statements.push(insertion(i, dice));
  return `${statements.join(';\n')};\ncommit;\n`;
}

function changes(
  { rows, updated, added }: { rows: number; updated: number; added: number },
  dice: Dice,
): string {
  const statements = ['begin'];
  for (let i = 0; i < updated; i++) {
    const values = `balance=${balance(dice)}, note='${note(dice)}'`;
    statements.push(`update t set ${values} where id=${dice.below(rows)}`);
  }
  for (let i = rows; i < rows + added; i++) statements.push(insertion(i, dice));
  return `${statements.join(';\n')};\ncommit;\n`;
}

function insertion(id: number, dice: Dice): string {
  const name = quoted(dice.phrase(3));
  const email = `user${dice.below(1e9)}@example${dice.below(99)}.com`;
  const second = firstSecond + id * 37;
  return `insert into t values(${id},'${name}','${email}',${balance(dice)},'${note(dice)}',${second})`;
}

/** With all the digits of a fraction that a program has computed. */
function balance(dice: Dice): number {
  return ((dice.below(2 ** 26) * 2 ** 27 + dice.below(2 ** 27)) / 2 ** 53) * 1e5;
}

function note(dice: Dice): string {
  return quoted(dice.phrase(dice.between(5, 40)));
}

function quoted(text: string): string {
  return text.replaceAll("'", "''");
}

/** Without waiting for the disk: nothing is lost that could not be made again. */
function runSql(file: string, sql: string): void {
  const input = `pragma synchronous=off;\n${sql}`;
  execFileSync('sqlite3', ['-batch', '-bail', file], { input });
}

function dump(file: string, target: string): void {
  const fd = openSync(target, 'wx');
  try {
    execFileSync('sqlite3', [file, '.dump'], { stdio: ['ignore', fd, 'inherit'] });
  } finally {
    closeSync(fd);
  }
}
