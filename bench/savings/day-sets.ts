/**
 * Data sets that are made of nothing but a seed and words: each is a generator of days, a day being
 * all files there are then.
 *
 * | set       | is                                                                                     |
 * | --------- | -------------------------------------------------------------------------------------- |
 * | `logs`    | a growing log that is rotated, a mailbox of one file, a document that is packed without |
 * |           | being compressed, a growing film, a container that is encrypted                        |
 * | `rotated` | a log that is rotated every day, older ones with gzip, and one of JSON that only grows |
 * | `csv`     | tables that get new rows and edited ones, and an export of each day that is kept       |
 * | `office`  | documents and tables of deflated XML, some of them edited, photos that never change    |
 * | `maildir` | a mail in a file, new, read (which renames it) and deleted ones, some with attachments |
 */
import { gzipSync } from 'node:zlib';
import { type Dice, makeDice } from './dice.ts';
import { type ZipEntry, zip } from './zip.ts';

/** Path to content. What two days share may be the same array. */
export type Day = ReadonlyMap<string, Uint8Array>;

export type DaySet = (words: readonly string[]) => Generator<Day>;

const dayCount = 12;
const firstSecond = 1_700_000_000;
const blockSize = 4096;
const mebibyte = 2 ** 20;
const orderColumns = 'id,date,customer,article,count,price,state,note';

export const daySets: Readonly<Record<string, { about: string; make: DaySet }>> = {
  logs: { about: 'log, mailbox, document, film, encrypted container', make: makeLogs },
  rotated: { about: 'logs rotated daily with gzip, JSON lines', make: makeRotated },
  csv: { about: 'tables with new and edited rows', make: makeCsv },
  office: { about: 'documents and tables of deflated XML, photos', make: makeOffice },
  maildir: { about: 'a mail in a file', make: makeMaildir },
};

function* makeLogs(words: readonly string[]): Generator<Day> {
  const dice = makeDice('logs', words);
  const nextLine = logLines(dice);
  let logs: Buffer[] = [Buffer.alloc(0)];
  const paragraphs = times(20_000, () => dice.phrase(60));
  let film = Buffer.from(dice.random(20 * mebibyte));
  const container = Buffer.from(dice.random(16 * mebibyte));
  const picture = film.subarray(0, 3 * mebibyte);
  const mails = times(8000, () => mailboxEntry(dice));
  for (let day = 0; day < dayCount; day++) {
    logs[0] = Buffer.concat([logs[0]!, Buffer.from(times(25_000, nextLine).join(''))]);
    changeMailbox(mails, dice);
    change(paragraphs, { count: 30, dice, to: () => dice.phrase(60) });
    film = Buffer.concat([film, dice.random(mebibyte)]);
    for (let i = 0; i < 40; i++) {
      container.set(dice.random(blockSize), dice.below(container.length / blockSize) * blockSize);
    }
    const document = [
      { name: 'word/document.xml', bytes: Buffer.from(paragraphs.join('\n')), isStored: true },
      { name: 'media/i.jpg', bytes: picture, isStored: true },
    ];
    yield new Map<string, Uint8Array>([
      ...logs.map((log, i): [string, Buffer] => [i === 0 ? 'app.log' : `app.log.${i}`, log]),
      ['mbox', Buffer.from(mails.join(''))],
      ['doc.docx', zip(document)],
      ['cap.mp4', film],
      ['crypt.img', Buffer.from(container)],
    ]);
    if (day % 3 === 2) logs = [Buffer.alloc(0), ...logs.slice(0, 4)];
  }
}

function logLines(dice: Dice): () => string {
  let second = firstSecond;
  return () => {
    second += dice.below(3);
    const [host, app, level] = [dice.below(9), dice.below(9999), logLevel(dice)];
    const path = `/${dice.phrase(1)}/${dice.phrase(1)}`;
    const request = `req=${dice.hex(8)} path=${path} ms=${dice.below(2000)}`;
    return `${second} host${host} app[${app}]: ${level} ${request} ${dice.phrase(6)}\n`;
  };
}

function logLevel(dice: Dice): string {
  return dice.pick(['INFO', 'WARN', 'ERROR']);
}

function mailboxEntry(dice: Dice): string {
  const status = dice.below(2) === 0 ? 'RO' : 'O ';
  const head = `From user${dice.below(999)}@x.org\nMessage-ID: <${dice.hex(12)}@x>\n`;
  return `${head}Status: ${status}\n\n${dice.phrase(dice.between(50, 900))}\n\n`;
}

/** New ones at the end, others read, which changes a header in place, or deleted. */
function changeMailbox(mails: string[], dice: Dice): void {
  mails.push(...times(200, () => mailboxEntry(dice)));
  for (let i = 0; i < 150; i++) {
    const chosen = dice.below(mails.length);
    mails[chosen] = mails[chosen]!.replace('Status: O ', 'Status: RO');
  }
  for (let i = 0; i < 20; i++) mails.splice(dice.below(mails.length), 1);
}

