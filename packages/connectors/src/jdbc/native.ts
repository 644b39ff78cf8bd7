import type { Context, Finding, RelationalOp, RowSchema, Selection, Table, Target, WireFormat } from '@millrace/core/runtime';
import { canAbsorb as mysqlAbsorbs } from '../mysql/select-sql.ts';
import { isPortable } from '../postgres/binary/form.ts';
import { canAbsorb as postgresAbsorbs } from '../postgres/select-sql.ts';
import { type Address, type AddressSettings, addressLabel, addressOf } from './address.ts';
import type { ReadObject } from './source.ts';

/**
 * Databases that have a connector of their own, which is quicker and promises more: a URL of theirs is theirs, whatever driver is named,
 * unless it asks for something that only the driver knows.
 */
export interface Native {
  /** The connector. */
  readonly name: 'postgres' | 'mysql';
  /** Whether it takes such URLs, as far as can be seen from the beginning. */
  takes(url: string): boolean;
  /** The same place in the connector's own words; null where it cannot say it. */
  url(address: Pick<Address, 'url' | 'properties'>): string | null;
  offers(schema: RowSchema): readonly WireFormat[];
  absorbs(op: RelationalOp, before: RowSchema['columns']): boolean;
  connection(url: AddressSettings['url'], settings: NativeSettings): Promise<NativeConnection>;
}

export interface NativeSettings {
  readonly maxConnections?: number;
}

export interface NativeConnection {
  selection(object: ReadObject, schema: RowSchema): Selection;
  table(table: Table, options: { readonly mode: 'append' | 'merge' | 'replace'; readonly schema?: 'create' | 'strict' }): Target;
  examine(context: Context): Promise<readonly Finding[]>;
  introspect(
    context: Context,
    options: { readonly schemas?: readonly string[]; readonly tables?: readonly string[] },
  ): Promise<readonly Table[]>;
}

/** What is the same for the driver and for us, or of no meaning here. */
const knownParameters = new Set(
  'user password ssl sslmode sslrootcert ApplicationName reWriteBatchedInserts connectTimeout socketTimeout loginTimeout tcpKeepAlive prepareThreshold defaultRowFetchSize binaryTransfer'.split(
    ' ',
  ),
);

