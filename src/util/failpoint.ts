/**
 * Named points at which a test may stop, delay or fail the program: before and after every step of
 * the commit protocol. In production no handler is installed and a point costs one comparison.
 */

export type FailpointHandler = (name: string) => void | Promise<void>;

let handler: FailpointHandler | undefined;

/** Installs the handler of this thread, or removes it. Only tests call this. */
export function onFailpoint(next: FailpointHandler | undefined): void {
  handler = next;
}

/** Passes the point `name`; whatever the handler throws is thrown here. */
export async function failpoint(name: string): Promise<void> {
  if (handler !== undefined) await handler(name);
}
