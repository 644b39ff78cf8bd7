import { createHash } from 'node:crypto';
import { type Context, MillraceError } from '@millrace/core/runtime';
import type { Client, ConnectConfig, SFTPWrapper } from 'ssh2';
import { lostFailure, opFailure } from './failure.ts';
import type { SftpPlace } from './place.ts';

export interface Login {
  readonly password: string | null;
  readonly privateKey: string | null;
  readonly passphrase: string | null;
  /** `SHA256:…`, or lines of `known_hosts` without the name: `ssh-ed25519 AAAA…`. */
  readonly hostKeys: readonly string[];
}

/** A server that answers nothing for so long has been lost. */
const silenceMs = 60_000;

type Answer<T> = (error: Error | null | undefined, value: T) => void;

/** One connection to an SFTP server. Every call of it ends: with its answer, or when the connection does, which the library leaves open. */
export class SftpSession implements AsyncDisposable {
  readonly #client: Client;
  readonly #sftp: SFTPWrapper;
  readonly #waiting = new Set<(error: unknown) => void>();
  readonly #place: SftpPlace;
  readonly #signal: AbortSignal;
  readonly #stop: () => void;
  #lost: unknown;

  private constructor(client: Client, sftp: SFTPWrapper, place: SftpPlace, signal: AbortSignal) {
    this.#client = client;
    this.#sftp = sftp;
    this.#place = place;
    this.#signal = signal;
    const lose = (error?: unknown) => this.#lose(lostFailure(error, place));
    client.on('error', lose);
    client.on('close', lose);
    sftp.on('close', lose);
    this.#stop = () => this.#lose(signal.reason);
    signal.addEventListener('abort', this.#stop, { once: true });
  }

  /** @throws CONFIG_INVALID, CERTIFICATE_REFUSED, AUTHENTICATION_FAILED, CONNECTION_FAILED */
  static async open(place: SftpPlace, login: Login, { signal }: Pick<Context, 'signal'>): Promise<SftpSession> {
    signal.throwIfAborted();
    const { Client } = await library();
    const client = new Client();
    const check = hostCheck(place, login.hostKeys);
    let stop = (): void => {};
    try {
      const sftp = await new Promise<SFTPWrapper>((resolve, reject) => {
        stop = () => reject(signal.reason);
        signal.addEventListener('abort', stop, { once: true });
        client.once('error', reject);
        client.once('close', () => reject(new Error('closed')));
        client.on('keyboard-interactive', (_name, _text, _language, prompts, answer) => answer(prompts.map(() => login.password ?? '')));
        client.once('ready', () => client.sftp((error, opened) => (error ? reject(error) : resolve(opened))));
        client.connect(settingsOf(place, login, check.verify));
        // Each request is a packet of its own, which is not to wait until the one before has been acknowledged.
        client.setNoDelay(true);
      });
      return new SftpSession(client, sftp, place, signal);
    } catch (error) {
      client.on('error', () => {});
      client.destroy();
      signal.throwIfAborted();
      throw check.refused() ?? lostFailure(error, place);
    } finally {
      signal.removeEventListener('abort', stop);
    }
  }

  /** `doing` is a phrase: `reading in/orders.csv`. @throws what the server said, or that the connection is lost */
  ask<T>(doing: string, call: (sftp: SFTPWrapper, answer: Answer<T>) => void): Promise<T> {
    if (this.#lost !== undefined) return Promise.reject(this.#lost);
    return new Promise<T>((resolve, reject) => {
      const silence = setTimeout(() => this.#lose(lostFailure(new Error(`silent for ${silenceMs / 1000} s`), this.#place)), silenceMs);
      const done = () => {
        clearTimeout(silence);
        this.#waiting.delete(fail);
      };
      const fail = (error: unknown) => {
        done();
        reject(error);
      };
      this.#waiting.add(fail);
      call(this.#sftp, (error, value) => {
        if (error) return fail(opFailure(error, doing, this.#place));
        done();
        resolve(value);
      });
    });
  }

  #lose(error: unknown): void {
    if (this.#lost !== undefined) return;
    this.#lost = error;
    for (const fail of [...this.#waiting]) fail(error);
    this.#client.destroy();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#signal.removeEventListener('abort', this.#stop);
    if (this.#lost !== undefined) return;
    this.#lost = lostFailure(new Error('it was closed here'), this.#place);
    this.#client.end();
  }
}

function settingsOf({ host, port, user }: SftpPlace, login: Login, hostVerifier: (key: Buffer) => boolean): ConnectConfig {
  return {
    host,
    port,
    username: user,
    hostVerifier,
    readyTimeout: 20_000,
    keepaliveInterval: 15_000,
    keepaliveCountMax: 3,
    ...(login.password !== null && { password: login.password, tryKeyboard: true }),
    ...(login.privateKey !== null && { privateKey: login.privateKey }),
    ...(login.passphrase !== null && { passphrase: login.passphrase }),
  };
}

/** Compares the key of the host with those that were named; an unknown one may be somebody in between. */
function hostCheck({ host }: SftpPlace, known: readonly string[]) {
  let seen: Buffer | null = null;
  return {
    verify: (key: Buffer): boolean => {
      seen = key;
      return known.some((one) => isKey(key, one));
    },
    refused: (): MillraceError | null => {
      if (seen === null || known.some((one) => isKey(seen as Buffer, one))) return null;
      const fingerprint = fingerprintOf(seen);
      return new MillraceError('CERTIFICATE_REFUSED', {
        message: `${host} has shown the host key ${fingerprint} (${typeOf(seen)}), and the connection ${known.length === 0 ? 'names none' : 'names another'}.`,
        remedy: `Ask whoever runs the server whether that is its key; then write hostKey: '${fingerprint}'.`,
        facts: { fingerprint },
      });
    },
  };
}

const fingerprintOf = (key: Buffer): string => `SHA256:${createHash('sha256').update(key).digest('base64').replace(/=+$/, '')}`;

function isKey(key: Buffer, known: string): boolean {
  const text = known.trim();
  if (text.startsWith('SHA256:')) return text.replace(/=+$/, '') === fingerprintOf(key);
  const encoded = text.split(/\s+/).find((part) => part.startsWith('AAAA'));
  return encoded !== undefined && Buffer.from(encoded, 'base64').equals(key);
}

/** A key begins with the length and the name of its type: RFC 4253, 6.6. */
const typeOf = (key: Buffer): string => key.subarray(4, 4 + key.readUInt32BE(0)).toString('latin1');

async function library(): Promise<typeof import('ssh2')> {
  try {
    const loaded = await import('ssh2');
    return loaded.default ?? loaded;
  } catch (cause) {
    throw new MillraceError('CONFIG_INVALID', {
      message: 'sftp:// needs the package ssh2, which is not installed.',
      remedy: 'Run "npm install ssh2".',
      cause,
    });
  }
}
