import { bool, float8, int4, table, text, timestamptz } from '@millrace/core';

/** The files' columns and the table's are declared once: a file that is otherwise is refused with its name. */
export const readings = table(
  'public.readings',
  { sensor: int4(), measured_at: timestamptz(), celsius: float8().orNull(), note: text().orNull() },
  { key: ['sensor', 'measured_at'] },
);

export const sensors = table('public.sensors', { id: int4(), place: text(), outdoors: bool() }, { key: ['id'] });
