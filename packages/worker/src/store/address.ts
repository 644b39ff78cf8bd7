import type { ClientConfig } from 'pg';

/** Where the state database is: a URL that says everything, or one whose login changes while this process lives. */
export type StateAddress = string | StateLogin;

export interface StateLogin {
  /** Without a password: for messages. */
  readonly url: string;
  /** What each client is made with. `password` is a function that is asked for each new connection. */
  readonly client: Pick<ClientConfig, 'host' | 'port' | 'user' | 'database' | 'password' | 'ssl'>;
  /** The server has refused what `password` answered: looks it up anew. Answers whether there is another one now. */
  refused(): Promise<boolean>;
}

export const urlOf = (address: StateAddress): string => (typeof address === 'string' ? address : address.url);

export const clientOf = (address: StateAddress): ClientConfig =>
  typeof address === 'string' ? { connectionString: address } : { ...address.client };

/** Once more with the new password, where the old one was changed and is refused. */
export async function loggedIn<T>(address: StateAddress, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (typeof address === 'string' || !isLoginRefused(error) || !(await address.refused())) throw error;
    return work();
  }
}

/** SQLSTATE 28000 and 28P01. */
const isLoginRefused = (error: unknown): boolean => /^28/.test(String((error as { code?: unknown }).code));
