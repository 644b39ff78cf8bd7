import type { CapturedTable, Context } from '@millrace/core/runtime';
import type { Storage } from '../s3/storage.ts';
import type { DmsControl } from './control.ts';
import type { Journal } from './journal.ts';
import type { TablePlace } from './mappings.ts';
import type { EngineSettings } from './options.ts';
import type { TableReading } from './read-file.ts';
import type { Shapes } from './source-shape.ts';

/** What the stream of a task is made of. */
export interface SourceParts {
  readonly settings: EngineSettings;
  readonly tables: Readonly<Record<string, CapturedTable>>;
  readonly readings: ReadonlyMap<string, TableReading>;
  readonly context: Context;
  readonly storage: Storage;
  readonly control: DmsControl;
  readonly journal: Journal;
  /** What the journal is named after. */
  readonly slot: string;
  readonly pipeline: string;
  /** How the tables of the source are now; null where it cannot be asked. */
  readonly shapes: ((context: Context) => Promise<Shapes>) | null;
  /** Holds a count of the full load against the source. */
  readonly check: (table: string, loaded: number) => Promise<void>;
}

/** Between two looks at the task while its files are read, in milliseconds. */
export const statusEvery = 30_000;

export const readingIn = ({ readings }: Pick<SourceParts, 'readings'>, table: string): TableReading => readings.get(table) as TableReading;

export const placeIn = (parts: Pick<SourceParts, 'readings'>, table: string): TablePlace => readingIn(parts, table).place;
