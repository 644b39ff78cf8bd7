import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createConnection } from 'mysql2';

/**
 * What a careful program around the driver does: its stream of rows, as arrays of strings, each written as a line of COPY's text format
 * into psql. No objects, no numbers, no dates are made.
 */
export async function streamRows(from: string, table: string, to: string): Promise<number> {
  const connection = createConnection({ uri: from, dateStrings: true, supportBigNumbers: true, bigNumberStrings: true, rowsAsArray: true });
  const copy = spawn('psql', ['-qXd', to, '-c', 'copy lineitem_copy from stdin'], { stdio: ['pipe', 'ignore', 'inherit'] });
  let rows = 0;
  let lines = '';
  for await (const row of connection.query(`select * from ${table}`).stream({ highWaterMark: 1_000 })) {
    rows++;
    lines += `${(row as unknown[]).map((value) => (value === null ? '\\N' : escaped(String(value)))).join('\t')}\n`;
    if (lines.length < 65_536) continue;
    if (!copy.stdin.write(lines)) await once(copy.stdin, 'drain');
    lines = '';
  }
  copy.stdin.end(lines);
  const [code] = await once(copy, 'close');
  connection.destroy();
  if (code !== 0) throw new Error(`psql ended with ${code}`);
  return rows;
}

const escaped = (text: string): string => (/[\\\t\n\r]/.test(text) ? text.replace(/[\\\t\n\r]/g, (one) => `\\${escapes[one]}`) : text);
const escapes: Readonly<Record<string, string>> = { '\\': '\\', '\t': 't', '\n': 'n', '\r': 'r' };
