import { logicalServer, type ServerOptions } from './logical-server.ts';

/** `node --import tsx test/serve-postgres.ts '{"version":14}'`: a server for another process, its address on standard output, until that ends. */
const server = await logicalServer(JSON.parse(process.argv[2] ?? '{}') as ServerOptions);
process.stdout.write(`${server.url}\n`);
process.stdin.resume().on('end', () => void server[Symbol.asyncDispose]().then(() => process.exit(0)));
