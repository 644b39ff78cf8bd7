import { createSocket } from 'node:dgram';
import { once } from 'node:events';

export interface DnsServer extends AsyncDisposable {
  /** As `dns.setServers` takes it. */
  readonly address: string;
  readonly asked: readonly string[];
}

/** A server of names that knows these aliases and nothing else. https://www.rfc-editor.org/rfc/rfc1035#section-4 */
export async function dnsServer(aliases: Readonly<Record<string, string>>): Promise<DnsServer> {
  const asked: string[] = [];
  const socket = createSocket('udp4');
  socket.on('message', (question, from) => {
    const labels: string[] = [];
    let at = 12;
    for (let length = question[at] ?? 0; length > 0; length = question[at] ?? 0) {
      labels.push(question.toString('latin1', at + 1, at + 1 + length));
      at += 1 + length;
    }
    const name = labels.join('.');
    asked.push(name);
    const alias = aliases[name];
    const end = at + 5;
    // A response, with authority; an answer or "no such name".
    const head = Buffer.from([...question.subarray(0, 2), 0x85, alias ? 0x80 : 0x83, 0, 1, 0, alias ? 1 : 0, 0, 0, 0, 0]);
    const data = encoded(alias ?? '');
    // The name of the question, CNAME, IN, for a second.
    const answer = Buffer.concat([Buffer.from([0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 1, 0, data.length]), data]);
    socket.send(Buffer.concat([head, question.subarray(12, end), ...(alias ? [answer] : [])]), from.port, from.address);
  });
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  return {
    address: `127.0.0.1:${socket.address().port}`,
    asked,
    async [Symbol.asyncDispose]() {
      socket.close();
      await once(socket, 'close');
    },
  };
}

const encoded = (name: string): Buffer =>
  Buffer.concat([
    ...name.split('.').map((label) => Buffer.concat([Buffer.from([label.length]), Buffer.from(label, 'latin1')])),
    Buffer.from([0]),
  ]);
