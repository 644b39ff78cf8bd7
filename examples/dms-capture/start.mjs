import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { standIn } from './stand-in.mjs';

const dms = await standIn('.millrace/files');
for (const command of ['run seed', 'run dms-capture --until caught-up', 'verify dms-capture']) {
  const child = spawn('millrace', command.split(' '), { stdio: 'inherit', env: { ...process.env, ...dms.env } });
  const [code] = await once(child, 'exit');
  process.exitCode = code;
  if (code !== 0) break;
}
dms.close();
