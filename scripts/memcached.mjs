// A Memcached for tests: Debian's. Found on PATH, or unpacked under .millrace/memcached, so that nothing on the machine changes.
import { fileURLToPath } from 'node:url';
import { findUnpacked, onPath, unpack } from './debian.mjs';

const program = {
  title: 'Memcached',
  folder: 'memcached',
  packages: ['memcached'],
  dependingPackages: ['memcached'],
  command: 'usr/bin/memcached',
  version: ['-V'],
};

/** @returns {import('./debian.mjs').Unpacked | { missing: string }} */
export function findMemcached() {
  if (process.env.MILLRACE_TEST_MEMCACHED === 'off') return { missing: 'MILLRACE_TEST_MEMCACHED is "off"' };
  const unpacked = findUnpacked(program);
  if (unpacked) return unpacked;
  const command = onPath(['memcached']);
  return command
    ? { command, libraries: process.env.LD_LIBRARY_PATH ?? '' }
    : { missing: 'no Memcached: it is not on PATH, nor under .millrace/memcached ("node scripts/memcached.mjs" puts it there)' };
}

/**
 * Finds Memcached, or unpacks Debian's where apt is there. Never fails: tests of Memcached are left out, and the reason is printed.
 * @returns {import('./debian.mjs').Unpacked | { missing: string }}
 */
export function provideMemcached() {
  const found = findMemcached();
  if ('command' in found || process.env.MILLRACE_TEST_MEMCACHED === 'off') return found;
  return unpack(program) ?? findMemcached();
}

if (process.argv[1] === fileURLToPath(import.meta.url)) console.log(provideMemcached());
