import { writeFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import type { MariaDbServer } from '../../../test/mariadb-server.ts';

/** A server that passes for an Aurora: it says so, and reads files from S3. */
export interface Aurora extends AsyncDisposable {
  /** `url` of the server behind it, by way of it. */
  through(url: string): string;
  /** The files that it was told to read, and how many rows of text they had. */
  readonly read: { readonly place: string; readonly lines: number }[];
}

const comQuery = 3;

/**
 * Statements on their way to `server`: `LOAD DATA FROM S3 FILE` becomes `LOAD DATA INFILE`, with what `fetched` answers for its place in the
 * file; where that is null, S3 has refused. Everything else is passed on as it is. The connection must not be encrypted.
 */
export async function auroraBefore(server: MariaDbServer, fetched: (place: string) => Promise<Buffer | null>): Promise<Aurora> {
  const read: { place: string; lines: number }[] = [];
  const sockets = new Set<Socket>();

  async function answered(text: string, near: Socket): Promise<string | null> {
    if (text === "SHOW VARIABLES LIKE 'aurora_version'") return "SELECT 'aurora_version' AS Variable_name, '3.08.0' AS Value";
    const place = /^LOAD DATA FROM S3 FILE '([^']+)'/.exec(text)?.[1];
    if (place === undefined) return text;
    const body = await fetched(place);
    if (!body) {
      near.write(refusal(63985, 'S3 API returned error: Both aurora_load_from_s3_role and aws_default_s3_role are not specified'));
      return null;
    }
    read.push({ place, lines: body.filter((byte) => byte === 10).length });
    const path = join(server.data, `from-s3-${read.length}`);
    writeFileSync(path, body, { mode: 0o644 });
    return text.replace(/^LOAD DATA FROM S3 FILE '[^']+'/, `LOAD DATA INFILE '${path}'`);
  }

  const listener = createServer((near) => {
    const far = connect(server.port, '127.0.0.1');
    for (const socket of [near, far]) {
      sockets.add(socket.on('error', () => {}));
      socket.on('close', () => {
        near.destroy();
        far.destroy();
      });
    }
    far.pipe(near);
    let left = Buffer.alloc(0);
    let turn = Promise.resolve();
    const passOn = async (chunk: Buffer): Promise<void> => {
      left = Buffer.concat([left, chunk]);
      while (left.length >= 4 && left.length >= 4 + left.readUIntLE(0, 3)) {
        const packet = left.subarray(0, 4 + left.readUIntLE(0, 3));
        left = left.subarray(packet.length);
        const isStatement = packet[3] === 0 && packet[4] === comQuery;
        const text = isStatement ? await answered(packet.toString('utf8', 5), near) : null;
        if (text !== null) far.write(framed(0, Buffer.concat([Buffer.from([comQuery]), Buffer.from(text)])));
        else if (!isStatement) far.write(packet);
      }
    };
    near.on('data', (chunk: Buffer) => {
      turn = turn.then(() => passOn(chunk));
    });
  });
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
  const { port } = listener.address() as AddressInfo;
  return {
    read,
    through: (url) => url.replace(`:${server.port}`, `:${port}`),
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => listener.close(resolve));
    },
  };
}

function framed(sequence: number, payload: Buffer): Buffer {
  const header = Buffer.alloc(4);
  header.writeUIntLE(payload.length, 0, 3);
  header[3] = sequence;
  return Buffer.concat([header, payload]);
}

function refusal(errno: number, message: string): Buffer {
  const head = Buffer.from([0xff, errno & 0xff, errno >> 8]);
  return framed(1, Buffer.concat([head, Buffer.from(`#HY000${message}`)]));
}