const postgres: Native = {
  name: 'postgres',
  offers: ({ columns }) => (columns.every(({ type }) => isPortable(type)) ? ['pgcopy-binary', 'csv', 'batches'] : ['csv', 'batches']),
  absorbs: postgresAbsorbs,
  takes: (url) => /^jdbc:postgresql:/i.test(url),
  url({ url, properties }) {
    const [, place = '', query = ''] = /^jdbc:postgresql:(?:\/\/)?([^?]*)(?:\?(.*))?$/is.exec(url) ?? [];
    const parameters = new URLSearchParams(query);
    for (const [name, value] of Object.entries(properties)) parameters.set(name, value);
    if ([...parameters.keys()].some((name) => !knownParameters.has(name)) || place.includes(',')) return null;
    const [host = '', database = ''] = url.includes('//') ? [place.split('/', 1)[0], place.split('/')[1]] : ['', place.replace(/^\//, '')];
    const kept = new URLSearchParams();
    for (const name of ['user', 'password', 'sslmode', 'sslrootcert']) {
      const value = parameters.get(name);
      if (value) kept.set(name, value);
    }
    if (parameters.get('ssl') === 'true' && !kept.has('sslmode')) kept.set('sslmode', 'verify-full');
    return `postgres://${host || 'localhost'}/${database}${kept.size > 0 ? `?${kept}` : ''}`;
  },
  async connection(url, { maxConnections }) {
    const [{ postgres: connect }, { selectionOf }] = await Promise.all([
      import('../postgres/connection.ts'),
      import('../postgres/selection.ts'),
    ]);
    const settings = { url, ...(maxConnections !== undefined && { maxConnections }) };
    const connection = connect(settings);
    return {
      selection: (object, schema) => selectionOf({ connector: 'postgres', label: connection.label, settings, connection }, object, schema),
      table: (table, options) => connection.table(table, options),
      examine: connection.examine,
      introspect: connection.introspect,
    };
  },
};

/** Of both drivers; what is left out here has to do with how a driver goes about it, and not with what it says. */
const knownOfMysql = new Set(
  'user password useSSL useSsl sslMode serverSslCert connectTimeout socketTimeout tcpKeepAlive tcpNoDelay autoReconnect rewriteBatchedStatements useServerPrepStmts cachePrepStmts prepStmtCacheSize allowPublicKeyRetrieval useUnicode characterEncoding useBulkStmts defaultFetchSize useCursorFetch'.split(
    ' ',
  ),
);

/** By the words of either driver. */
const sslModes: Readonly<Record<string, string>> = {
  disable: 'DISABLED',
  disabled: 'DISABLED',
  preferred: 'PREFERRED',
  trust: 'REQUIRED',
  required: 'REQUIRED',
  'verify-ca': 'VERIFY_CA',
  verify_ca: 'VERIFY_CA',
  'verify-full': 'VERIFY_IDENTITY',
  verify_identity: 'VERIFY_IDENTITY',
};

const mysql: Native = {
  name: 'mysql',
  offers: () => ['batches'],
  absorbs: mysqlAbsorbs,
  takes: (url) => /^jdbc:(?:mysql|mariadb):\/\//i.test(url),
  url({ url, properties }) {
    // Several hosts, or one in brackets, are ways of the driver's own.
    const [, host = '', database = '', query = ''] = /^jdbc:\w+:\/\/([^/?,()]*)(?:\/([^?]*))?(?:\?(.*))?$/is.exec(url) ?? [];
    const parameters = new URLSearchParams(query);
    for (const [name, value] of Object.entries(properties)) parameters.set(name, value);
    if (host === '' || [...parameters.keys()].some((name) => !knownOfMysql.has(name))) return null;
    const mode = parameters.get('sslMode');
    const ssl = mode === null ? sslOf(parameters.get('useSSL') ?? parameters.get('useSsl')) : sslModes[mode.toLowerCase()];
    if (ssl === undefined) return null;
    const kept = new URLSearchParams();
    if (ssl !== '') kept.set('ssl-mode', ssl);
    const certificate = parameters.get('serverSslCert');
    if (certificate) kept.set('ssl-ca', certificate);
    const [user, password] = ['user', 'password'].map((name) => encodeURIComponent(parameters.get(name) ?? ''));
    return `mysql://${user}${password === '' ? '' : `:${password}`}@${host}/${database}${kept.size > 0 ? `?${kept}` : ''}`;
  },
  async connection(url, { maxConnections }) {
    const [{ mysql: connect }, { selectionOf }] = await Promise.all([import('../mysql/connection.ts'), import('../mysql/selection.ts')]);
    const settings = { url, ...(maxConnections !== undefined && { maxConnections }) };
    const connection = connect(settings);
    return {
      selection: (object, schema) => selectionOf({ connector: 'mysql', label: connection.label, settings, connection }, object, schema),
      table: (table, options) => connection.table(table, options),
      examine: connection.examine,
      introspect: connection.introspect,
    };
  },
};

/** Empty where the connector is to decide; undefined for what it does not know. */
function sslOf(useSsl: string | null): string | undefined {
  if (useSsl === null) return '';
  if (useSsl === 'false') return 'DISABLED';
  return useSsl === 'true' ? 'VERIFY_IDENTITY' : undefined;
}

const natives: readonly Native[] = [postgres, mysql];

export const nativeFor = (url: string): Native | undefined => natives.find((native) => native.takes(url));

/** The one that will take over, where that can be seen already: not where the URL is a secret. */
export function nativeOf({ url, properties = {} }: Pick<AddressSettings, 'url' | 'properties'>): Native | undefined {
  if (typeof url !== 'string') return undefined;
  const plain = Object.entries(properties).map(([name, value]) => [name, typeof value === 'string' ? value : '']);
  const native = nativeFor(url);
  return native?.url({ url, properties: Object.fromEntries(plain) }) ? native : undefined;
}

export interface TakenOver {
  readonly connection: NativeConnection;
  /** In which the connector finds the secrets that the JDBC settings name. */
  readonly context: Context;
}

/** The connection that takes over, or null where the driver is needed. The secrets are looked up, to know. */
export async function takeOver(settings: AddressSettings & NativeSettings, context: Context): Promise<TakenOver | null> {
  if (typeof settings.url === 'string' && !nativeFor(settings.url)) return null;
  let address = await addressOf(settings, context);
  const native = nativeFor(address.url);
  const url = native?.url(address);
  if (!native || !url) return null;
  const ref = { kind: 'secret', name: typeof settings.url === 'string' ? addressLabel(settings.url) : settings.url.name } as const;
  const secret: Context['secret'] = async (wanted, refused) => {
    if (wanted !== ref) return context.secret(wanted, refused);
    if (refused !== undefined) address = await addressOf(settings, context, address);
    return native.url(address) ?? url;
  };
  const connection = await native.connection(ref, {
    ...(settings.maxConnections !== undefined && { maxConnections: settings.maxConnections }),
  });
  return { connection, context: { ...context, secret } };
}
