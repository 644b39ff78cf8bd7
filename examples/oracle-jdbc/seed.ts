import { jdbc } from '@millrace/connectors/jdbc';
import { s3 } from '@millrace/connectors/s3';
import { extract, load, pipeline, secret } from '@millrace/core';
import { orders } from './tables/erp.ts';

/** Makes the ERP that `oracle-jdbc` reads, from a CSV file: a database with a JDBC driver can be loaded too. */
const inbox = s3({ url: 'file:./inbox' });
const erp = jdbc({ url: secret('ERP_URL'), user: secret('ERP_USER'), password: secret('ERP_PASSWORD'), drivers: [secret('ERP_DRIVER')] });

const rows = extract(inbox.csv('orders.csv', orders));
const sold = load(rows, erp.table(orders, { mode: 'merge', schema: 'create' }));

export default pipeline({ name: 'seed', steps: { rows, sold } });
