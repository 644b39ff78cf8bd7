import { displayWidth } from './width.ts';

export interface TableColumn {
  readonly title: string;
  readonly align?: 'left' | 'right';
}

/** Rows of cells, aligned; two spaces between columns, nothing at the end of a line. Cells may be coloured. */
export function alignedTable(
  columns: readonly TableColumn[],
  rows: readonly (readonly string[])[],
  head: (text: string) => string = (text) => text,
): string[] {
  const widths = columns.map(({ title }, index) =>
    rows.reduce((most, row) => Math.max(most, displayWidth(row[index] ?? '')), displayWidth(title)),
  );
  const line = (cells: readonly string[]) =>
    columns
      .map(({ align }, index) => pad(cells[index] ?? '', widths[index] ?? 0, align))
      .join('  ')
      .trimEnd();
  return [head(line(columns.map(({ title }) => title))), ...rows.map(line)];
}

function pad(cell: string, width: number, align: TableColumn['align'] = 'left'): string {
  const room = ' '.repeat(Math.max(0, width - displayWidth(cell)));
  return align === 'right' ? room + cell : cell + room;
}
