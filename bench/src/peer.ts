import { spawn } from 'node:child_process';
import { MillraceError } from '@millrace/core';

/** Seconds that `psql COPY (FORMAT binary) | psql COPY` takes from `source` to `target`. The rows are counted by the caller. */
export async function psqlPipe(url: string, source: string, target: string, to = url): Promise<number> {
  const started = performance.now();
  await shell(
    'set -o pipefail; psql -qXd "$URL" -c "copy $SOURCE to stdout (format binary)" | psql -qXd "$TO" -c "copy $TARGET from stdin (format binary)"',
    {
      URL: url,
      TO: to,
      SOURCE: source,
      TARGET: target,
    },
  );
  return (performance.now() - started) / 1000;
}

/** Seconds that `pg_dump -Fc | pg_restore` takes for a table, its key included, into an empty database. */
export async function dumpRestore(url: string, table: string, to: string): Promise<number> {
  const started = performance.now();
  await shell('set -o pipefail; pg_dump -Fc -t "$TABLE" "$URL" | pg_restore --no-owner -d "$TO"', { URL: url, TO: to, TABLE: table });
  return (performance.now() - started) / 1000;
}

/** Seconds that pg_recvlogical takes to read all changes of a slot up to `end`, which it throws away. */
export async function receiveLogical(url: string, slot: string, publication: string, end: string): Promise<number> {
  const started = performance.now();
  await shell(
    'pg_recvlogical -d "$URL" --slot "$SLOT" --start --no-loop --endpos "$END" -o proto_version=1 -o publication_names="$PUBLICATION" -o binary=true -f /dev/null',
    { URL: url, SLOT: slot, PUBLICATION: publication, END: end },
  );
  return (performance.now() - started) / 1000;
}

/** Runs a script of bash; `variables` are those of its environment. */
export async function shell(script: string, variables: Readonly<Record<string, string>>): Promise<void> {
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
