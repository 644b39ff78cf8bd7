// A Redis for tests: Debian's. Found on PATH, or unpacked under .millrace/redis, so that nothing on the machine changes.
import { fileURLToPath } from 'node:url';
import { findUnpacked, onPath, unpack } from './debian.mjs';

const program = {
  title: 'Redis',
  folder: 'redis',
  packages: ['redis-server', 'redis-tools'],
  dependingPackages: ['redis-tools'],
  command: 'usr/bin/redis-server',
  version: ['--version'],
};

/** @typedef {import('./debian.mjs').Unpacked} Redis */

/** @returns {Redis | { missing: string }} */
export function findRedis() {
  if (process.env.MILLRACE_TEST_REDIS === 'off') return { missing: 'MILLRACE_TEST_REDIS is "off"' };
  const unpacked = findUnpacked(program);
  if (unpacked) return unpacked;
  const command = onPath(['redis-server', 'valkey-server']);
  return command
    ? { command, libraries: process.env.LD_LIBRARY_PATH ?? '' }
    : { missing: 'no Redis: redis-server is not on PATH, nor under .millrace/redis ("node scripts/redis.mjs" puts it there)' };
}

/**
 * Finds a Redis, or unpacks Debian's where apt is there. Never fails: tests of Redis are left out, and the reason is printed.
 * @returns {Redis | { missing: string }}
 */
export function provideRedis() {
  const found = findRedis();
  if ('command' in found || process.env.MILLRACE_TEST_REDIS === 'off') return found;
  return unpack(program) ?? findRedis();
}

if (process.argv[1] === fileURLToPath(import.meta.url)) console.log(provideRedis());
