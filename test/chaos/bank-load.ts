import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { bankScripts } from './money.ts';
import type { Random } from './random.ts';

/** pgbench, started again whenever the source has gone away under it. */
export class BankLoad {
  readonly #url: string;
  readonly #dice: Random;
  readonly #folder = mkdtempSync(join(tmpdir(), 'millrace-bank-'));
  #going = false;
  #child: ChildProcess | undefined;
  #ended: Promise<void> = Promise.resolve();

  constructor(url: string, dice: Random) {
    this.#url = url;
    this.#dice = dice;
  }

  start(): void {
    this.#going = true;
    const scripts = Object.entries(bankScripts).flatMap(([name, text]) => {
      const [file = '', weight = '1'] = name.split('@');
      writeFileSync(join(this.#folder, file), text);
      return ['-f', `${join(this.#folder, file)}@${weight}`];
    });
    this.#ended = this.#again(scripts);
  }

  async #again(scripts: readonly string[]): Promise<void> {
    while (this.#going) {
      const seed = String(this.#dice.between(1, 1_000_000));
      const args = ['-n', '-c', '3', '-T', '60', '--random-seed', seed, '--rate', '120', ...scripts, this.#url];
      const child = spawn('pgbench', args, { stdio: 'ignore' });
      this.#child = child;
      await new Promise<void>((resolve) => child.once('close', () => resolve()).once('error', () => resolve()));
      if (this.#going) await sleep(50);
    }
  }

  async stop(): Promise<void> {
    this.#going = false;
    this.#child?.kill('SIGKILL');
    await this.#ended;
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
