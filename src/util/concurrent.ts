/** Doing several asynchronous things at once, with a bound. */

/**
 * Calls `work` for every item, at most `inFlightMax` at a time. The first failure stops new calls
 * and is thrown once the calls under way have ended.
 */
export async function mapConcurrent<T>(
  items: Iterable<T>,
  inFlightMax: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const iterator = items[Symbol.iterator]();
  let failure: { error: unknown } | undefined;
  const runOne = async (): Promise<void> => {
    while (failure === undefined) {
      const next = iterator.next();
      if (next.done === true) return;
      try {
        await work(next.value);
      } catch (error) {
        failure ??= { error };
      }
    }
  };
  await Promise.all(Array.from({ length: inFlightMax }, runOne));
  if (failure !== undefined) throw failure.error;
}
