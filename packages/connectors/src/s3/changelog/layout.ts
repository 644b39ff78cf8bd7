import type { FileFormat } from '../../duckdb/index.ts';
import type { Roll } from './roll.ts';

/** How a change log lays out its files. */
export interface LogLayout {
  readonly prefix: string;
  readonly files: FileFormat;
  readonly roll: Roll;
  /** After how many hours a file that no manifest lists is deleted. */
  readonly orphanHours: number;
}
