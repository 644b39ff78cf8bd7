import { MillraceError } from '@millrace/core/runtime';
import { type Fetch, kept } from './kept.ts';
import type { SecretSource } from './local-source.ts';

export interface ServiceOptions {
  /** Stands before every name. */
  readonly prefix: string;
  readonly region?: string | undefined;
  readonly now: () => number;
}

/** A service of AWS that keeps secrets. */
export interface SecretService {
  readonly name: string;
  /** How one is made there, as a clause. */
  advice(id: string): string;
  readonly fetch: Fetch;
}

/** `id#key` is a value of the JSON object that the service keeps under `id`; all keys of one object come with one request. */
export function serviceSource(service: SecretService, { prefix, now }: ServiceOptions): SecretSource {
  const look = kept(service.fetch, now);
  return {
    name: prefix === '' ? service.name : `${service.name} under ${prefix}`,
    advice: (secret) => service.advice(prefix + secret),
    async find(secret, refused) {
      const [id, key] = parted(prefix + secret);
      const text = await look(id);
      const value = picked(text, id, key);
      return refused !== undefined && value === refused ? picked(await look(id, text), id, key) : value;
    },
  };
}

function parted(name: string): readonly [id: string, key: string | null] {
  const at = name.indexOf('#');
  return at < 0 ? [name, null] : [name.slice(0, at), name.slice(at + 1)];
}

function picked(text: string | undefined, id: string, key: string | null): string | undefined {
  if (text === undefined || key === null) return text;
  const value = objectIn(text, id)[key];
  if (value === undefined || value === null) return undefined;
  return typeof value === 'string' ? value : JSON.stringify(value);
}

function objectIn(text: string, id: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  } catch {
    // The parser's message shows what it has read.
  }
  throw new MillraceError('SECRET_MISSING', {
    message: `What is kept under "${id}" is no JSON object, so there is nothing in it to pick by "#".`,
    remedy: 'Store an object there, {"SHOP_URL": "…"}, or leave out the "#" and what follows.',
    facts: { secret: id },
  });
}
