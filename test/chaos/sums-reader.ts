import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import { connected } from './connected.ts';
import { bankTables, sumsSql } from './money.ts';

/** Looks at the mirror all the time: from the moment that all tables are there at one position, the sums must agree in every look. */
export class SumsReader {
  looks = 0;
  readonly #url: string;
  readonly #wrong: string[];
  #going = false;
  #ended: Promise<void> = Promise.resolve();

  constructor(url: string, wrong: string[]) {
    this.#url = url;
    this.#wrong = wrong;
  }

  start(): void {
    this.#going = true;
    this.#ended = this.#look();
  }

  async stop(): Promise<void> {
    this.#going = false;
    await this.#ended;
  }

  async #look(): Promise<void> {
    let client: pg.Client | undefined;
    while (this.#going) {
      try {
        client ??= await connected(this.#url);
        const { rows } = await client.query<Record<string, string>>(
          `${sumsSql('bank')} from _millrace.stream s
           where s.pipeline = 'chaos' and s.step = 'mirrored' and s.position is not null
             and (select count(*) from _millrace.stream_table t where t.pipeline = s.pipeline and t.step = s.step and t.copied <= s.position) = ${bankTables.length}`,
        );
        const [sums] = rows;
        if (sums) {
          this.looks++;
          if (new Set(Object.values(sums)).size !== 1)
            this.#wrong.push(`A reader of the mirror saw half a transaction: ${JSON.stringify(sums)}`);
        }
      } catch (error) {
        const { code = '', message } = error as { code?: string; message: string };
        // The tables are not there yet; or the target is being restarted.
        if (code === '42P01' || code === '3F000') await sleep(50);
        else if (/^(08|57|ECONN|EPIPE)/.test(code) || /terminated|closed|ended|not queryable/.test(message)) {
          client?.end().catch(() => {});
          client = undefined;
        } else this.#wrong.push(`The reader could not look: ${message}`);
      }
      await sleep(25);
    }
    await client?.end().catch(() => {});
  }
}
