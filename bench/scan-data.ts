/** The kinds of data that are scanned and sampled: easy, hard or hopeless to cut. */
import { chunkInput, xorshiftBytes } from '../test/helpers/chunk-input.ts';

/** Name of a kind of data, and what makes `length` bytes of it. */
export const scanData: readonly [string, (length: number) => Uint8Array][] = [
  ['random', (length) => chunkInput({ kind: 'random', seed: 1, length })],
  ['words', (length) => chunkInput({ kind: 'words', seed: 2, length })],
  ['sql text', sqlText],
  ['zero', (length) => chunkInput({ kind: 'fill', length })],
  ['0xff', (length) => chunkInput({ kind: 'fill', value: 255, length })],
  ...[3, 16, 17, 100, 4096, 40000].map((period): [string, (length: number) => Uint8Array] => [
    `period ${period}`,
    (length) => chunkInput({ kind: 'periodic', seed: 3, period, length }),
  ]),
  ['sorted u32', (length) => chunkInput({ kind: 'counter32le', step: 3, length })],
  ['u32 big-endian', (length) => numbers(length, 4, (view, at, i) => view.setUint32(at, i))],
  [
    'u64 step 7',
    (length) => numbers(length, 8, (view, at, i) => view.setBigUint64(at, BigInt(i * 7), true)),
  ],
  ["random 'a'/'b'", (length) => chunkInput({ kind: 'alphabet', seed: 4, symbols: 'ab', length })],
  ['ACGT', (length) => chunkInput({ kind: 'alphabet', seed: 5, symbols: 'ACGT', length })],
  ['decimal lines', (length) => lines(length, (i) => `${i * 37}\n`)],
  [
    'f64 samples',
    (length) => numbers(length, 8, (view, at, i) => view.setFloat64(at, Math.sin(i / 50), true)),
  ],
];

function sqlText(length: number): Uint8Array {
  const choices = new Uint32Array(xorshiftBytes(7, Math.ceil(length / 40) * 4).buffer);
  return lines(length, (i) => {
    const choice = choices[i]!;
    const status = choice & 1 ? 'paid' : 'open';
    return `INSERT INTO orders VALUES (${i},'customer ${choice % 9973}',${choice >>> 12},'${status}');\n`;
  });
}

function lines(length: number, lineOf: (i: number) => string): Uint8Array {
  const bytes = Buffer.alloc(length);
  for (let i = 0, at = 0; at < length; i++) at += bytes.write(lineOf(i), at, 'latin1');
  return bytes;
}

function numbers(
  length: number,
  width: number,
  write: (view: DataView, at: number, i: number) => void,
): Uint8Array {
  const view = new DataView(new ArrayBuffer(length));
  for (let i = 0; i < length / width; i++) write(view, i * width, i);
  return new Uint8Array(view.buffer);
}
