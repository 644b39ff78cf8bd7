import { type CaptureSource, type Connection, MillraceError, type RowOf, type Table } from '@millrace/core/runtime';
import { selectionOf } from '../selection.ts';
import { offers, type SourceSettings } from '../source.ts';
import { openChangeSource } from './change-source.ts';
import { examineCapture } from './examine.ts';
import { captureSettings, type MysqlCaptureOptions } from './options.ts';

/** Rows of each table, by its name in the pipeline. */
export type CapturedRows<Tables extends Readonly<Record<string, Table>>> = { readonly [Name in keyof Tables]: RowOf<Tables[Name]> };

/** The connection whose tables are captured. */
export interface CaptureHome {
  readonly connector: string;
  readonly label: string;
  readonly settings: SourceSettings;
  readonly connection: Connection;
}

/** @throws PIPELINE_INVALID */
export function captureSource<Tables extends Readonly<Record<string, Table>>>(
  { connector, label, settings, connection }: CaptureHome,
  tables: Tables,
  options: MysqlCaptureOptions = {},
): CaptureSource<CapturedRows<Tables>> {
  const capture = captureSettings(options);
  if (Object.keys(tables).length === 0) {
    throw new MillraceError('PIPELINE_INVALID', { message: 'capture() has no tables.', remedy: 'Name one table at least.' });
  }
  for (const name of capture.wholeRows) {
    if (Object.hasOwn(tables, name)) continue;
    throw new MillraceError('PIPELINE_INVALID', {
      message: `capture(): wholeRows names "${name}", which is no table of it.`,
      remedy: `Its tables are ${Object.keys(tables).join(', ')}.`,
    });
  }
  const captured = Object.fromEntries(
    Object.entries(tables).map(([name, table]) => {
      const schema = { columns: table.columns, ...(table.key && { key: table.key }) };
      const selection = selectionOf({ connector, label, settings, connection }, { kind: 'relation', name: table.name }, schema);
      return [name, Object.freeze({ name: table.name, schema, selection })];
    }),
  );
  return Object.freeze({
    kind: 'capture-source',
    description: {
      connector,
      connection: label,
      options: {
        ...(capture.serverId !== null && { serverId: capture.serverId }),
        ...(capture.wholeRows.length > 0 && { wholeRows: capture.wholeRows }),
      },
    },
    connection,
    tables: Object.freeze(captured),
    offers,
    examine: (context, stream) => examineCapture({ settings, tables: captured, stream }, label, context),
    open: (context, stream, epoch = 0) => openChangeSource({ label, settings, capture, tables: captured, context, stream, epoch }),
  } satisfies CaptureSource<CapturedRows<Tables>>);
}