function* makeRotated(words: readonly string[]): Generator<Day> {
  const dice = makeDice('rotated', words);
  const nextLine = logLines(dice);
  const kept: Uint8Array[] = [];
  const zipped: Uint8Array[] = [];
  let json = Buffer.alloc(0);
  for (let day = 0; day < dayCount; day++) {
    kept.unshift(Buffer.from(times(40_000, nextLine).join('')));
    for (const oldest of kept.splice(2)) zipped.unshift(gzipSync(oldest));
    zipped.splice(6);
    json = Buffer.concat([json, Buffer.from(times(15_000, () => jsonLine(dice)).join(''))]);
    yield new Map<string, Uint8Array>([
      ...kept.map((log, i): [string, Uint8Array] => [i === 0 ? 'syslog' : `syslog.${i}`, log]),
      ...zipped.map((log, i): [string, Uint8Array] => [`syslog.${i + 2}.gz`, log]),
      ['app.jsonl', json],
    ]);
  }
}

function jsonLine(dice: Dice): string {
  const [id, user, elapsed] = [dice.hex(16), dice.below(5000), dice.below(1e6) / 1000];
  const route = `/api/v1/${dice.phrase(1)}`;
  return `${JSON.stringify({ level: logLevel(dice), id, user, elapsed, route, text: dice.phrase(8) })}\n`;
}

function* makeCsv(words: readonly string[]): Generator<Day> {
  const dice = makeDice('csv', words);
  const orders: string[] = [];
  const customers = times(40_000, () => customer(dice));
  const files = new Map<string, Uint8Array>();
  const addOrders = (count: number): void => {
    for (let i = 0; i < count; i++) orders.push(order(orders.length, dice));
  };
  addOrders(200_000);
  for (let day = 0; day < dayCount; day++) {
    addOrders(3000);
    const edited = { count: 1000, dice, to: (id: number) => order(id, dice) };
    change(orders, edited);
    change(customers, { count: 200, dice, to: () => customer(dice) });
    customers.push(...times(100, () => customer(dice)));
    customers.sort();
    files.set('orders.csv', table(orderColumns, orders));
    files.set('customers.csv', table('name,email,city,credit', customers));
    const added = orders.slice(-3000);
    files.set(`export/day${twoDigits(day)}.csv`, table(orderColumns, added));
    yield new Map(files);
  }
}

function order(id: number, dice: Dice): string {
  const date = new Date((firstSecond + id * 60) * 1000).toISOString().slice(0, 16);
  const [who, article, count] = [dice.below(40_000), dice.below(2500), dice.between(1, 20)];
  const state = dice.pick(['open', 'paid', 'sent', 'back']);
  const price = (dice.below(1e6) / 100).toFixed(2);
  return `${id},${date},${who},A-${article},${count},${price},${state},"${quoted(dice.phrase(dice.below(8)))}"`;
}

function customer(dice: Dice): string {
  const name = quoted(dice.phrase(2));
  const [city, credit] = [quoted(dice.phrase(1)), dice.below(1e5) / 10];
  return `"${name}",user${dice.below(1e9)}@example${dice.below(99)}.com,"${city}",${credit}`;
}

function quoted(text: string): string {
  return text.replaceAll('"', '""');
}

function table(head: string, rows: readonly string[]): Uint8Array {
  return Buffer.from(`${head}\n${rows.join('\n')}\n`);
}

function* makeOffice(words: readonly string[]): Generator<Day> {
  const dice = makeDice('office', words);
  const photos = times(24, () => dice.random(dice.between(500_000, 1_500_000)));
  const documents = times(40, () => officeDocument(dice));
  const tables = times(15, () => officeTable(dice));
  const files = new Map(photos.map((bytes, i) => [`photos/${twoDigits(i)}.jpg`, bytes]));
  documents.forEach((document, i) => {
    files.set(documentPath(i), zip(documentEntries(document)));
  });
  tables.forEach((rows, i) => {
    files.set(tablePath(i), zip(tableEntries(rows)));
  });
  for (let day = 0; day < dayCount; day++) {
    for (let i = 0; i < 8; i++) {
      const chosen = dice.below(documents.length);
      const document = documents[chosen]!;
      change(document.paragraphs, { count: 4, dice, to: () => dice.phrase(dice.between(20, 120)) });
      const at = dice.below(document.paragraphs.length);
      document.paragraphs.splice(at, 0, dice.phrase(dice.between(20, 120)));
      files.set(documentPath(chosen), zip(documentEntries(document)));
    }
    for (let i = 0; i < 3; i++) {
      const chosen = dice.below(tables.length);
      const rows = tables[chosen]!;
      change(rows, { count: 20, dice, to: () => officeRow(dice) });
      rows.push(...times(10, () => officeRow(dice)));
      files.set(tablePath(chosen), zip(tableEntries(rows)));
    }
    documents.push(officeDocument(dice));
    files.set(documentPath(documents.length - 1), zip(documentEntries(documents.at(-1)!)));
    yield new Map(files);
  }
}

