/**
 * Names that may be created. A snapshot may come from a hostile machine, so that a name is checked
 * where it is used, whatever the reader of the tree has checked before.
 */

const slash = 0x2f;

/** What is wrong with a name as one component below the target, if anything. */
export function nameFault(name: Uint8Array): string | undefined {
  if (name.length === 0) return 'name is empty';
  if (name.includes(0)) return 'name holds a zero byte';
  if (name.includes(slash)) return 'name holds a slash';
  const text = Buffer.from(name).toString('latin1');
  if (text === '.' || text === '..') return 'name leads elsewhere';
  return process.platform === 'win32' ? windowsFault(text) : undefined;
}

const windowsDevice = /^(con|prn|aux|nul|com[0-9\xb9\xb2\xb3]|lpt[0-9\xb9\xb2\xb3])(\.|$)/i;

/** Windows: separators, streams, devices, and endings that it removes. */
export function windowsFault(name: string): string | undefined {
  if (/[\\:*?"<>|\p{Cc}]/u.test(name)) return 'name holds a character that Windows reserves';
  if (/[. ]$/.test(name)) return 'name ends with a dot or space';
  return windowsDevice.test(name) ? 'name is a device' : undefined;
}
