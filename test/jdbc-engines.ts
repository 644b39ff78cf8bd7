import { findMariaDb } from '../scripts/mariadb.mjs';
import { drivers, h2Server, hsqldbServer, type JdbcDatabase, sqlShell } from './jdbc.ts';
import { mariaDbServer } from './mariadb-server.ts';
import { testDatabase } from './postgres.ts';

export interface JdbcEngine {
  readonly name: string;
  /** For longer texts. */
  readonly text: string;
  /** A server of its own, or a database of one that runs. */
  open(): Promise<JdbcDatabase>;
}

async function ownServer(start: () => Promise<{ database(name: string): Promise<JdbcDatabase> } & AsyncDisposable>): Promise<JdbcDatabase> {
  const server = await start();
  const database = await server.database('tests');
  return {
    ...database,
    async [Symbol.asyncDispose]() {
      await database[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
    },
  };
}

/** The driver against the server that `*.pg.test.ts` use, although there is a connector for it. */
async function postgresDatabase(): Promise<JdbcDatabase> {
  const database = await testDatabase();
  const { username, password, host, pathname } = new URL(database.url);
  const url = `jdbc:postgresql://${host}${pathname}`;
  const [user, secret] = [decodeURIComponent(username), decodeURIComponent(password)];
  const jar = drivers.jars.postgresql;
  const shell = await sqlShell(jar, url, user, secret);
  return {
    url,
    user,
    password: secret,
    jar,
    sql: shell.sql,
    async [Symbol.asyncDispose]() {
      await shell[Symbol.asyncDispose]();
      await database[Symbol.asyncDispose]();
    },
  };
}

/** As above, and a server of its own. */
async function mariaDatabase(): Promise<JdbcDatabase> {
  const server = await mariaDbServer();
  const { name } = await server.database();
  const url = `jdbc:mariadb://127.0.0.1:${server.port}/${name}`;
  const jar = drivers.jars['mariadb-java-client'];
  const shell = await sqlShell(jar, url, 'root', '');
  return {
    url,
    user: 'root',
    password: '',
    jar,
    sql: shell.sql,
    async [Symbol.asyncDispose]() {
      await shell[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
    },
  };
}

const mariadb = findMariaDb();

/** Why the engine that is missing among `jdbcEngines` is. */
export const missingEngine = 'missing' in mariadb ? `MariaDB by its driver: ${mariadb.missing}` : null;

export const jdbcEngines: readonly JdbcEngine[] = [
  { name: 'H2', text: 'VARCHAR', open: () => ownServer(h2Server) },
  { name: 'HSQLDB', text: 'VARCHAR(10000)', open: () => ownServer(() => hsqldbServer(['tests'])) },
  { name: 'Postgres by its driver', text: 'TEXT', open: postgresDatabase },
  ...(missingEngine === null ? [{ name: 'MariaDB by its driver', text: 'TEXT', open: mariaDatabase }] : []),
];
