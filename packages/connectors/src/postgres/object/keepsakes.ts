import type { Session } from '../client.ts';
import type { FoundObject } from './catalog.ts';

/**
 * What people have put on objects that are about to be made anew: grants, owner, comment, and indexes and triggers of relations that no
 * file makes. As statements that put it back.
 */
export interface Keepsakes {
  readonly statements: readonly Keepsake[];
}

interface Keepsake {
  /** Of the object that must be there again for it. */
  readonly catalog: string;
  readonly identity: string;
  readonly text: string;
  /** What makes it needless, or impossible: the files have said it, or its column is gone. */
  readonly unless: string | null;
}

/** Whatever hangs on the objects at these addresses, where it is not the owner's own or the default. */
const kept = `
  WITH gone AS (
    SELECT split_part(a, ' ', 1)::oid AS class, split_part(a, ' ', 2)::oid AS oid FROM unnest($1::text[]) AS a
  ), object AS (
    SELECT g.class, g.oid, c.relowner AS owner, c.relacl AS acl, 'TABLE' AS privileged, upper(i.type) AS kind, i.identity
    FROM gone g JOIN pg_class c ON g.class = 'pg_class'::regclass AND c.oid = g.oid AND c.relkind IN ('v', 'm') CROSS JOIN pg_identify_object(g.class, g.oid, 0) AS i
    UNION ALL
    SELECT g.class, g.oid, p.proowner, p.proacl, 'ROUTINE', 'ROUTINE', i.identity
    FROM gone g JOIN pg_proc p ON g.class = 'pg_proc'::regclass AND p.oid = g.oid CROSS JOIN pg_identify_object(g.class, g.oid, 0) AS i
    UNION ALL
    SELECT g.class, g.oid, t.typowner, t.typacl, 'TYPE', 'TYPE', i.identity
    FROM gone g JOIN pg_type t ON g.class = 'pg_type'::regclass AND t.oid = g.oid AND t.typrelid = 0 CROSS JOIN pg_identify_object(g.class, g.oid, 0) AS i
  ), named AS (
    SELECT *, class::regclass::text AS catalog FROM object
  )
  SELECT 1 AS turn, catalog, identity, NULL AS unless, NULL AS key, format('ALTER %s %s OWNER TO %I', kind, identity, pg_get_userbyid(owner)) AS text
  FROM named WHERE pg_get_userbyid(owner) <> current_user
  UNION ALL
  SELECT 2, catalog, identity, 'touched', NULL, format('REVOKE ALL ON %s %s FROM PUBLIC', privileged, identity)
  FROM named WHERE privileged <> 'TABLE' AND acl IS NOT NULL AND NOT EXISTS (SELECT FROM aclexplode(acl) WHERE grantee = 0)
  UNION ALL
  SELECT 3, catalog, identity, NULL, NULL, format('GRANT %s ON %s %s TO %s%s', a.privilege_type, privileged, identity,
    CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END, CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
  FROM named CROSS JOIN aclexplode(acl) AS a WHERE a.grantee <> owner
  UNION ALL
  SELECT 3, catalog, identity, 'column ' || c.attname, NULL, format('GRANT %s (%I) ON TABLE %s TO %s%s', a.privilege_type, c.attname, identity,
    CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END, CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
  FROM named JOIN pg_attribute c ON named.class = 'pg_class'::regclass AND c.attrelid = named.oid AND c.attacl IS NOT NULL CROSS JOIN aclexplode(c.attacl) AS a
  WHERE a.grantee <> owner
  UNION ALL
  SELECT 4, catalog, identity, 'comment', NULL, format('COMMENT ON %s %s IS %L', kind, identity, d.description)
  FROM named JOIN pg_description d ON d.classoid = named.class AND d.objoid = named.oid AND d.objsubid = 0
  UNION ALL
  SELECT 5, catalog, identity, 'index ' || x.relname, 'index ' || (pg_identify_object('pg_class'::regclass, x.oid, 0)).identity, pg_get_indexdef(x.oid)
  FROM named JOIN pg_index n ON named.class = 'pg_class'::regclass AND n.indrelid = named.oid JOIN pg_class x ON x.oid = n.indexrelid
  UNION ALL
  SELECT 6, catalog, identity, 'trigger ' || g.tgname, 'trigger ' || (pg_identify_object('pg_trigger'::regclass, g.oid, 0)).identity, pg_get_triggerdef(g.oid)
  FROM named JOIN pg_trigger g ON named.class = 'pg_class'::regclass AND g.tgrelid = named.oid AND NOT g.tgisinternal
  ORDER BY turn`;

/** Indexes and triggers among `made` come from files, which say themselves whether they are still wanted. */
export async function keepsakesOf(objects: readonly FoundObject[], made: ReadonlySet<string>, session: Session): Promise<Keepsakes> {
  const rows = await session.query(kept, [`{${objects.map(({ address }) => `"${address}"`).join(',')}}`]);
  return {
    statements: rows
      .filter(({ key }) => key == null || !made.has(key))
      .map((row) => ({
        catalog: row['catalog'] as string,
        identity: row['identity'] as string,
        unless: row['unless'] ?? null,
        text: row['text'] as string,
      })),
  };
}

/** Puts back what the files themselves have not said anew. Answers the identities of objects that have not come back. */
export async function putBack({ statements }: Keepsakes, session: Session): Promise<ReadonlySet<string>> {
  const lost = new Set<string>();
  for (const { catalog, identity, text, unless } of statements) {
    const oid = await oidOf(catalog, identity, session);
    if (oid === null) lost.add(identity);
    else if (unless === null || !(await saysItself(unless, catalog, oid, session))) await session.execute(text, [], identity);
  }
  return lost;
}

const namesOf = {
  pg_class: "pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('v', 'm')",
  pg_proc: 'pg_proc c JOIN pg_namespace n ON n.oid = c.pronamespace WHERE true',
  pg_type: 'pg_type c JOIN pg_namespace n ON n.oid = c.typnamespace WHERE true',
} as const;

async function oidOf(catalog: string, identity: string, session: Session): Promise<string | null> {
  const from = namesOf[catalog as keyof typeof namesOf];
  const [row] = await session.query(
    `SELECT c.oid FROM ${from} AND n.nspname NOT LIKE 'pg\\_%' AND (pg_identify_object('${catalog}'::regclass, c.oid, 0)).identity = $1`,
    [identity],
  );
  return row?.['oid'] ?? null;
}

async function saysItself(what: string, catalog: string, oid: string, session: Session): Promise<boolean> {
  const name = what.slice(what.indexOf(' ') + 1);
  const ask = async (text: string, values: readonly string[]): Promise<boolean> => (await session.query(text, values))[0]?.['yes'] === 't';
  switch (what.split(' ', 1)[0]) {
    case 'touched':
      return ask(
        catalog === 'pg_proc'
          ? 'SELECT proacl IS NOT NULL AS yes FROM pg_proc WHERE oid = $1'
          : 'SELECT typacl IS NOT NULL AS yes FROM pg_type WHERE oid = $1',
        [oid],
      );
    case 'comment':
      return ask(`SELECT obj_description($1::oid, $2) IS NOT NULL AS yes`, [oid, catalog]);
    case 'column':
      return ask('SELECT NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = $1 AND attname = $2 AND NOT attisdropped) AS yes', [
        oid,
        name,
      ]);
    case 'index':
      return ask(
        'SELECT EXISTS (SELECT FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE i.indrelid = $1 AND c.relname = $2) AS yes',
        [oid, name],
      );
    default:
      return ask('SELECT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = $1 AND tgname = $2) AS yes', [oid, name]);
  }
}
