import type { Selection, Target, Transform, WireFormat } from '../connector/index.ts';
import type { Lane } from './plan.ts';

/** The way rows take from a source through the transforms that are left into a sink. */
export interface Route {
  readonly lane: Lane;
  readonly reason: string;
  readonly read: WireFormat;
  readonly write: WireFormat;
}

export interface NamedTransform {
  readonly name: string;
  readonly transform: Transform;
}

/** Bytes that nobody has to look at are the cheapest way; a function of the pipeline in between needs batches. */
export function chooseRoute(selection: Selection, left: readonly NamedTransform[], target: Target, settingAside: boolean): Route {
  const single = left.find(({ transform }) => transform.lane === 'rows');
  if (single) {
    return {
      lane: 'rows',
      reason: `"${single.name}" (${single.transform.name}) runs a function for each row`,
      read: 'batches',
      write: 'batches',
    };
  }
  const first = left[0];
  if (first) {
    const why = first.transform.relational ? 'runs here, since the source cannot do it in its query' : 'works on batches';
    return { lane: 'columns', reason: `"${first.name}" (${first.transform.name}) ${why}`, read: 'batches', write: 'batches' };
  }
  if (settingAside) {
    return { lane: 'columns', reason: 'rows that the target refuses are set aside one by one', read: 'batches', write: 'batches' };
  }
  const format = formatsByCost.find((candidate) => selection.offers.includes(candidate) && target.accepts.includes(candidate)) ?? 'batches';
  if (format === 'batches') {
    return {
      lane: 'columns',
      reason: `${selection.description.connector} and ${target.description.connector} share no byte format`,
      read: format,
      write: format,
    };
  }
  if (selection.via === 'duckdb' || target.via === 'duckdb') {
    const files = target.via === 'duckdb' ? target.description.object : selection.description.object;
    return {
      lane: 'duckdb',
      reason: `no function in between: DuckDB converts ${format} and the files of ${files}`,
      read: format,
      write: format,
    };
  }
  return { lane: 'bytes', reason: `no function in between: both ends speak ${format}`, read: format, write: format };
}

const formatsByCost: readonly WireFormat[] = ['pgcopy-binary', 'csv', 'batches'];
