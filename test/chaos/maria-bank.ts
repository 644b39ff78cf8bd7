import { setTimeout as sleep } from 'node:timers/promises';
import type { Connection } from 'mysql2/promise';
import { type MariaDbServer, mariaDbServer } from '../mariadb-server.ts';
import type { Bank, BankServer } from './bank.ts';
import type { Random } from './random.ts';

const tables = [
  'create table branches (bid int primary key, bbalance bigint not null, filler text)',
  'create table tellers (tid int primary key, bid int not null references branches (bid), tbalance bigint not null, filler text)',
  'create table accounts (aid int primary key, bid int not null references branches (bid), abalance bigint not null, filler text)',
  'create table history (id bigint auto_increment primary key, tid int not null, bid int not null, aid int not null, delta bigint not null, mtime timestamp(6) not null, filler text)',
  'insert into branches select seq, 0, null from seq_1_to_5',
  'insert into tellers select seq, 1 + seq % 5, 0, null from seq_1_to_50',
  "insert into accounts select seq, 1 + seq % 5, 0, repeat('account ', 10 * (seq % 40)) from seq_1_to_1000",
];

const book = (tid: number, bid: number, aid: number, delta: number, filler: string): string =>
  `insert into history (tid, bid, aid, delta, mtime, filler) values (${tid}, ${bid}, ${aid}, ${delta}, now(6), ${filler})`;

/** What the scripts of `money.ts` do, in the words of MariaDB: how often, and the statements of one transaction. */
const errands: readonly { readonly weight: number; readonly of: (dice: Random) => readonly string[] }[] = [
  {
    weight: 150,
    of: (dice) => {
      const [aid, bid, tid, delta] = [dice.between(1, 1000), dice.between(1, 5), dice.between(1, 50), dice.between(-5000, 5000)];
      return [
        `update accounts set abalance = abalance + ${delta} where aid = ${aid}`,
        `update tellers set tbalance = tbalance + ${delta} where tid = ${tid}`,
        `update branches set bbalance = bbalance + ${delta} where bid = ${bid}`,
        book(tid, bid, aid, delta, "'x'"),
        'commit',
      ];
    },
  },
  {
    weight: 15,
    of: (dice) => {
      const aid = dice.between(1, 1000);
      return [`update accounts set abalance = abalance + 1 where aid = ${aid}`, book(1, 1, aid, 1, "'never'"), 'rollback'];
    },
  },
  {
    weight: 15,
    of: (dice) => {
      const [aid, delta] = [dice.between(1, 1000), dice.between(-5000, 5000)];
      return [
        `update accounts set abalance = abalance + ${delta}, filler = repeat('new ', 700) where aid = ${aid}`,
        'savepoint a',
        `update accounts set abalance = 0 where aid = ${aid}`,
        'delete from history where id > (select m from (select max(id) - 1000 as m from history) t)',
        'rollback to a',
        `update tellers set tbalance = tbalance + ${delta} where tid = 1`,
        `update branches set bbalance = bbalance + ${delta} where bid = 1`,
        book(1, 1, aid, delta, 'null'),
        'commit',
      ];
    },
  },
  {
    weight: 1,
    of: () => [
      'update accounts set abalance = abalance + 1',
      'update tellers set tbalance = tbalance + 1000 where tid = 2',
      'update branches set bbalance = bbalance + 1000 where bid = 2',
      "insert into history (tid, bid, aid, delta, mtime, filler) select 2, 2, seq, 1, now(6), 'all' from seq_1_to_1000",
      'commit',
    ],
  },
  {
    weight: 4,
    of: (dice) => {
      const aid = dice.between(1, 1000);
      return [
        `update ignore accounts set aid = -aid where aid = ${aid}`,
        `update ignore accounts set aid = -aid where aid = -${aid}`,
        'commit',
      ];
    },
  },
];

/** Customers at once, and how long each thinks between two errands. */
const customers = 3;
const thoughtMs = 25;

class MariaLoad {
  readonly #server: MariaDbServer;
  readonly #database: string;
  readonly #dice: Random;
  #going = false;
  #ended: Promise<unknown> = Promise.resolve();

