import type { Split } from '@millrace/core/runtime';
import type { InputFile } from '../duckdb/index.ts';

/** A file as it was listed. */
export interface ReadFile {
  readonly key: string;
  readonly size: number;
  readonly etag: string;
  /** Where a manifest says it. */
  readonly rows: number | null;
  readonly format: InputFile['format'];
  readonly codec: InputFile['codec'];
  readonly absent?: InputFile['absent'];
}

/** One statement reads the files of a split; each is opened before. */
const mostFiles = 64;

/** One split for each file; small files, one after the other and of one format, share a split until they reach `splitBytes`. */
export function fileSplits(files: readonly ReadFile[], splitBytes: number): Split[] {
  const groups: ReadFile[][] = [];
  let bytes = 0;
  for (const file of files) {
    const group = groups.at(-1);
    const fits =
      group &&
      group[0]!.format === file.format &&
      bytes + file.size <= splitBytes &&
      (group.length < mostFiles || splitBytes === Number.POSITIVE_INFINITY);
    if (fits) group.push(file);
    else groups.push([file]);
    bytes = fits ? bytes + file.size : file.size;
  }
  return groups.map((group, index) => ({
    id: `f${String(index + 1).padStart(5, '0')}`,
    estimate: {
      rows: group.reduce<number | null>((sum, { rows }) => (sum === null || rows === null ? null : sum + rows), 0),
      bytes: group.reduce((sum, { size }) => sum + size, 0),
    },
    where: { files: group },
  }));
}

export const readFilesOf = (split: Split): readonly ReadFile[] => split.where['files'] as readonly ReadFile[];
