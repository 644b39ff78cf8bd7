import { statfsSync } from 'node:fs';

/**
 * For a laptop that runs pipelines: little memory, logical replication, nothing lost in a crash. Given on the command line at each
 * start, so a newer Millrace changes them for old data too.
 */
const local: Readonly<Record<string, string>> = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  max_connections: '200',
  max_replication_slots: '20',
  max_wal_senders: '20',
  wal_level: 'logical',
  // Commits wait for the disk: a claim or a checkpoint that a crash takes back would be a stage run twice.
  fsync: 'on',
  synchronous_commit: 'on',
  shared_buffers: '128MB',
  maintenance_work_mem: '64MB',
  min_wal_size: '80MB',
  max_wal_size: '1GB',
  checkpoint_timeout: '15min',
  jit: 'off',
  timezone: 'UTC',
  log_timezone: 'UTC',
  log_line_prefix: '%m [%p] ',
  // Statements and the details of errors hold values of the user's tables, and passwords of CREATE ROLE.
  log_statement: 'none',
  log_min_error_statement: 'panic',
  log_error_verbosity: 'terse',
  log_checkpoints: 'off',
};

export function serverOptions(settings: Readonly<Record<string, string>>): string[] {
  const all = { ...local, ...sharedMemory(), ...settings };
  return Object.entries(all).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
}

/** Containers often have 64 MB of /dev/shm, too little for one parallel index build. */
function sharedMemory(): Record<string, string> {
  if (process.platform !== 'linux') return {};
  try {
    const shm = statfsSync('/dev/shm');
    return shm.bavail * shm.bsize < 256 * 2 ** 20 ? { dynamic_shared_memory_type: 'mmap' } : {};
  } catch {
    return { dynamic_shared_memory_type: 'mmap' };
  }
}
