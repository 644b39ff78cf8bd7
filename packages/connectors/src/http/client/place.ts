import { BlockList, isIP } from 'node:net';
import { describeSetting, MillraceError, type Setting } from '@millrace/core/runtime';

/** Where a connection's requests may go, and where its credentials do. */
export interface HttpPlace {
  /** Ends in '/'. */
  readonly base: URL;
  /** For messages: the URL without query and user, or the name of the secret that holds it. */
  readonly label: string;
  readonly hosts: readonly string[];
}

/** A URL as plans and messages show it: without user, password and query, or as the name of its secret. */
export const labelOf = (url: Setting): string => describeSetting(url).replace(/[?#].*/s, '');

/** @throws CONFIG_INVALID */
export function httpPlace(url: string, label: string, hosts: readonly string[]): HttpPlace {
  const base = URL.canParse(url) ? new URL(url) : null;
  if (base === null || !['http:', 'https:'].includes(base.protocol)) throw notAPlace(label, 'it is not a URL of http or https');
  if (base.username !== '' || base.password !== '') throw notAPlace(label, 'it holds a user or a password');
  if (base.search !== '' || base.hash !== '') throw notAPlace(label, 'it has a query or a fragment');
  if (!base.pathname.endsWith('/')) base.pathname += '/';
  return { base, label, hosts };
}

/** A path under the place. `..` and another host lead out of it. @throws CONFIG_INVALID */
export function under({ base, label }: HttpPlace, path: string): URL {
  const relative = path.replace(/^\/+/, '');
  const url = URL.canParse(relative, base.href) && !/^[a-z][a-z0-9+.-]*:/i.test(relative) ? new URL(relative, base) : null;
  if (url?.origin === base.origin && url.pathname.startsWith(base.pathname) && url.username === '') return url;
  throw new MillraceError('CONFIG_INVALID', {
    message: `The path "${path.replace(/\?.*/, '')}" leads out of ${label}.`,
    remedy: 'Give http() the URL that all paths stand under, and paths without "..".',
  });
}

/** A URL as a message may show it: what stands in a query is often a key. */
export function shownUrl({ base, label }: HttpPlace, url: URL): string {
  if (url.origin !== base.origin) return `${url.origin}/…`;
  return url.pathname.startsWith(base.pathname) ? label.replace(/\/?$/, '/') + url.pathname.slice(base.pathname.length) : `${label} …`;
}

export type Leads = { readonly to: 'itself' } | { readonly to: 'a listed host' };

/**
 * Where a link or a redirect of the API leads. To its own origin requests go as they are; to a host that the connection lists they go without
 * anything that is the connection's; nowhere else.
 *
 * @throws REMOTE_REFUSED
 */
export function leads(place: HttpPlace, url: URL, what: string): Leads {
  const { base, hosts } = place;
  if (url.origin === base.origin) return { to: 'itself' };
  const isWeaker = base.protocol === 'https:' && url.protocol !== 'https:';
  const isWeb = url.protocol === 'https:' || url.protocol === 'http:';
  if (isWeb && !isWeaker && hosts.includes(url.host)) return { to: 'a listed host' };
  throw new MillraceError('REMOTE_REFUSED', {
    message: `${what} leads to ${url.origin === 'null' ? url.protocol : url.origin}, ${isWeaker ? 'which is not encrypted' : 'and the connection names another place'}. Nothing was sent there.`,
    remedy:
      url.hostname === base.hostname
        ? 'Where that is the right place, give http() this URL.'
        : `Where that is right, list it: http({ hosts: ['${url.host}'] }); credentials are not sent there.`,
    facts: { origin: url.origin },
  });
}

/** Addresses that a public API has no business with: this machine, networks of one's own, the metadata of clouds. */
export function isInside(address: string): boolean {
  const family = isIP(address);
  if (family === 0) return false;
  const translated = family === 6 ? translatedTo(address) : null;
  return translated === null ? inside.check(address, family === 4 ? 'ipv4' : 'ipv6') : inside.check(translated, 'ipv4');
}

/** The address of IPv4 to which a network without IPv4 leads one like `64:ff9b::5db8:d822` (RFC 6052): public hosts have such there. */
function translatedTo(address: string): string | null {
  const url = `http://[${address}]/`;
  const parts = URL.canParse(url) ? /^\[64:ff9b::(?:([\da-f]+):)?([\da-f]+)?\]$/.exec(new URL(url).hostname) : null;
  if (!parts) return null;
  const [high, low] = [parts[1] ?? '0', parts[2] ?? '0'].map((part) => Number.parseInt(part, 16)) as [number, number];
  return [high >> 8, high & 255, low >> 8, low & 255].join('.');
}

const inside = new BlockList();
for (const [net, bits] of [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['224.0.0.0', 3],
] as const)
  inside.addSubnet(net, bits, 'ipv4');
for (const [net, bits] of [
  // Those that hold addresses of IPv4 are inside whatever they hold.
  ['::', 96],
  ['64:ff9b:1::', 48],
  ['2001::', 32],
  ['2002::', 16],
  ['fc00::', 7],
  ['fe80::', 10],
  ['fec0::', 10],
  ['ff00::', 8],
] as const)
  inside.addSubnet(net, bits, 'ipv6');

const notAPlace = (label: string, why: string): MillraceError =>
  new MillraceError('CONFIG_INVALID', {
    message: `${label} cannot be the URL of an API: ${why}.`,
    remedy: 'Write it like https://api.example.com/v2/, with credentials in auth and parameters in query.',
  });
