// npm run chaos -- [mariadb | fleet] --seeds N: random faults, from seeds, over a bank under load or over a fleet; see test/chaos/.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { provideMariaDb } from './mariadb.mjs';
import { provideRedis } from './redis.mjs';
import { root, setup } from './setup.mjs';

setup();
if (process.argv[2] === 'fleet') provideRedis();
if (process.argv.slice(2, 4).includes('mariadb')) provideMariaDb();
const flags = ['--no-warnings', '--conditions=millrace-source', '--import', 'tsx'];
const chaos = spawn(process.execPath, [...flags, join(root, 'test/chaos/main.ts'), ...process.argv.slice(2)], {
  cwd: root,
  stdio: 'inherit',
});
process.on('SIGINT', () => {});
process.on('SIGTERM', () => chaos.kill('SIGTERM'));
chaos.on('exit', (code, signal) => process.exit(code ?? (signal === 'SIGINT' ? 130 : 1)));
