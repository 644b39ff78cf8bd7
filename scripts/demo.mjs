// npm run demo: the whole road once, on an embedded Postgres. See examples/demo.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { root, setup } from './setup.mjs';

setup();
const demo = spawn(process.execPath, [join(root, 'examples/demo/demo.mjs'), ...process.argv.slice(2)], { stdio: 'inherit' });
// Ctrl-C reaches the demo by itself, which stops what it started; this process only waits and hands on the outcome.
process.on('SIGINT', () => {});
process.on('SIGTERM', () => demo.kill('SIGTERM'));
demo.on('exit', (code, signal) => process.exit(code ?? (signal === 'SIGINT' ? 130 : 1)));
