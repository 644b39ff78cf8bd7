/** The place of a row in its staging table; no table of a user has such a column. */
export const ordinal = '`__millrace_ordinal`';
