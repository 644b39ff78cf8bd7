import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A folder on a file system of its own, of a few megabytes, which can really be filled. */
export interface SmallDisk extends AsyncDisposable {
  readonly folder: string;
  /** Why it is a folder like any other, and cannot be filled. */
  readonly missing: string | null;
  /** Takes every byte that is free or becomes free. */
  fill(): void;
  free(): void;
}

const size = '16m';

/**
 * The file system outlives a killed test run by a moment only: the input of the shell that holds it closes then, and it goes. Mounting is
 * root's, so a user asks sudo, who must not ask for a password.
 */
const holder = `
if [ "$(id -u)" = 0 ]; then sudo=; else sudo='sudo -n'; fi
$sudo mount -t tmpfs -o "size=$2,mode=1777" tmpfs "$1" || exit 1
echo mounted
read -r _
$sudo umount -l "$1" && rmdir "$1"`;

export async function smallDisk(): Promise<SmallDisk> {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-small-disk-'));
  const shell = spawn('sh', ['-c', holder, 'sh', folder, size], { stdio: ['pipe', 'pipe', 'pipe'], detached: true });
  shell.stdin.on('error', () => {});
  let said = '';
  shell.stderr.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  const closed = new Promise<void>((resolve) => shell.once('close', () => resolve()).once('error', () => resolve()));
  const isMounted = await Promise.race([
    new Promise<boolean>((resolve) => shell.stdout.once('data', () => resolve(true))),
    closed.then(() => false),
  ]);
  const ballast = join(folder, 'ballast');
  let filling: NodeJS.Timeout | undefined;
  let part = 0;
  const fillOnce = (): void => {
    try {
      // A file's last page may have room that no new file can take.
      for (let bytes = 2 ** 20; ; ) {
        try {
          writeFileSync(`${ballast}-${part++}`, Buffer.alloc(bytes));
        } catch (error) {
          if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
          if (bytes === 4096) return;
          bytes = Math.max(4096, bytes / 16);
        }
      }
    } catch {
      // The disk is going away.
    }
  };
  return {
    folder,
    missing: isMounted ? null : `a disk that can be filled cannot be made here (${said.trim() || `no ${process.platform} tmpfs`})`,
    fill() {
      if (!isMounted || filling) return;
      fillOnce();
      // What a failed attempt gives back would be enough for the next.
      filling = setInterval(fillOnce, 20);
    },
    free() {
      clearInterval(filling);
      filling = undefined;
      for (; part > 0; part--) rmSync(`${ballast}-${part - 1}`, { force: true });
    },
    async [Symbol.asyncDispose]() {
      clearInterval(filling);
      shell.stdin.end();
      await closed;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
