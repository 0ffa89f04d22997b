/**
 * Patterns of one path component, compiled to regular expressions. Names are bytes, but `?` and
 * `[а-я]` are about characters, so both name and pattern are read as UTF-8 where they are UTF-8, and
 * byte by byte where they are not: a byte that belongs to no character is a character of its own, that
 * equals itself only. Names of ASCII, which are nearly all, are used as they are.
 *
 *   *        any characters, none included
 *   ?        one character
 *   [a-z]    one of these; `[!a-z]` and `[^a-z]` one of the others
 *   \x       the character x
 */

/** Characters of several bytes in valid UTF-8 (Unicode, table 3-7), and then any byte beyond ASCII. */
const sequences = [
  '[\\xc2-\\xdf][\\x80-\\xbf]',
  '\\xe0[\\xa0-\\xbf][\\x80-\\xbf]',
  '[\\xe1-\\xec\\xee\\xef][\\x80-\\xbf]{2}',
  '\\xed[\\x80-\\x9f][\\x80-\\xbf]',
  '\\xf0[\\x90-\\xbf][\\x80-\\xbf]{2}',
  '[\\xf1-\\xf3][\\x80-\\xbf]{3}',
  '\\xf4[\\x80-\\x8f][\\x80-\\xbf]{2}',
  '[\\x80-\\xff]',
];
const beyondAscii = new RegExp(sequences.join('|'), 'g');
const hasBeyondAscii = /[\x80-\xff]/;
/** Stray bytes become code points that no UTF-8 text has: unpaired surrogates. */
const strayBase = 0xdc00;

/** Characters of a name or path that is given as latin1 text, one character per byte. */
export function charactersOf(byteText: string): string {
  if (!hasBeyondAscii.test(byteText)) return byteText;
  return byteText.replace(beyondAscii, (sequence) =>
    sequence.length === 1
      ? String.fromCharCode(strayBase + sequence.charCodeAt(0))
      : Buffer.from(sequence, 'latin1').toString('utf8'),
  );
}

const anyCharacters = '[^/]*';

/** What a pattern without wildcards stands for; undefined when it has some. */
export function literalOf(pattern: string): string | undefined {
  if (/(?<!\\)(?:\\\\)*[*?[]/.test(pattern)) return undefined;
  return pattern.replace(/\\(.)/gs, '$1');
}

/**
 * Source of a regular expression (with the flag `u`) for a component, as characters.
 * @throws RangeError on a bracket or backslash without an end.
 */
export function globSource(pattern: string): string {
  const characters = [...pattern];
  let source = '';
  for (let i = 0; i < characters.length; i++) {
    const character = characters[i] as string;
    if (character === '*') {
      if (!source.endsWith(anyCharacters)) source += anyCharacters;
    } else if (character === '?') {
      source += '[^/]';
    } else if (character === '[') {
      const { end, source: one } = classSource(characters, i + 1);
      source += one;
      i = end;
    } else {
      if (character === '\\') i++;
      source += escaped(characters[i]);
    }
  }
  return source;
}

/** The class that begins after the bracket, never a slash, and where its closing bracket is. */
function classSource(
  characters: readonly string[],
  start: number,
): { end: number; source: string } {
  const isNegated = characters[start] === '!' || characters[start] === '^';
  let i = isNegated ? start + 1 : start;
  const members: string[] = [];
  // A bracket that closes at once would be an empty class: it is a member.
  while (characters[i] !== ']' || members.length === 0) {
    if (characters[i] === '[' && characters[i + 1] === ':') throw fault('a named class');
    const low = memberAt(characters, i);
    i = low.next;
    if (characters[i] === '-' && characters[i + 1] !== ']') {
      const high = memberAt(characters, i + 1);
      i = high.next;
      if (codeOf(low.character) > codeOf(high.character))
        throw fault('a range that runs backwards');
      members.push(`${escaped(low.character)}-${escaped(high.character)}`);
    } else {
      members.push(escaped(low.character));
    }
  }
  return { end: i, source: `(?!/)[${isNegated ? '^' : ''}${members.join('')}]` };
}

function memberAt(characters: readonly string[], i: number): { character: string; next: number } {
  const next = characters[i] === '\\' ? i + 1 : i;
  const character = characters[next];
  if (character === undefined) throw fault('a bracket that is not closed');
  return { character, next: next + 1 };
}

function codeOf(character: string): number {
  return character.codePointAt(0) as number;
}

function escaped(character: string | undefined): string {
  if (character === undefined) throw fault('a backslash at the end');
  return `\\u{${codeOf(character).toString(16)}}`;
}

function fault(what: string): RangeError {
  return new RangeError(what);
}
