import { type CaptureSource, type Connection, MillraceError, type RowOf, type Table, type WireFormat } from '@millrace/core/runtime';
import { selectionOf } from '../selection.ts';
import { offersFor, type SourceSettings } from '../source.ts';
import { openChangeSource } from './change-source.ts';
import { examineCapture } from './examine.ts';
import { captureSettings, type PostgresCaptureOptions } from './options.ts';

/** Rows of each table, by its name in the pipeline. */
export type CapturedRows<Tables extends Readonly<Record<string, Table>>> = { readonly [Name in keyof Tables]: RowOf<Tables[Name]> };

/** The connection whose tables are captured. */
export interface CaptureHome {
  readonly connector: 'postgres' | 'aurora';
  readonly label: string;
  readonly settings: SourceSettings;
  readonly connection: Connection;
}

/** @throws PIPELINE_INVALID */
export function captureSource<Tables extends Readonly<Record<string, Table>>>(
  home: CaptureHome,
  tables: Tables,
  options: PostgresCaptureOptions = {},
): CaptureSource<CapturedRows<Tables>> {
  const { connector, label, settings, connection } = home;
  const capture = captureSettings(options);
  if (Object.keys(tables).length === 0) {
    throw new MillraceError('PIPELINE_INVALID', { message: 'capture() has no tables.', remedy: 'Name one table at least.' });
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
        ...(capture.publication !== null && { publication: capture.publication }),
        ...(capture.streaming && { streaming: true }),
        ...(capture.failover && { failover: true }),
      },
    },
    connection,
    tables: Object.freeze(captured),
    offers: offersOf(Object.values(tables)),
    examine: (context, stream) => examineCapture({ settings, capture, tables: captured }, label, context, stream),
    open: (context, stream, epoch = 0) => openChangeSource({ label, settings, capture, tables: captured, context, stream, epoch }),
  } satisfies CaptureSource<CapturedRows<Tables>>);
}

/** What every table can be read in, cheapest first. */
function offersOf(tables: readonly Table[]): WireFormat[] {
  return tables.map(offersFor).reduce((common, offers) => common.filter((format) => offers.includes(format)));
}
