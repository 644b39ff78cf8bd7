import { spawn } from 'node:child_process';
import { MillraceError } from '@millrace/core';

/** Seconds that `psql COPY (FORMAT binary) | psql COPY` takes from `source` to `target`. The rows are counted by the caller. */
export async function psqlPipe(url: string, source: string, target: string): Promise<number> {
  const started = performance.now();
  await shell(
    'set -o pipefail; psql -qXd "$URL" -c "copy $SOURCE to stdout (format binary)" | psql -qXd "$URL" -c "copy $TARGET from stdin (format binary)"',
    {
      URL: url,
      SOURCE: source,
      TARGET: target,
    },
  );
  return (performance.now() - started) / 1000;
}

async function shell(script: string, variables: Readonly<Record<string, string>>): Promise<void> {
  const child = spawn('bash', ['-c', script], { env: { ...process.env, ...variables }, stdio: ['ignore', 'ignore', 'pipe'] });
  let complaint = '';
  child.stderr.on('data', (chunk) => {
    complaint += chunk;
  });
  const code = await new Promise<number | null>((resolve, reject) => child.on('error', reject).on('close', resolve));
  if (code === 0) return;
  throw new MillraceError('CONFIG_INVALID', {
    message: `The peer of this bench failed: ${complaint.trim()}`,
    remedy: 'It needs bash and psql (the package postgresql-client).',
  });
}
