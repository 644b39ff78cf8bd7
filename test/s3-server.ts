import { spawn } from 'node:child_process';
import { mkdirSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { findMoto } from '../scripts/moto.mjs';
import { freePort } from './free-port.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** The address of the one moto server that all S3 tests share; they reach it through a proxy (`s3-proxy.ts`). */
    s3: string;
  }
}

/** Starts moto for the whole run. It stops with this process, however this process ends. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const moto = findMoto();
  if ('missing' in moto) throw new Error(moto.missing);
  const folder = join(project.config.root, '.millrace', 'test');
  mkdirSync(folder, { recursive: true });
  const log = join(folder, 'moto.log');
  const output = openSync(log, 'w');
  const port = await freePort();
  const server = spawn(
    'sh',
    [
      '-c',
      '"$@" </dev/null & server=$!; cat >/dev/null; kill $server; wait $server',
      'sh',
      moto.command,
      '-H',
      '127.0.0.1',
      '-p',
      String(port),
    ],
    { stdio: ['pipe', output, output], detached: true },
  );
  const stopped = new Promise<void>((resolve) => server.once('exit', () => resolve()));
  const address = `http://127.0.0.1:${port}`;
  await answering(address, log);
  project.provide('s3', address);
  return async () => {
    server.stdin?.end();
    await stopped;
  };
}

async function answering(address: string, log: string): Promise<void> {
  const deadline = Date.now() + 60_000;
  for (;;) {
    try {
      await fetch(`${address}/moto-api/`);
      return;
    } catch (error) {
      if (Date.now() > deadline) throw new Error(`moto did not answer within 60 s: ${readFileSync(log, 'utf8')}`, { cause: error });
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}
