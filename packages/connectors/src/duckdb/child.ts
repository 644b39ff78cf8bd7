import { type DuckDBConnection, DuckDBInstance } from '@duckdb/node-api';

/**
 * The program of the converter process: one DuckDB, statements one after the other, told what to do over the IPC channel.
 * It is a process of its own so that a statement that hangs, or a source that broke off, can be ended with SIGKILL at once.
 */
export type Order =
  | { readonly order: 'open'; readonly directory: string; readonly settings: Readonly<Record<string, string>> }
  | { readonly order: 'run'; readonly sql: string; readonly values: readonly (string | null)[] }
  | { readonly order: 'close' };

export type Answer =
  | { readonly answer: 'done'; readonly rows: readonly (readonly unknown[])[] }
  | { readonly answer: 'failed'; readonly message: string }
  /** Every two seconds: CPU used so far. A statement that uses none while its input waits hangs. */
  | { readonly answer: 'alive'; readonly cpuMs: number };

let open: { readonly instance: DuckDBInstance; readonly connection: DuckDBConnection } | null = null;

async function obey(order: Order): Promise<readonly (readonly unknown[])[]> {
  switch (order.order) {
    case 'open': {
      // Paths in statements are relative to here, so none of them can hold a character that DuckDB takes for a wildcard.
      process.chdir(order.directory);
      const instance = await DuckDBInstance.create(':memory:', { ...order.settings });
      open = { instance, connection: await instance.connect() };
      await open.connection.run("SET TimeZone = 'UTC'");
      return [];
    }
    case 'run': {
      const result = await open!.connection.runAndReadAll(order.sql, [...order.values]);
      return result.getRowsJson();
    }
    case 'close':
      open?.connection.closeSync();
      open?.instance.closeSync();
      open = null;
      process.chdir('/');
      return [];
  }
}

const say = (answer: Answer): void => {
  if (process.connected) process.send?.(answer);
};

process.on('message', (order: Order) => {
  obey(order).then(
    (rows) => say({ answer: 'done', rows }),
    (error: unknown) => say({ answer: 'failed', message: error instanceof Error ? error.message : String(error) }),
  );
});
// The parent decides when to stop; Ctrl-C on a terminal reaches the whole group.
process.on('SIGINT', () => {});
// An ordinary exit waits for the thread that runs the statement, which may hang.
const leave = () => void process.kill(process.pid, 'SIGKILL');
process.on('disconnect', leave);
// The parent may have died while this program was being loaded, when nobody listened yet.
if (!process.connected) leave();
setInterval(() => {
  const { user, system } = process.cpuUsage();
  say({ answer: 'alive', cpuMs: (user + system) / 1000 });
}, 2_000);
