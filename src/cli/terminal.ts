/** Asking on the terminal, which is standard input: for what must not be seen, and for consent. */
import { KeyError } from '../errors.ts';
import { escapeControls } from '../util/printable.ts';
import { Interrupted } from './interrupt.ts';

const CONTROL_C = '\x03';
const CONTROL_D = '\x04';
const CONTROL_U = '\x15';
const CLEAR_LINE = '\r\x1b[2K';

/**
 * Reads a line without showing it.
 * @throws Interrupted, KeyError when the input ends.
 */
export async function askHidden(prompt: string): Promise<string> {
  return await ask(prompt, () => {});
}

/**
 * Whether the answer is yes; nothing, or the end of the input, is no.
 * @throws Interrupted
 */
export async function askConsent(question: string): Promise<boolean> {
  const prompt = `${question} [y/N] `;
  const show = (line: string): void => {
    process.stderr.write(`${CLEAR_LINE}${prompt}${escapeControls(line)}`);
  };
  try {
    return /^y(es)?$/i.test((await ask(prompt, show)).trim());
  } catch (error) {
    if (error instanceof KeyError) return false;
    throw error;
  }
}

async function ask(prompt: string, onEdit: (line: string) => void): Promise<string> {
  const { stdin, stderr } = process;
  stdin.setRawMode(true);
  stderr.write(prompt);
  stdin.setEncoding('utf8');
  try {
    return await readRawLine(stdin, onEdit);
  } finally {
    stdin.setRawMode(false);
    stdin.pause();
    stderr.write('\n');
  }
}

function readRawLine(stdin: NodeJS.ReadStream, onEdit: (line: string) => void): Promise<string> {
  return new Promise((resolve, reject) => {
    const line: string[] = [];
    const settle = (action: () => void): void => {
      stdin.off('data', onData);
      stdin.off('end', onEnd);
      action();
    };
    const onEnd = (): void => settle(() => reject(endedError()));
    const onData = (text: string): void => {
      const characters = [...text];
      const end = characters.findIndex((character) => !edit(line, character));
      onEdit(line.join(''));
      if (end === -1) return;
      settle(() => {
        if (characters[end] === CONTROL_C) reject(new Interrupted('SIGINT'));
        else if (characters[end] === CONTROL_D) reject(endedError());
        else resolve(line.join(''));
      });
      const ahead = characters.slice(end + 1).join('');
      if (ahead !== '') stdin.unshift(ahead, 'utf8'); // It answers what is asked next.
    };
    stdin.on('data', onData);
    stdin.on('end', onEnd);
    stdin.resume();
  });
}

function endedError(): KeyError {
  return new KeyError('Cannot read passphrase: the input ended');
}

/**
 * In raw mode the terminal edits nothing and sends no signals: both are done here.
 * @returns false for a character that ends the line.
 */
function edit(line: string[], character: string): boolean {
  if (['\r', '\n', CONTROL_C, CONTROL_D].includes(character)) return false;
  if (character === CONTROL_U) line.length = 0;
  else if (['\x7f', '\b'].includes(character)) line.pop();
  else line.push(character);
  return true;
}
