/** Databases whose ways are known; `other` gets what the standard says. */
export type ProductName =
  | 'db2'
  | 'derby'
  | 'h2'
  | 'hsqldb'
  | 'mysql'
  | 'oracle'
  | 'postgres'
  | 'snowflake'
  | 'sqlite'
  | 'sqlserver'
  | 'other';

/** By what the database calls itself. */
export function productNamed(name: string): ProductName {
  const lower = name.toLowerCase();
  const known: readonly (readonly [string, ProductName])[] = [
    ['db2', 'db2'],
    ['apache derby', 'derby'],
    ['h2', 'h2'],
    ['hsql', 'hsqldb'],
    ['mariadb', 'mysql'],
    ['mysql', 'mysql'],
    ['oracle', 'oracle'],
    ['postgresql', 'postgres'],
    ['snowflake', 'snowflake'],
    ['sqlite', 'sqlite'],
    ['microsoft sql server', 'sqlserver'],
  ];
  return known.find(([start]) => lower.startsWith(start))?.[1] ?? 'other';
}
