/**
 * The module that a thread runs which lists directories ahead of the walk. While it is at work it turns
 * no event loop; it learns through shared numbers what is wanted of it.
 */
import { canPackStats } from '../platform/file-stat.ts';
import { serveThread } from '../util/worker.ts';
import { listAhead } from './ahead-lister.ts';
import { type AheadRequest, aheadState } from './ahead-messages.ts';
import { ListingWriter } from './listing.ts';

/** Bytes on their way to the walk: some ten thousand entries. */
const sizeMax = 2 ** 21;
/** A batch is sent when it has so many, or when somebody waits for it. */
const batchSizeMin = 2 ** 16;

serveThread<undefined, AheadRequest, never>(async () => {
  // What takes time to load is loaded before there is something to do.
  const isAble = canPackStats();
  return {
    handle: (request) => {
      try {
        if (isAble) serve(request);
      } finally {
        end(request);
      }
    },
    close: () => {},
  };
});

function serve(request: AheadRequest): void {
  const { state, port } = request;
  const writer = new ListingWriter();
  Atomics.store(state, aheadState.hasBegun, 1);
  const send = (): void => {
    const batch = writer.take();
    port.postMessage(batch, [batch.buffer]);
    Atomics.add(state, aheadState.sent, batch.size);
    Atomics.notify(state, aheadState.sent);
  };
  listAhead(request, writer, () => {
    const isWanted = Atomics.exchange(state, aheadState.isWaiting, 0) !== 0;
    if (writer.size >= (isWanted ? 1 : batchSizeMin)) send();
    return awaitRoom(state);
  });
  if (writer.size > 0) send();
}

/** False when nothing more is wanted. */
function awaitRoom(state: Int32Array): boolean {
  for (;;) {
    if (Atomics.load(state, aheadState.isStopped) !== 0) return false;
    const taken = Atomics.load(state, aheadState.taken);
    const underWay = (Atomics.load(state, aheadState.sent) - taken) | 0;
    if (underWay < sizeMax) return true;
    Atomics.wait(state, aheadState.taken, taken);
  }
}

function end({ state, port }: AheadRequest): void {
  Atomics.store(state, aheadState.hasEnded, 1);
  Atomics.add(state, aheadState.sent, 1);
  Atomics.notify(state, aheadState.sent);
  port.close();
}