interface OfficeDocument {
  paragraphs: string[];
  pictures: readonly Uint8Array[];
}

function officeDocument(dice: Dice): OfficeDocument {
  return {
    paragraphs: times(dice.between(50, 1500), () => dice.phrase(dice.between(20, 120))),
    pictures: times(dice.below(4), () => dice.random(dice.between(50_000, 400_000))),
  };
}

function documentPath(i: number): string {
  return `documents/report-${twoDigits(i)}.docx`;
}

function documentEntries({ paragraphs, pictures }: OfficeDocument): ZipEntry[] {
  const body = paragraphs.map(
    (text, i) => `<w:p w:rsidR="00${(i % 251).toString(16)}"><w:r><w:t>${text}</w:t></w:r></w:p>`,
  );
  const xml = `<?xml version="1.0"?><w:document><w:body>${body.join('')}</w:body></w:document>`;
  return [
    { name: 'word/document.xml', bytes: Buffer.from(xml) },
    ...pictures.map((bytes, i) => ({ name: `word/media/${i}.png`, bytes, isStored: true })),
  ];
}

function officeTable(dice: Dice): string[] {
  return times(dice.between(500, 8000), () => officeRow(dice));
}

function officeRow(dice: Dice): string {
  const numbers = times(6, () => `<c><v>${dice.below(1e6) / 100}</v></c>`);
  return `<row><c t="str"><v>${dice.phrase(3)}</v></c>${numbers.join('')}</row>`;
}

function tablePath(i: number): string {
  return `tables/table-${twoDigits(i)}.xlsx`;
}

function tableEntries(rows: readonly string[]): ZipEntry[] {
  const xml = `<?xml version="1.0"?><worksheet><sheetData>${rows.join('')}</sheetData></worksheet>`;
  return [{ name: 'xl/worksheets/sheet1.xml', bytes: Buffer.from(xml) }];
}

function* makeMaildir(words: readonly string[]): Generator<Day> {
  const dice = makeDice('maildir', words);
  const files = new Map<string, Uint8Array>();
  let count = 0;
  let former = '';
  const receive = (): void => {
    const body = dice.phrase(dice.between(30, 500)).replaceAll(/(.{60,72}) /g, '$1\n');
    const isAnswer = former !== '' && dice.below(3) === 0;
    const text = isAnswer ? `${body}\n\n${former.replaceAll(/^/gm, '> ')}` : body;
    former = body;
    const name = `new/${firstSecond + count * 600}.M${dice.below(1e6)}P${dice.below(9999)}.host`;
    files.set(name, Buffer.from(mail({ id: count, text, dice })));
    count++;
  };
  times(4000, receive);
  for (let day = 0; day < dayCount; day++) {
    times(150, receive);
    const names = [...files.keys()];
    for (let i = 0; i < 120; i++) markRead(files, dice.pick(names));
    for (let i = 0; i < 30; i++) files.delete(dice.pick(names));
    yield new Map(files);
  }
}

function markRead(files: Map<string, Uint8Array>, name: string): void {
  const bytes = files.get(name);
  if (bytes === undefined || !name.startsWith('new/')) return;
  files.delete(name);
  files.set(`${name.replace('new/', 'cur/')}:2,S`, bytes);
}

function mail(options: { id: number; text: string; dice: Dice }): string {
  const { id, text, dice } = options;
  const date = new Date((firstSecond + id * 600) * 1000).toUTCString();
  const hops = times(
    3,
    (i) => `Received: from mx${i}.example.org by mx${i + 1} id ${dice.hex(9)}; ${date}\n`,
  );
  const people = `From: user${dice.below(300)}@example.org\nTo: me@example.org\n`;
  const head = `${hops.join('')}${people}Message-ID: <${dice.hex(12)}@x>\nSubject: ${dice.phrase(5)}\n`;
  if (dice.below(12) !== 0) return `${head}Date: ${date}\n\n${text}\n`;
  const attachment = Buffer.from(dice.random(dice.between(10_000, 200_000))).toString('base64');
  const lines = attachment.replaceAll(/(.{76})/g, '$1\n');
  return `${head}Date: ${date}\n\n--part\n\n${text}\n--part\n\n${lines}\n--part--\n`;
}

/** Sets so many values, one perhaps twice, to new ones. */
function change(
  values: string[],
  options: { count: number; dice: Dice; to: (i: number) => string },
): void {
  for (let i = 0; i < options.count; i++) {
    const chosen = options.dice.below(values.length);
    values[chosen] = options.to(chosen);
  }
}

function times<T>(count: number, make: (i: number) => T): T[] {
  return Array.from({ length: count }, (_, i) => make(i));
}

function twoDigits(value: number): string {
  return `${value}`.padStart(2, '0');
}
