import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { MillraceError } from '@millrace/core/runtime';
import { type ExitCode, exitCodes } from '../exit-code.ts';
import { declarations } from '../introspect/declarations.ts';
import { namedConnection } from '../project/connection.ts';
import type { Session } from '../session.ts';
import { counted } from '../text/amount.ts';

export async function introspect(
  session: Session,
  wanted: string,
  options: { readonly out?: string; readonly schema: readonly string[]; readonly table: readonly string[] },
): Promise<ExitCode> {
  const { terminal } = session;
  const connection = await namedConnection(session, wanted);
  const tables = await connection.introspect(await session.context(), {
    ...(options.schema.length > 0 ? { schemas: options.schema } : {}),
    ...(options.table.length > 0 ? { tables: options.table } : {}),
  });
  if (tables.length === 0) {
    throw new MillraceError('TABLE_MISSING', {
      message: `${connection.label} has no such table, or this user may not see it.`,
      remedy: 'Leave out --schema and --table to see all, or grant SELECT to this user.',
    });
  }
  const source = declarations(tables);
  terminal.emit({ connection: connection.label, tables, source, ...(options.out !== undefined && { file: options.out }) });
  if (options.out === undefined) terminal.print(source.trimEnd());
  else {
    const file = resolve(session.calledFrom, options.out);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, source);
    terminal.say(`Wrote ${counted(tables.length, 'table')} to ${options.out}.`);
  }
  return exitCodes.ok;
}
