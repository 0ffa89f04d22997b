/** Asking on the terminal for something that must not be seen. */
import { KeyError } from '../errors.ts';
import { Interrupted } from './interrupt.ts';

const CONTROL_C = '\x03';
const CONTROL_D = '\x04';
const CONTROL_U = '\x15';

/**
 * Reads a line from standard input, which is a terminal, without showing it.
 * @throws Interrupted, KeyError when the input ends.
 */
export async function askHidden(prompt: string): Promise<string> {
  const { stdin, stderr } = process;
  stdin.setRawMode(true);
  stderr.write(prompt);
  stdin.setEncoding('utf8');
  try {
    return await readHiddenLine(stdin);
  } finally {
    stdin.setRawMode(false);
    stdin.pause();
    stderr.write('\n');
  }
}

function readHiddenLine(stdin: NodeJS.ReadStream): Promise<string> {
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
