import type { FileFormat } from '../duckdb/index.ts';

/** How a target lays out its files. */
export interface FileLayout extends FileFormat {
  readonly prefix: string;
  readonly mode: 'append' | 'replace';
  /** After how many hours a part that no manifest lists is deleted. */
  readonly orphanHours: number;
}
