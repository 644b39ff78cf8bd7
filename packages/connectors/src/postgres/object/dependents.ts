import type { Session } from '../client.ts';

/** All that the server would drop with some objects, by address, and what stands on what. */
export interface Dependents {
  /** Dependents before what they depend on: the order in which they can be dropped. */
  readonly order: readonly string[];
  /** Those that are objects of their own, not parts (a row type, an index) of one that goes: what a person would miss. */
  readonly standing: ReadonlyMap<string, string>;
}

/** A rule is a part of its view: who depends on the rule depends on that. */
const closure = `
  WITH RECURSIVE edge AS (
    SELECT CASE WHEN w.oid IS NULL THEN d.classid ELSE 'pg_class'::regclass::oid END AS class, coalesce(w.ev_class, d.objid) AS oid,
      CASE WHEN r.oid IS NULL THEN d.refclassid ELSE 'pg_class'::regclass::oid END AS on_class, coalesce(r.ev_class, d.refobjid) AS on_oid,
      d.deptype IN ('a', 'i', 'P', 'S') AND w.oid IS NULL AS part
    FROM pg_depend d LEFT JOIN pg_rewrite w ON d.classid = 'pg_rewrite'::regclass AND w.oid = d.objid
    LEFT JOIN pg_rewrite r ON d.refclassid = 'pg_rewrite'::regclass AND r.oid = d.refobjid
    WHERE d.deptype IN ('n', 'a', 'i', 'P', 'S')
  ), gone(class, oid) AS (
    SELECT split_part(a, ' ', 1)::oid, split_part(a, ' ', 2)::oid FROM unnest($1::text[]) AS a
    UNION
    SELECT e.class, e.oid FROM gone g JOIN edge e ON (e.on_class, e.on_oid) = (g.class, g.oid)
  )`;

/** What goes with the objects at these addresses. */
export async function dependentsOf(addresses: readonly string[], session: Session): Promise<Dependents> {
  const list = `{${addresses.map((address) => `"${address}"`).join(',')}}`;
  const nodes = await session.query(
    `${closure}
     SELECT g.class || ' ' || g.oid AS address, pg_describe_object(g.class, g.oid, 0) AS described,
       EXISTS (SELECT FROM edge e JOIN gone h ON (h.class, h.oid) = (e.on_class, e.on_oid)
         WHERE (e.class, e.oid) = (g.class, g.oid) AND e.part AND (h.class, h.oid) <> (g.class, g.oid)) AS part
     FROM gone g`,
    [list],
  );
  const edges = await session.query(
    `${closure}
     SELECT DISTINCT e.class || ' ' || e.oid AS address, e.on_class || ' ' || e.on_oid AS stands_on
     FROM edge e JOIN gone g ON (g.class, g.oid) = (e.class, e.oid) JOIN gone h ON (h.class, h.oid) = (e.on_class, e.on_oid)
     WHERE (e.class, e.oid) <> (e.on_class, e.on_oid)`,
    [list],
  );
  const below = new Map<string, string[]>();
  for (const { address, stands_on } of edges)
    below.set(stands_on as string, [...(below.get(stands_on as string) ?? []), address as string]);
  const order: string[] = [];
  const seen = new Set<string>();
  const visit = (address: string): void => {
    if (seen.has(address)) return;
    seen.add(address);
    for (const dependent of below.get(address) ?? []) visit(dependent);
    order.push(address);
  };
  for (const { address } of nodes) visit(address as string);
  return {
    order,
    standing: new Map(nodes.filter(({ part }) => part !== 't').map(({ address, described }) => [address as string, described as string])),
  };
}
