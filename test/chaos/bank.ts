import type { Random } from './random.ts';

/** The server that a bank is kept by, whichever it is. */
export interface BankServer extends AsyncDisposable {
  readonly engine: 'postgres' | 'mariadb';
  /** A new bank, as it is on its first day. */
  bank(): Promise<Bank>;
  /** It crashes, and comes back. */
  crash(): Promise<void>;
}

export interface Bank extends AsyncDisposable {
  readonly url: string;
  /** Customers, until they are told to stop; they come again whenever the server has gone away under them. */
  load(dice: Random): { start(): void; stop(): Promise<void> };
  /** Ends the session that sends the log, or all sessions of whoever follows. */
  end(which: 'log' | 'followers'): Promise<void>;
  /** A transaction that is large enough to be sent while it is open, where there is such a thing. */
  large(): Promise<void>;
  /** The log goes on in another file, and those are taken away that hold nothing but what was released; where nothing keeps them. */
  rotate?(): Promise<void>;
  /** The rows of a table, each as one text that is the same in the mirror: see `linesSql`. */
  lines(table: string): Promise<string[]>;
  /** Sessions and what else somebody wants to know where an attempt is stuck. */
  whatGoesOn(): Promise<string>;
}
