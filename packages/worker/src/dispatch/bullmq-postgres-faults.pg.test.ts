import { expect, it, vi } from 'vitest';
import { logicalServer } from '../../../../test/logical-server.ts';
import { testDatabase } from '../../../../test/postgres.ts';
import { startTcpProxy } from '../../../../test/tcp-proxy.ts';
import { listening, patient, sendUntilSeen, wake } from '../../test/wake-ups.ts';
import { bullmqPostgresDispatch } from './bullmq-postgres.ts';
import type { Dispatch } from './dispatch.ts';

it('makes its tables once, however many begin at the same time', async () => {
  await using database = await testDatabase();
  const all = await Promise.all(Array.from({ length: 6 }, () => bullmqPostgresDispatch({ url: database.url, queue: 'q' })));
  const seen = listening(all[0] as Dispatch);
  await sendUntilSeen(all[5] as Dispatch, seen, 'a');
  await Promise.all(all.map((dispatch) => dispatch[Symbol.asyncDispose]()));
  const versions = await database.sql<{ version: number }>('select version from bullmq.migration order by 1');
  expect(versions.map(({ version }) => version)).toEqual(versions.map((_, index) => index + 1));
});

it('leaves no session behind, no job of what was delivered, and few events', async () => {
  await using database = await testDatabase();
  const dispatch = await bullmqPostgresDispatch({ url: database.url, queue: 'q' });
  const seen = listening(dispatch);
  await dispatch.send(Array.from({ length: 600 }, (_, index) => ({ run: 'r', stage: `s${index}` })));
  await vi.waitFor(() => expect(seen).toHaveLength(600), patient);
  await dispatch[Symbol.asyncDispose]();
  expect(await database.sql('select id from bullmq.job')).toEqual([]);
  const [events] = await database.sql<{ count: string }>('select count(*) from bullmq.event');
  expect(Number(events?.count)).toBeLessThan(600);
  const sessions = `select application_name from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()
    and application_name <> ''`;
  await vi.waitFor(async () => expect(await database.sql(sessions)).toEqual([]), patient);
});

it('works on after its sessions were ended, its rows deleted, and the server killed', async () => {
  await using server = await logicalServer();
  await using database = await server.database();
  await using dispatch = await bullmqPostgresDispatch({ url: database.url, queue: 'q' });
  const seen = listening(dispatch);
  await sendUntilSeen(dispatch, seen, 'before');
  await database.sql(
    'select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()',
  );
  await sendUntilSeen(dispatch, seen, 'after terminate');
  await dispatch.send([wake('deleted or not')]);
  await database.sql('delete from bullmq.job');
  await sendUntilSeen(dispatch, seen, 'after delete');
  await server.stop('immediate');
  await dispatch.send([wake('here')]);
  expect(seen).toContain('here');
  await expect(dispatch.depth()).rejects.toMatchObject({ code: 'DISPATCH_UNAVAILABLE' });
  expect(dispatch.health.at).toBe('away');
  await server.start();
  await sendUntilSeen(dispatch, seen, 'after a crash');
  await vi.waitFor(() => expect(dispatch.health).toEqual({ at: 'connected' }), patient);
});

it('refuses within seconds on a line on which nothing answers, works on afterwards, and is closed on it too', async () => {
  await using database = await testDatabase();
  await using proxy = await startTcpProxy(database.url);
  const dispatch = await bullmqPostgresDispatch({ url: proxy.through(database.url), queue: 'q' });
  const seen = listening(dispatch);
  await sendUntilSeen(dispatch, seen, 'before');
  proxy.stall();
  const begun = performance.now();
  await dispatch.send([wake('here')]);
  expect(performance.now() - begun).toBeLessThan(8_000);
  expect(seen).toContain('here');
  proxy.resume();
  proxy.cut();
  await sendUntilSeen(dispatch, seen, 'after');
  proxy.stall();
  const closing = performance.now();
  await dispatch[Symbol.asyncDispose]();
  expect(performance.now() - closing).toBeLessThan(12_000);
  proxy.resume(); // a stalled proxy does not see that its clients have gone
  await vi.waitFor(() => expect(proxy.open).toBe(0), patient);
});

it('says what is missing at the start, without a secret', async () => {
  await using database = await testDatabase();
  const role = `clerk_${database.name}`;
  await database.sql(`create role ${role} login password 'p4ssw0rd-of-clerk'`);
  try {
    const url = new URL(database.url);
    url.username = role;
    url.password = 'p4ssw0rd-of-clerk';
    const refusal = (address: string) => bullmqPostgresDispatch({ url: address, queue: 'q' }).catch((error) => error);
    const denied = await refusal(url.href);
    expect(denied).toMatchObject({ code: 'ACCESS_DENIED', remedy: expect.stringContaining('GRANT CREATE') });
    const gone = new URL(url);
    gone.port = '1';
    expect(await refusal(gone.href)).toMatchObject({ code: 'STATE_UNAVAILABLE' });
    url.pathname = '/no_such_database';
    expect(await refusal(url.href)).toMatchObject({ code: 'DATABASE_MISSING' });
    expect(await refusal('redis://localhost')).toMatchObject({ code: 'CONFIG_INVALID' });
    expect(`${denied.message} ${denied.stack} ${JSON.stringify(denied)}`).not.toContain('p4ssw0rd');
  } finally {
    await database.sql(`drop role ${role}`);
  }
});

it('takes the same wake-ups from two who send them in different orders at once', async () => {
  await using database = await testDatabase();
  const open = () => bullmqPostgresDispatch({ url: database.url, queue: 'crossed' });
  const senders = await Promise.all([open(), open()]);
  const hints = Array.from({ length: 200 }, (_, i) => ({ run: 'run', stage: `s${i}` }));
  for (let round = 0; round < 3; round++) {
    await Promise.all(
      senders.map((sender, at) =>
        sender.send((at % 2 === 0 ? hints : hints.toReversed()).map(({ stage }) => ({ run: `run-${round}`, stage }))),
      ),
    );
  }
  expect(await senders[0]?.depth()).toBe(3 * hints.length);
  for (const sender of senders) await sender[Symbol.asyncDispose]();
});
