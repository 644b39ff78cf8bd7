import { postgres } from '@millrace/connectors/postgres';
import { extract, hourly, load, pipeline, secret } from '@millrace/core';
import { filter, rename, select } from '@millrace/transforms';
import { customers as crmCustomers } from './tables/crm.ts';
import { contacts as mailingContacts } from './tables/mailing.ts';

const crm = postgres({ url: secret('CRM_URL') });
const mailing = postgres({ url: secret('MAILING_URL') });

// Each run reads the window [what the last load has stored, now - lag): the watermark is kept at the target, with the data.
const customers = extract(crm, crmCustomers, { since: 'updated_at', lag: '1m' });
// These three are SQL, so the source does them in its own query and no row becomes JavaScript: see "millrace plan".
const outside = filter(customers, [['internal', '=', false]]);
const columns = select(outside, ['id', 'email', 'name', 'updated_at']);
const contacts = rename(columns, { id: 'customer_id' });
const merged = load(contacts, mailing.table(mailingContacts, { mode: 'merge', schema: 'create' }));

export default pipeline({
  name: 'incremental-merge',
  runs: hourly(5),
  steps: { customers, outside, columns, contacts, merged },
});
