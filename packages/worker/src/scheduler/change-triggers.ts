import { createHash } from 'node:crypto';
import { MillraceError, type NotifySchedule, nameParts } from '@millrace/core/runtime';
import pg from 'pg';
import { clientOf, type StateAddress } from '../store/address.ts';

/*
 * A database trigger on each table that a pipeline watches: it writes a row into `_millrace.trigger`, in the transaction that changed the
 * table. What it is made of is in its name, as a hash, so a declaration that changes makes another one and drops this.
 */

/** What one pipeline watches in a database. */
export interface Watch extends NonNullable<NotifySchedule['changes']> {
  readonly pipeline: string;
  /** Of the rows in `_millrace.trigger`: this pipeline's alone. */
  readonly channel: string;
}

/** What a schedule watches; null where it is not `onChange()`. */
export function watchOf(pipeline: string, { channel, changes }: NotifySchedule): Watch | null {
  return changes ? { ...changes, pipeline, channel: `${channel}:${pipeline}` } : null;
}

/**
 * Runs with the rights of whoever made it, since those who change the table need none on `_millrace`. In a transaction it writes one row
 * for each table and operation, however many statements there are: a setting remembers it, and forgets it where a savepoint is rolled back.
 */
export const changedFunctionSql = `
create or replace function _millrace.changed() returns trigger language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  setting text := 'millrace.c' || substr(md5(tg_argv[0] || tg_relid::text || tg_op), 1, 16);
begin
  if current_setting(setting, true) is distinct from 'told' then
    insert into _millrace.trigger (channel, payload)
      values (tg_argv[0], json_build_object('table', tg_table_schema || '.' || tg_table_name, 'operation', lower(tg_op))::text);
    perform set_config(setting, 'told', true);
  end if;
  return null;
end $$;
`;

const version = createHash('sha256').update(changedFunctionSql).digest('hex').slice(0, 16);
const nameOf = ({ channel }: Watch): string =>
  `millrace_${createHash('sha256').update(`${version} ${channel}`).digest('hex').slice(0, 16)}`;
const commentOf = ({ pipeline }: Watch): string => `Millrace: starts ${pipeline}`;

/** Makes the triggers that are not there yet, and drops those of the pipeline that it does not declare any longer. */
export async function installTriggers(client: pg.Client, watch: Watch): Promise<void> {
  await transaction(client, async () => {
    await client.query(changedFunctionSql);
    const name = nameOf(watch);
    for (const table of watch.tables) {
      const quoted = (nameParts(table) ?? [table]).map((part) => client.escapeIdentifier(part)).join('.');
      const { rows } = await client.query<{ oid: string | null; there: boolean }>(
        'select to_regclass($1)::oid as oid, exists (select from pg_trigger where tgrelid = to_regclass($1) and tgname = $2) as there',
        [quoted, name],
      );
      if (rows[0]?.oid == null) throw noTable(table, watch);
      if (rows[0].there) continue;
      await client.query(
        `create trigger ${name} after ${watch.on.join(' or ')} on ${quoted} for each statement execute function _millrace.changed(${client.escapeLiteral(watch.channel)});
         comment on trigger ${name} on ${quoted} is ${client.escapeLiteral(commentOf(watch))}`,
      );
    }
    await dropOthers(client, watch.pipeline, name);
  });
}

/** Drops the triggers of a pipeline that watches nothing here any longer, and what they have written. */
export async function removeTriggers(database: StateAddress, pipeline: string): Promise<void> {
  const client = new pg.Client({ ...clientOf(database), application_name: 'millrace trigger', connectionTimeoutMillis: 10_000 });
  client.on('error', () => {});
  await client.connect();
  try {
    await transaction(client, () => dropOthers(client, pipeline, ''));
  } finally {
    await client.end().catch(() => {});
  }
}

async function dropOthers(client: pg.Client, pipeline: string, kept: string): Promise<void> {
  const { rows } = await client.query<{ name: string; table: string; definition: string }>(
    `select quote_ident(t.tgname) as name, t.tgrelid::regclass::text as table, encode(t.tgargs, 'escape') as definition
     from pg_trigger t join pg_proc p on p.oid = t.tgfoid join pg_namespace n on n.oid = p.pronamespace
     where n.nspname = '_millrace' and p.proname = 'changed' and t.tgparentid = 0 and t.tgname <> $1
       and obj_description(t.oid, 'pg_trigger') = $2`,
    [kept, commentOf({ pipeline } as Watch)],
  );
  for (const { name, table, definition } of rows) {
    await client.query(`drop trigger ${name} on ${table}`);
    await client.query('delete from _millrace.trigger where channel = $1', [definition.replace(/\\000$/, '')]);
  }
}

async function transaction(client: pg.Client, work: () => Promise<void>): Promise<void> {
  await client.query('begin');
  try {
    // Making a trigger waits for all who write to the table, and those who come after it wait for us: not for long.
    await client.query(`set local lock_timeout = '5s'; select pg_advisory_xact_lock(${installLock})`);
    await work();
    await client.query('commit');
  } catch (error) {
    await client.query('rollback').catch(() => {});
    throw error;
  }
}

/** An arbitrary number. */
const installLock = 7_731_504;

const noTable = (table: string, { pipeline }: Watch): MillraceError =>
  new MillraceError('TABLE_MISSING', {
    message: `Pipeline "${pipeline}" is to run when ${table} changes, and there is no such table.`,
    remedy: 'Check the name, with its schema, and the database that onChange() names.',
    facts: { table, pipeline },
  });
