import { createHash } from 'node:crypto';

/** A statement that comes again with other values: its name follows from its text. */
export interface Statement {
  readonly name: string;
  readonly text: string;
}

const known = new Map<string, Statement>();
/** Enough for every table and mask of a stream; beyond it the map starts over, and servers forget nothing by that. */
const most = 10_000;

export function statement(text: string): Statement {
  const found = known.get(text);
  if (found) return found;
  if (known.size >= most) known.clear();
  const made = { name: `millrace_${createHash('sha256').update(text).digest('hex').slice(0, 20)}`, text };
  known.set(text, made);
  return made;
}