  constructor(server: MariaDbServer, database: string, dice: Random) {
    this.#server = server;
    this.#database = database;
    this.#dice = dice;
  }

  start(): void {
    this.#going = true;
    this.#ended = Promise.all(Array.from({ length: customers }, () => this.#customer()));
  }

  async stop(): Promise<void> {
    this.#going = false;
    await this.#ended;
  }

  async #customer(): Promise<void> {
    let session: Connection | undefined;
    while (this.#going) {
      try {
        session ??= await this.#server.connect(this.#database);
        await session.query('begin');
        for (const statement of this.#errand()) await session.query(statement);
      } catch {
        // The server has gone, or two customers stood in each other's way.
        session?.destroy();
        session = undefined;
      }
      await sleep(thoughtMs);
    }
    session?.destroy();
  }

  #errand(): readonly string[] {
    let left = this.#dice.between(
      1,
      errands.reduce((sum, { weight }) => sum + weight, 0),
    );
    for (const { weight, of } of errands) {
      left -= weight;
      if (left <= 0) return of(this.#dice);
    }
    return [];
  }
}

async function rotate(server: MariaDbServer): Promise<void> {
  await server.sql('flush binary logs');
  const [{ confirmed = null } = {}] = await server.sql('select confirmed from _millrace.capture_stream').catch(() => []);
  const released = sequenceIn(confirmed ?? '');
  let needed: string | null = null;
  for (const { Log_name: file } of await server.sql('show binary logs')) {
    const events = await server.sql(`show binlog events in '${file}' limit 3`);
    // What came before the file begins.
    const before = events.find((event) => event['Event_type'] === 'Gtid_list')?.['Info'];
    if (needed !== null && (before == null || sequenceIn(before) > released)) break;
    needed = file ?? null;
  }
  if (needed !== null) await server.sql(`purge binary logs to '${needed}'`);
}

/** Of the only domain that there is: in `[0-1-400]`, or at the end of a position. */
const sequenceIn = (text: string): number => Number(/0-\d+-(\d+)\]?$/.exec(text)?.[1] ?? 0);

export async function mariaBanks(): Promise<BankServer> {
  const server = await mariaDbServer({ binlog: true });
  await server.sql("create user follower@'%'", "grant all privileges on *.* to follower@'%'");
  const kill = async (which: string): Promise<void> => {
    for (const { id } of await server.sql(`select id from information_schema.processlist where user = 'follower' and ${which}`))
      await server.sql(`kill ${id}`).catch(() => {}); // it has gone by itself
  };
  return {
    engine: 'mariadb',
    async bank(): Promise<Bank> {
      await server.sql('drop database if exists _millrace');
      const database = await server.database();
      await database.sql(...tables);
      const url = database.url.replace('//root@', '//follower@');
      return {
        url,
        load: (dice) => new MariaLoad(server, database.name, dice),
        end: (which) => kill(which === 'log' ? "command = 'Binlog Dump'" : 'true'),
        large: async () => {
          await database.sql(
            "insert into history (tid, bid, aid, delta, mtime, filler) select 1, 1, 1 + seq % 1000, 0, now(6), repeat('much ', 100) from seq_1_to_1500",
          );
        },
        rotate: () => rotate(server),
        lines: async (table) => {
          const list = lineSql[table as keyof typeof lineSql];
          const rows = await database.sql("set time_zone = '+00:00'", `select concat_ws('|', ${list}) as line from ${table}`);
          return rows.map(({ line }) => line ?? '').sort();
        },
        whatGoesOn: async () => JSON.stringify(await server.sql('show full processlist'), null, 1),
        async [Symbol.asyncDispose]() {
          await server.sql(`drop database ${database.name}`);
        },
      };
    },
    async crash() {
      await server.kill();
      await server.start();
    },
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

/** As `lineColumns` of `money.ts`. */
const lineSql = {
  branches: "bid, bbalance, coalesce(filler, '-')",
  tellers: "tid, bid, tbalance, coalesce(filler, '-')",
  accounts: "aid, bid, abalance, coalesce(filler, '-')",
  history: "id, tid, bid, aid, delta, date_format(mtime, '%Y-%m-%d %H:%i:%s.%f'), coalesce(filler, '-')",
};
