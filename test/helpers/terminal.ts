/** A program on a terminal of its own, by script(1), which not every system has. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mainPath, type VarveHome } from './run-varve.ts';

export function hasTerminal(): boolean {
  try {
    execFileSync('sh', ['-c', 'command -v script'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/** Runs a shell command line; what the terminal shows is its standard output. */
export function spawnOnTerminal(
  command: string,
  options: { cwd: string; env: Record<string, string | undefined> },
): ChildProcess {
  const words = ['-c', 'exec script -qec "$0" /dev/null', command];
  return spawn('sh', words, { ...options, stdio: ['pipe', 'pipe', 'inherit'] });
}

/** What the command shows on a terminal, each of its questions being answered in turn. */
export function onTerminal(home: VarveHome, args: string, answers: string[]): Promise<string> {
  const env = { PATH: process.env['PATH'], HOME: home.dir, VARVE_REPOSITORY: home.repo };
  return new Promise((resolve) => {
    const command = `${process.execPath} ${mainPath} ${args}; echo "exit code $?"`;
    const child = spawnOnTerminal(command, { cwd: home.dir, env });
    let [shown, seen] = ['', 0];
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      shown += text;
      const news = shown.slice(seen);
      const isDrawnAgain = news.includes('\x1b[2K'); // With the answer that was just given.
      if (isDrawnAgain || !/(\[y\/N\]|assphrase:|again:) $/.test(news)) return;
      seen = shown.length;
      child.stdin?.write(answers.shift() ?? '\x03');
    });
    child.on('close', () => resolve(shown));
  });
}
