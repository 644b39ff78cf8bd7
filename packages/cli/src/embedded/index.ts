export { createDatabase } from './database.ts';
export { type EmbeddedOptions, type EmbeddedPostgres, embeddedPostgres } from './embedded.ts';
