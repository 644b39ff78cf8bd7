import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/** A loopback TCP proxy in front of Postgres, or of anything else, whose line a test can damage. */
export interface TcpProxy extends AsyncDisposable {
  host: string;
  port: number;
  /** `url` with this proxy's host and port. */
  through(url: string): string;
  /** How many connections are open. */
  readonly open: number;
  /** Resets every open connection, as a failing network or a failing-over database does. New ones are welcome. */
  cut(): void;
  /** Resets a connection once this many bytes have come from the server, on the next connection that gets so far. */
  cutAfter(bytes: number): void;
  /** Stops carrying bytes either way, without closing; also on new connections. The peers see silence. */
  stall(): void;
  /** Carries on after `stall`; nothing was lost. */
  resume(): void;
  /** Ends the server-to-client direction in an orderly way (FIN); the client can still write. */
  halfClose(): void;
  /** Refuses new connections, or welcomes them again. */
  refuse(refusing: boolean): void;
}

export async function startTcpProxy(target: string | { host: string; port: number }): Promise<TcpProxy> {
  const { host, port } = typeof target === 'string' ? addressOf(target) : target;
  const pairs = new Set<{ near: Socket; far: Socket }>();
  let stalled = false;
  let refusing = false;
  let allowance = Number.POSITIVE_INFINITY;

  // allowHalfOpen: an end on one side must reach the other side as an end, no more.
  const server = createServer({ allowHalfOpen: true }, (near) => {
    if (refusing) return void near.resetAndDestroy();
    const far = connect({ host, port, allowHalfOpen: true });
    const pair = { near, far };
    pairs.add(pair);
    const gone = () => {
      pairs.delete(pair);
      near.destroy();
      far.destroy();
    };
    let received = 0;
    const limit = allowance;
    carry(near, far);
    far.on('data', (chunk: Buffer) => {
      received += chunk.length;
      if (received < limit) return;
      if (allowance === limit) allowance = Number.POSITIVE_INFINITY;
      near.resetAndDestroy();
      far.resetAndDestroy();
    });
    carry(far, near);
    for (const socket of [near, far]) {
      socket.setNoDelay(true);
      socket.on('error', gone);
      socket.on('close', gone);
      if (stalled) socket.pause();
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const own = (server.address() as AddressInfo).port;

  /** Not `pipe`: a stalled line must stay silent although its far end drains. */
  function carry(from: Socket, to: Socket): void {
    from.on('data', (chunk: Buffer) => {
      if (to.destroyed || to.writableEnded) return;
      if (!to.write(chunk)) from.pause();
    });
    to.on('drain', () => {
      if (!stalled) from.resume();
    });
    from.on('end', () => to.end());
  }

  function each(act: (socket: Socket) => void): void {
    for (const { near, far } of [...pairs]) for (const socket of [near, far]) act(socket);
  }

  return {
    host: '127.0.0.1',
    port: own,
    through(url) {
      const changed = new URL(url);
      changed.hostname = '127.0.0.1';
      changed.port = String(own);
      return changed.href;
    },
    get open() {
      return pairs.size;
    },
    cut: () => each((socket) => socket.resetAndDestroy()),
    cutAfter(bytes) {
      allowance = bytes;
    },
    stall() {
      stalled = true;
      each((socket) => socket.pause());
    },
    resume() {
      stalled = false;
      each((socket) => socket.resume());
    },
    halfClose() {
      for (const { near } of pairs) near.end();
    },
    refuse(value) {
      refusing = value;
    },
    async [Symbol.asyncDispose]() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      each((socket) => socket.destroy());
      await closed;
    },
  };
}

function addressOf(url: string): { host: string; port: number } {
  const { hostname, port, protocol } = new URL(url);
  return { host: hostname, port: Number(port) || (protocol.startsWith('postgres') ? 5432 : 80) };
}
