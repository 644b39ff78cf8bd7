import { connect, type Socket } from 'node:net';
import { createInterface } from 'node:readline';

/*
 * How clients and the supervisor of one directory talk: loopback TCP, one JSON object a line. The client says hello with the token
 * from the lock file (only the owner of the directory can read it); the supervisor answers with its status and with each later one.
 * A client says nothing more. Its connection is its claim on the server: the kernel closes it however the client ends.
 */

export interface Hello {
  readonly token: string;
  /** A probe only wants to know whether the supervisor lives; it does not keep the server up. */
  readonly as: 'client' | 'probe';
  /** Since when it waits, in ms: who comes only after a start has failed is to try one of its own. */
  readonly since: number;
}

export type Status =
  | { readonly at: 'starting' }
  | { readonly at: 'ready'; readonly port: number }
  | { readonly at: 'failed'; readonly why: Refusal }
  | { readonly at: 'lost'; readonly why: Refusal }
  | { readonly at: 'stopping' };

/** A failure on its way from the supervisor to the clients, where it becomes a MillraceError. Holds no secret. */
export interface Refusal {
  readonly message: string;
  readonly remedy: string;
  readonly facts: Readonly<Record<string, unknown>>;
}

/** The exit code of a supervisor that finds another one at work. */
export const heldByAnother = 3;

export function refusal(message: string, remedy: string, facts: Record<string, unknown> = {}): Error & Refusal {
  return Object.assign(new Error(message), { remedy, facts });
}

export function asRefusal(error: unknown): Refusal {
  if (error instanceof Error && 'remedy' in error && 'facts' in error) {
    return { message: error.message, remedy: String(error.remedy), facts: error.facts as Refusal['facts'] };
  }
  const code = (error as NodeJS.ErrnoException).code;
  return {
    message: error instanceof Error ? error.message : String(error),
    remedy:
      code === 'EACCES' || code === 'EPERM'
        ? 'Give this user the directory back (sudo chown -R), or set MILLRACE_STATE_URL to a Postgres database.'
        : 'Set MILLRACE_STATE_URL to a Postgres database, or move the directory away to start with an empty one.',
    facts: code === undefined ? {} : { code },
  };
}

export interface Line {
  readonly socket: Socket;
  readonly statuses: AsyncIterator<Status>;
}

/** Answers undefined where nobody listens: that supervisor is gone. */
export function dial(to: { port: number; token: string }, as: Hello['as'], since = Date.now()): Promise<Line | undefined> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port: to.port });
    socket.once('error', (error: NodeJS.ErrnoException) => (error.code === 'ECONNREFUSED' ? resolve(undefined) : reject(error)));
    socket.once('connect', () => {
      socket.removeAllListeners('error');
      socket.on('error', () => {}); // the end of the lines says it
      say(socket, { token: to.token, as, since } satisfies Hello);
      resolve({ socket, statuses: heard<Status>(socket) });
    });
  });
}

export function say(socket: Socket, message: Hello | Status): void {
  if (socket.writable) socket.write(`${JSON.stringify(message)}\n`);
}

/** The lines of a socket, until it closes or says something that is not ours. */
export async function* heard<Message>(socket: Socket): AsyncGenerator<Message, void, undefined> {
  if (socket.destroyed) return; // lines that are closed before they are read never end
  const lines = createInterface({ input: socket });
  socket.once('close', () => lines.close()); // one that we destroy ourselves has no end that the lines would hear of
  try {
    for await (const line of lines) {
      const message = parse(line);
      if (message === undefined) return;
      yield message as Message;
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).syscall === undefined) throw error;
    // a reset connection is a closed one
  }
}

function parse(line: string): unknown {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null ? value : undefined;
  } catch {
    return undefined;
  }
}
