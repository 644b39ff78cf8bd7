import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { closeSync, constants, fstatSync, lstatSync, openSync, readdirSync, readSync, type Stats, statSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { join, normalize } from 'node:path';
import ssh2, { type Attributes, type Connection, type SFTPWrapper } from 'ssh2';

export interface SftpServer extends AsyncDisposable {
  readonly port: number;
  /** Fingerprint of its host key. */
  readonly fingerprint: string;
  readonly hostKey: string;
  /** From now on. */
  readonly faults: {
    /** Reads give at most so many bytes. */
    shortReads?: number;
    /** Reads, in all, after which the connection is cut, once. */
    cutAfter?: number;
    /** Directories that do not end. */
    endless?: boolean;
    /** No answer to any read. */
    silent?: boolean;
  };
  /** The most reads that waited for an answer at once. */
  readonly mostAtOnce: number;
}

export interface SftpServerOptions {
  readonly directory: string;
  readonly user?: string;
  readonly password?: string;
  /** Public key of the user, as a line. */
  readonly publicKey?: string;
  /** Asks for the password as for any other thing, as PAM does. */
  readonly interactive?: boolean;
}

const { OPEN_MODE, STATUS_CODE } = ssh2.utils.sftp;

/** Of those that the library makes one in some hundreds cannot be read. */
export function ed25519Keys(): ReturnType<typeof ssh2.utils.generateKeyPairSync> {
  for (;;) {
    const keys = ssh2.utils.generateKeyPairSync('ed25519');
    if (![keys.private, keys.public].some((key) => ssh2.utils.parseKey(key) instanceof Error)) return keys;
  }
}

/** An SFTP server in this process, over the files of a directory; nothing can be written. */
export async function sftpServer(options: SftpServerOptions): Promise<SftpServer> {
  const { directory, user = 'anna', password, publicKey, interactive = false } = options;
  const keys = ed25519Keys();
  const faults: SftpServer['faults'] = {};
  const state = { now: 0, most: 0, reads: 0 };
  const connections = new Set<Connection>();

  const server = new ssh2.Server({ hostKeys: [keys.private] }, (client) => {
    connections.add(client);
    // Which the types do not know.
    (client as Connection & { setNoDelay(on: boolean): void }).setNoDelay(true);
    client.on('error', () => {});
    client.on('close', () => connections.delete(client));
    client.on('authentication', (context) => {
      const mine = context.username === user;
      if (mine && !interactive && context.method === 'password' && password !== undefined && context.password === password)
        return context.accept();
      if (mine && interactive && context.method === 'keyboard-interactive')
        return context.prompt([{ prompt: 'Password: ', echo: false }], (answers) =>
          answers[0] === password ? context.accept() : context.reject(),
        );
      if (mine && context.method === 'publickey' && publicKey !== undefined) {
        const known = ssh2.utils.parseKey(publicKey);
        if (!(known instanceof Error) && Buffer.from(context.key.data).equals(known.getPublicSSH())) {
          if (!context.signature || !context.blob || known.verify(context.blob, context.signature, context.hashAlgo) === true)
            return context.accept();
        }
      }
      context.reject(interactive ? ['keyboard-interactive'] : ['password', 'publickey']);
    });
    client.on('session', (accept) => {
      accept().on('sftp', (open) => serve(open(), client));
    });
  });

  function serve(sftp: SFTPWrapper, client: Connection): void {
    const open = new Map<number, number>();
    const lists = new Map<number, string | null>();
    let handles = 0;
    const pathOf = (path: string): string => join(directory, normalize(join('/', path)));
    const answering = (id: number, work: () => void): void => {
      try {
        work();
      } catch (error) {
        const { code } = error as NodeJS.ErrnoException;
        const missing = code === 'ENOENT' || code === 'ENOTDIR';
        sftp.status(id, missing ? STATUS_CODE.NO_SUCH_FILE : code === 'EACCES' ? STATUS_CODE.PERMISSION_DENIED : STATUS_CODE.FAILURE);
      }
    };
    const handleOf = (): { handle: Buffer; number: number } => {
      const handle = Buffer.alloc(4);
      handle.writeUInt32BE(++handles);
      return { handle, number: handles };
    };
    sftp.on('OPEN', (id, path, flags) =>
      answering(id, () => {
        if (flags & (OPEN_MODE.WRITE | OPEN_MODE.APPEND)) return sftp.status(id, STATUS_CODE.PERMISSION_DENIED);
        const { handle, number } = handleOf();
        open.set(number, openSync(pathOf(path), constants.O_RDONLY));
        sftp.handle(id, handle);
      }),
    );
    sftp.on('READ', (id, handle, offset, length) => {
      state.reads++;
      state.most = Math.max(state.most, ++state.now);
      if (faults.silent) return;
      if (faults.cutAfter !== undefined && state.reads > faults.cutAfter) {
        delete faults.cutAfter;
        return void client.end();
      }
      // A little later, so that several wait.
      setImmediate(() =>
        answering(id, () => {
          state.now--;
          const buffer = Buffer.alloc(Math.min(length, faults.shortReads ?? length));
          const bytes = readSync(open.get(handle.readUInt32BE()) as number, buffer, 0, buffer.length, Number(offset));
          if (bytes === 0) sftp.status(id, STATUS_CODE.EOF);
          else sftp.data(id, buffer.subarray(0, bytes));
        }),
      );
    });
    sftp.on('FSTAT', (id, handle) =>
      answering(id, () => sftp.attrs(id, attributesOf(fstatSync(open.get(handle.readUInt32BE()) as number)))),
    );
    sftp.on('STAT', (id, path) => answering(id, () => sftp.attrs(id, attributesOf(statSync(pathOf(path))))));
    sftp.on('LSTAT', (id, path) => answering(id, () => sftp.attrs(id, attributesOf(lstatSync(pathOf(path))))));
    sftp.on('REALPATH', (id, path) => sftp.name(id, [{ filename: normalize(join('/', path)), longname: '', attrs: {} as Attributes }]));
    sftp.on('OPENDIR', (id, path) =>
      answering(id, () => {
        readdirSync(pathOf(path));
        const { handle, number } = handleOf();
        lists.set(number, path);
        sftp.handle(id, handle);
      }),
    );
    sftp.on('READDIR', (id, handle) =>
      answering(id, () => {
        const number = handle.readUInt32BE();
        const path = lists.get(number);
        if (faults.endless)
          return sftp.name(
            id,
            Array.from({ length: 1_000 }, () => ({ filename: 'x', longname: 'x', attrs: {} as Attributes })),
          );
        if (path === null || path === undefined) return sftp.status(id, STATUS_CODE.EOF);
        lists.set(number, null);
        const names = ['.', '..', ...readdirSync(pathOf(path))];
        sftp.name(
          id,
          names.map((filename) => ({ filename, longname: filename, attrs: attributesOf(lstatSync(join(pathOf(path), filename))) })),
        );
      }),
    );
    sftp.on('CLOSE', (id, handle) => {
      const file = open.get(handle.readUInt32BE());
      if (file !== undefined) closeSync(file);
      open.delete(handle.readUInt32BE());
      sftp.status(id, STATUS_CODE.OK);
    });
    client.on('close', () => {
      for (const file of open.values()) closeSync(file);
      open.clear();
    });
  }

  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const key = ssh2.utils.parseKey(keys.public);
  if (key instanceof Error) throw key;
  return {
    port: (server.address() as AddressInfo).port,
    fingerprint: `SHA256:${createHash('sha256').update(key.getPublicSSH()).digest('base64').replace(/=+$/, '')}`,
    hostKey: keys.public,
    faults,
    get mostAtOnce() {
      return state.most;
    },
    async [Symbol.asyncDispose]() {
      for (const connection of connections) connection.end();
      server.close();
      await once(server, 'close');
    },
  };
}

const attributesOf = ({ mode, uid, gid, size, atimeMs, mtimeMs }: Stats): Attributes => ({
  mode,
  uid,
  gid,
  size,
  atime: Math.floor(atimeMs / 1000),
  mtime: Math.floor(mtimeMs / 1000),
});
