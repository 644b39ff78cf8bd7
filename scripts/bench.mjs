// npm run bench -- <case...> [--json]: measures; see bench/. Only results go to stdout.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { provideDrivers } from './jdbc-drivers.mjs';
import { root, setup } from './setup.mjs';

setup();
const words = process.argv.slice(2);
const drivers = words.includes('jdbc') || words.every((word) => word.startsWith('-')) ? provideDrivers() : { missing: 'not asked for' };
const env = { ...process.env, ...('jars' in drivers && { MILLRACE_BENCH_DRIVER: drivers.jars.postgresql }) };
const bench = spawn(process.execPath, [join(root, 'bench/dist/main.js'), ...words], { stdio: 'inherit', env });
process.on('SIGINT', () => {});
process.on('SIGTERM', () => bench.kill('SIGTERM'));
bench.on('exit', (code, signal) => process.exit(code ?? (signal === 'SIGINT' ? 130 : 1)));
