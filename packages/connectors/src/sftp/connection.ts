import {
  type Connection,
  type Context,
  describeSetting,
  type Finding,
  isMillraceError,
  MillraceError,
  type Setting,
} from '@millrace/core/runtime';
import { type FileReaders, fileReaders } from '../s3/file-readers.ts';
import type { FileReader } from '../s3/storage.ts';
import { parsePlace } from './place.ts';
import { type Login, SftpSession } from './session.ts';
import { sftpStorage } from './sftp-storage.ts';

export interface SftpOptions {
  /** `sftp://user@host:22/directory`; `/~/directory` is under the user's home. */
  readonly url: Setting;
  /** The key of the host, by which it is known: `SHA256:…`, as `ssh-keygen -l` prints it, or `ssh-ed25519 AAAA…`. Several while it changes. */
  readonly hostKey: Setting | readonly Setting[];
  readonly password?: Setting;
  /** A private key, in the form of OpenSSH or PEM. */
  readonly privateKey?: Setting;
  /** Of the private key. */
  readonly passphrase?: Setting;
  /** Stages that may read from it at once, in the whole fleet. */
  readonly maxConnections?: number;
}

/** Files on an SFTP server, to be read: `extract(inbox.csv('orders/*.csv.gz', orders))`. */
export interface SftpConnection extends Connection, FileReaders {}

/** `sftp({ url: secret('INBOX_URL'), hostKey: 'SHA256:…', privateKey: secret('INBOX_KEY') })`. @throws PIPELINE_INVALID without a key of the host */
export function sftp(options: SftpOptions): SftpConnection {
  const { url, hostKey, maxConnections } = options;
  if (hostKey === undefined || (Array.isArray(hostKey) && hostKey.length === 0)) {
    throw new MillraceError('PIPELINE_INVALID', {
      message: 'sftp() needs hostKey: without it nobody knows whether the server is the one that was meant.',
      remedy: 'Write its fingerprint, hostKey: "SHA256:…"; "ssh-keyscan <host> | ssh-keygen -lf -" shows what it presents.',
    });
  }
  const label = describeSetting(url);
  const connection: Connection = {
    kind: 'connection',
    connector: 'sftp',
    label,
    ...(maxConnections !== undefined && { maxConnections }),
    examine: (context) => examine(options, label, context),
  };
  return Object.freeze({
    ...connection,
    ...fileReaders({ connection, open: async (context, reading) => ({ storage: await openPlace(options, context), reading }) }),
  });
}

async function openPlace(options: SftpOptions, context: Context): Promise<FileReader> {
  const value = async (setting: Setting): Promise<string> => (typeof setting === 'string' ? setting : context.secret(setting));
  const optional = async (setting: Setting | undefined): Promise<string | null> => (setting === undefined ? null : value(setting));
  const place = parsePlace(await value(options.url));
  const hostKeys = [options.hostKey].flat() as readonly Setting[];
  const login: Login = {
    password: (await optional(options.password)) ?? place.password,
    privateKey: await optional(options.privateKey),
    passphrase: await optional(options.passphrase),
    hostKeys: await Promise.all(hostKeys.map(value)),
  };
  return sftpStorage(await SftpSession.open(place, login, context), place, context);
}

async function examine(options: SftpOptions, subject: string, context: Context): Promise<Finding[]> {
  try {
    await using storage = await openPlace(options, context);
    for await (const _ of storage.list('')) break;
    return [{ subject, level: 'ok', message: 'the server is the one that was named, takes the log-in and lists the directory' }];
  } catch (error) {
    if (!isMillraceError(error)) throw error;
    return [{ subject, level: 'problem', message: error.message, remedy: error.remedy, error }];
  }
}
