/*
 * npm run chaos -- [cdc] [mariadb] --seeds 200   a bank under load, in Postgres or MariaDB, and its mirror: cdc-main.ts
 * npm run chaos -- fleet --seeds 500             random DAGs on a fleet of workers: fleet/main.ts
 */
const [which, ...words] = process.argv.slice(2);
const { main } = which === 'fleet' ? await import('./fleet/main.ts') : await import('./cdc-main.ts');
await main(which === 'fleet' || which === 'cdc' ? words : process.argv.slice(2));
