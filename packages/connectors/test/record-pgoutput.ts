import type { Tuple } from '../src/changes/tuple.ts';
import { pgoutputParser } from '../src/postgres/replication/pgoutput.ts';
import type { StreamHandler } from '../src/postgres/replication/stream.ts';

/** A message by the name of its handler and what it was told. Rows are arrays of text; an unchanged value is undefined. */
export type Heard = readonly [what: string, ...told: unknown[]];

const row = (tuple: Tuple | null): unknown => tuple && Array.from({ length: tuple.columns }, (_, column) => tuple.text(column));

/** A parser that tells `heard` of every message, rows copied. */
export function recordPgoutput(heard: (event: Heard) => void): StreamHandler['message'] {
  return pgoutputParser({
    begin: (...told) => heard(['begin', ...told]),
    commit: (...told) => heard(['commit', ...told]),
    origin: (...told) => heard(['origin', ...told]),
    relation: (...told) => heard(['relation', ...told]),
    type: (...told) => heard(['type', ...told]),
    insert: (relation, after, xid) => heard(['insert', relation, row(after), xid]),
    update: (relation, old, kind, after, xid) => heard(['update', relation, row(old), kind, row(after), xid]),
    delete: (relation, old, kind, xid) => heard(['delete', relation, row(old), kind, xid]),
    truncate: (...told) => heard(['truncate', ...told]),
    message: (prefix, content, ...told) => heard(['message', prefix, content.toString('latin1'), ...told]),
    streamStart: (...told) => heard(['streamStart', ...told]),
    streamStop: () => heard(['streamStop']),
    streamCommit: (...told) => heard(['streamCommit', ...told]),
    streamAbort: (...told) => heard(['streamAbort', ...told]),
    beginPrepare: (...told) => heard(['beginPrepare', ...told]),
    prepare: (...told) => heard(['prepare', ...told]),
    commitPrepared: (...told) => heard(['commitPrepared', ...told]),
    rollbackPrepared: (...told) => heard(['rollbackPrepared', ...told]),
    streamPrepare: (...told) => heard(['streamPrepare', ...told]),
  });
}
