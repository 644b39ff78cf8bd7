/** What the server says in an ERR packet. */
export class ServerRefusal extends Error {
  readonly errno: number;
  readonly sqlState: string;

  constructor(errno: number, sqlState: string, message: string) {
    super(message);
    this.name = 'ServerRefusal';
    this.errno = errno;
    this.sqlState = sqlState;
  }
}

/** The connection ended, or what came over it makes no sense. */
export class WireFailure extends Error {
  readonly code: string;

  constructor(code: 'ended' | 'corrupt', message: string) {
    super(message);
    this.name = 'WireFailure';
    this.code = code;
  }
}

export const corrupt = (why: string): WireFailure => new WireFailure('corrupt', `The server's answer cannot be read: ${why}.`);
