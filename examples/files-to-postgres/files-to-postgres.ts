import { postgres } from '@millrace/connectors/postgres';
import { s3 } from '@millrace/connectors/s3';
import { extract, load, onFiles, pipeline, secret } from '@millrace/core';
import { readings as readingsTable, sensors as sensorsTable } from './tables/sensors.ts';

const inbox = s3({ url: secret('INBOX_URL') }); // s3://bucket/inbox, or file:./inbox
const warehouse = postgres({ url: secret('WAREHOUSE_URL') });

// Three formats, one table: DuckDB reads the files and Postgres gets its own CSV, so no row becomes JavaScript.
const csv = extract(inbox.csv('readings/*.csv', readingsTable));
const jsonl = extract(inbox.jsonl('readings/*.jsonl.gz', readingsTable));
const parquet = extract(inbox.parquet('readings/*.parquet', readingsTable));
const merged = { mode: 'merge', schema: 'create' } as const;
const fromCsv = load(csv, warehouse.table(readingsTable, merged));
const fromJsonl = load(jsonl, warehouse.table(readingsTable, merged), { after: [fromCsv] });
const fromParquet = load(parquet, warehouse.table(readingsTable, merged), { after: [fromJsonl] });

// A list that is always sent whole replaces the table.
const sensors = extract(inbox.csv('sensors.csv', sensorsTable));
const listed = load(sensors, warehouse.table(sensorsTable, { mode: 'replace', schema: 'create' }));

export default pipeline({
  name: 'files-to-postgres',
  runs: onFiles('file:./inbox/readings/*'), // in production: onFiles('s3://bucket/inbox/readings/*')
  steps: { csv, jsonl, parquet, fromCsv, fromJsonl, fromParquet, sensors, listed },
});
