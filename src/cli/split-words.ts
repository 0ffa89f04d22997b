/** A command line into words, as a shell reads it when nothing is to be expanded. */
import { UsageError } from './exit-code.ts';

/** Text without a special character, a quoted part, or an escaped character. */
const PIECE = /[^\s'"\\]+|'[^']*'|"(?:[^"\\]|\\[\s\S])*"|\\[\s\S]/y;

/**
 * Words are separated by blanks. Single quotes keep everything, double quotes all but backslash and
 * quote, a backslash keeps the next character.
 * @throws UsageError on a quote that is not closed.
 */
export function splitWords(line: string): string[] {
  const words: string[] = [];
  let position = 0;
  let isInWord = false;
  while (position < line.length) {
    if (/\s/.test(line[position] as string)) {
      isInWord = false;
      position += 1;
      continue;
    }
    PIECE.lastIndex = position;
    const piece = PIECE.exec(line)?.[0];
    if (piece === undefined) throw new UsageError('the password command ends within a quote');
    const previous = isInWord ? (words.pop() as string) : '';
    words.push(previous + unquote(piece));
    isInWord = true;
    position += piece.length;
  }
  return words;
}

function unquote(piece: string): string {
  if (piece.startsWith("'")) return piece.slice(1, -1);
  if (piece.startsWith('"')) return piece.slice(1, -1).replace(/\\(["\\$`])/g, '$1');
  return piece.startsWith('\\') ? piece.slice(1) : piece;
}
