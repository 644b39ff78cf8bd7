import { expect, test } from 'vitest';
import { pgError } from './sqlstate.ts';

const place = { label: 'secret(WAREHOUSE_URL)', user: 'loader', object: 'analytics.order_fact' };
const said = (message: string, detail?: string) => ({ severity: 'ERROR', code: 'XX000', message, ...(detail && { detail }) });

test('what Redshift calls 1023 is a conflict of two loads, which is tried again', () => {
  const cycle = 'Serializable isolation violation on table - 119371, transactions forming the cycle are: 1745830, 1745762 (pid:15021)';
  const error = pgError(said('1023', cycle), place);
  expect(error).toMatchObject({ code: 'LOAD_CONFLICT', facts: { sqlstate: 'XX000', object: 'analytics.order_fact' } });
  expect(error.message).toBe(`secret(WAREHOUSE_URL): 1023. ${cycle}.`);
  expect(pgError(said('could not complete because of conflict with concurrent transaction'), place).code).toBe('LOAD_CONFLICT');
});

test('other errors of that state are not tried again', () => {
  for (const message of ['1018', '10235', 'Assert', 'could not read block 1023 of relation 4711'])
    expect(pgError(said(message), place).code).toBe('INTERNAL');
});

test('whatever the operating system says of a socket is a connection that failed', () => {
  for (const code of ['ECONNRESET', 'ENOTCONN', 'ENETDOWN', 'EIO']) {
    const error = Object.assign(new Error(`read ${code}`), { code, syscall: 'read', errno: -107 });
    expect(pgError(error, place), code).toMatchObject({ code: 'CONNECTION_FAILED', facts: { reason: code } });
  }
});
