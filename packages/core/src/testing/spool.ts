import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const root = join(tmpdir(), `millrace-test-${process.getuid?.() ?? 0}`);
let isSwept = false;

/** An empty directory. A later process removes it: test runners kill theirs, so nothing can be done at the end. */
export function testSpool(): string {
  if (!isSwept) sweep();
  isSwept = true;
  return mkdtempSync(join(root, `${process.pid}-`));
}

/** Removes what processes have left that are gone. */
function sweep(): void {
  mkdirSync(root, { recursive: true });
  for (const name of readdirSync(root)) {
    if (!lives(Number.parseInt(name, 10))) rmSync(join(root, name), { recursive: true, force: true });
  }
}

function lives(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
