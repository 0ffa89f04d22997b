/**
 * Explores what the tables name, and prints what came out, with the shortest way to each violation:
 *
 *     node dist/test/model/explore.js                  all rows, some minutes
 *     node dist/test/model/explore.js tombs step-7     the rows in whose names all these words stand
 *     node dist/test/model/explore.js --tables         the tables of docs/collection-model.md
 */
import { formatTable, nameOf, type Row, resultOf, TABLES } from './tables.ts';

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

function explore(row: Row): void {
  const before = process.cpuUsage();
  const found = row.explore();
  const { user, system } = process.cpuUsage(before);
  const result = resultOf(found);
  const seconds = ((user + system) / 1e6).toFixed(1);
  print(
    `${nameOf(row)}: ${JSON.stringify(result)}, ${found.states} states, ${seconds} s of processor time`,
  );
  for (const [i, step] of found.trace.entries()) print(`  ${i + 1}. ${step}`);
}

const words = process.argv.slice(2);
if (words[0] === '--tables') {
  for (const table of TABLES) print(formatTable(table));
} else {
  for (const row of TABLES.flatMap(({ rows }) => rows)) {
    const names = nameOf(row).split(/[ ,]+/);
    if (words.every((word) => names.includes(word))) explore(row);
  }
}
