import { type Argument, type BoundStatement, isRunValue, type RemoteParameters, type RunValue } from '../author/index.ts';
import type { Json, RunFacts, SqlStatement } from '../connector/index.ts';
import { MillraceError } from '../error/index.ts';
import { fillParameters } from '../plan/index.ts';

/** A statement with the values of this run in place of `run.date` and the like. @throws CONFIG_INVALID where the run has none */
export function bind({ text, values }: BoundStatement, run: RunFacts): SqlStatement {
  return { text, values: values.map((value) => bindArgument(value, run)) };
}

export function bindArgument(value: Argument, run: RunFacts): Exclude<Argument, RunValue> {
  return isRunValue(value) ? lookUp(value.of, run) : value;
}

/** Parameters of a service's call. @throws CONFIG_INVALID where the run has no such value */
export function bindParameters(parameters: RemoteParameters, run: RunFacts): Readonly<Record<string, Json>> {
  return fillParameters(parameters, ({ of }) => lookUp(of, run));
}

function lookUp(of: RunValue['of'], run: RunFacts): string {
  switch (of) {
    case 'id':
      return run.id;
    case 'date':
      return run.date;
    case 'logicalTime':
      return run.logicalTime;
    case 'window.start':
    case 'window.end': {
      if (run.window) return of === 'window.start' ? run.window.start : run.window.end;
      throw missing(`run.${of}`, 'Give the run a window: --window <start>..<end>.');
    }
    default: {
      const name = of.slice('params.'.length);
      const value = Object.hasOwn(run.params, name) ? run.params[name] : undefined;
      if (value !== undefined) return value;
      throw missing(`run.param('${name}')`, `Give it with --param ${name}=…, or give it a default in pipeline({ params }).`);
    }
  }
}

function missing(what: string, remedy: string): MillraceError {
  return new MillraceError('CONFIG_INVALID', { message: `A step uses ${what}, and this run has none.`, remedy, facts: { value: what } });
}
