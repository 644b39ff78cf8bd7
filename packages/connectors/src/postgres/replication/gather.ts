/** Parts of Node's sockets, plain and TLS, that its types leave out. Where they are missing, nothing is gathered. */
export interface GatheringSocket {
  readonly destroyed: boolean;
  readonly _handle?: { readonly reading?: boolean; readStart?(): unknown; readStop?(): unknown } | null;
}

const restMs = 1;
/** A pause of the sender that is longer than this ends a burst. */
const quietMs = 5;
const burstReads = 8;
const smallBytes = 32 * 1024;

/**
 * A walsender sends each message by itself, and Node reads whatever is there as soon as it is there: 700 thousand changes come in 150 to
 * 300 thousand reads, which cost three times what parsing them does. So within a burst of small reads the socket rests for a millisecond
 * after each, and the kernel gathers meanwhile: 4 thousand reads. Single transactions are not held up, for a burst begins with its ninth.
 *
 * `pause()` of the stream would not do: it goes on reading small pieces until its own buffer is full.
 */
export function gathering(socket: GatheringSocket): (bytes: number, now: number) => void {
  let reads = 0;
  let last = 0;
  let resting = false;
  return function afterRead(bytes, now) {
    reads = now - last > quietMs ? 0 : reads + 1;
    last = now;
    const handle = socket._handle;
    if (reads < burstReads || bytes >= smallBytes || resting || !handle?.readStart || !handle.readStop) return;
    resting = true;
    handle.readStop();
    setTimeout(() => {
      resting = false;
      // Also where the stream is paused: it believes that the handle reads, and stops it by itself. Where it has stopped it meanwhile, its
      // buffer full, it starts it again, and takes one that reads already for broken (EALREADY).
      if (socket._handle === handle && !socket.destroyed && handle.reading !== false) handle.readStart?.();
    }, restMs);
  };
}
