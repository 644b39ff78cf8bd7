import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** PEM. */
export interface Identity {
  readonly certificate: string;
  readonly key: string;
}

export interface Certificates {
  readonly authority: string;
  /** For 127.0.0.1. */
  readonly server: Identity;
  readonly client: Identity;
}

/** An authority, and what it has signed. Null where openssl is not installed. */
export function certificates(): Certificates | null {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-certificates-'));
  const fresh = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'];
  const made = (name: string, ...more: readonly string[]): boolean =>
    spawnSync(
      'openssl',
      [
        'req',
        '-x509',
        ...fresh,
        '-subj',
        `/CN=${name}`,
        '-out',
        join(folder, `${name}.crt`),
        '-keyout',
        join(folder, `${name}.key`),
        ...more,
      ],
      { stdio: 'ignore' },
    ).status === 0;
  const signed = ['-CA', join(folder, 'authority.crt'), '-CAkey', join(folder, 'authority.key')];
  const identity = (name: string): Identity => ({
    certificate: readFileSync(join(folder, `${name}.crt`), 'utf8'),
    key: readFileSync(join(folder, `${name}.key`), 'utf8'),
  });
  try {
    if (!made('authority') || !made('server', ...signed, '-addext', 'subjectAltName=IP:127.0.0.1') || !made('client', ...signed))
      return null;
    return { authority: identity('authority').certificate, server: identity('server'), client: identity('client') };
  } finally {
    rmSync(folder, { recursive: true });
  }
}
