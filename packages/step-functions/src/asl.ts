/** The part of the Amazon States Language that is written here: JSONPath, no variables. https://states-language.net */

export interface Definition {
  readonly Comment?: string;
  readonly StartAt: string;
  readonly States: Readonly<Record<string, State>>;
  readonly TimeoutSeconds?: number;
}

export type State = Task | Parallel | MapState | Choice | Wait | Pass | Succeed | Fail;

/** Where a state goes, and what the end of a scope leaves behind: null for nothing. */
export type Onward = { readonly Next: string } | { readonly End: true; readonly OutputPath?: string | null };

export type Task = {
  readonly Type: 'Task';
  readonly Comment?: string;
  readonly Resource: string;
  readonly InputPath?: string;
  readonly Parameters?: Template;
  readonly ResultSelector?: Template;
  readonly ResultPath?: string | null;
  readonly TimeoutSeconds?: number;
  readonly HeartbeatSeconds?: number;
  readonly Retry?: readonly Retrier[];
  readonly Catch?: readonly Catcher[];
} & Onward;

export interface Retrier {
  readonly ErrorEquals: readonly string[];
  readonly IntervalSeconds?: number;
  readonly MaxAttempts: number;
  readonly BackoffRate?: number;
  readonly MaxDelaySeconds?: number;
  readonly JitterStrategy?: 'FULL' | 'NONE';
}

export interface Catcher {
  readonly ErrorEquals: readonly string[];
  readonly ResultPath?: string | null;
  readonly Next: string;
}

export type Parallel = {
  readonly Type: 'Parallel';
  readonly Comment?: string;
  readonly Branches: readonly Definition[];
  readonly ResultSelector?: Template;
  readonly ResultPath?: string | null;
} & Onward;

export type MapState = {
  readonly Type: 'Map';
  readonly Comment?: string;
  readonly ItemsPath: string;
  readonly ItemSelector: Template;
  readonly MaxConcurrency: number;
  readonly Label?: string;
  readonly ItemProcessor: Definition & {
    readonly ProcessorConfig: { readonly Mode: 'INLINE' } | { readonly Mode: 'DISTRIBUTED'; readonly ExecutionType: 'STANDARD' };
  };
  readonly ResultPath: string | null;
  readonly Catch?: readonly Catcher[];
} & Onward;

export interface Choice {
  readonly Type: 'Choice';
  readonly Comment?: string;
  readonly Choices: readonly (Test & { readonly Next: string })[];
  readonly Default: string;
}

export type Test =
  | { readonly Or: readonly Test[] }
  | { readonly And: readonly Test[] }
  | { readonly Not: Test }
  | { readonly Variable: string; readonly BooleanEquals: boolean }
  | { readonly Variable: string; readonly IsPresent: boolean }
  | { readonly Variable: string; readonly IsNull: boolean }
  | { readonly Variable: string; readonly IsString: boolean }
  | { readonly Variable: string; readonly NumericEquals: number }
  | { readonly Variable: string; readonly NumericGreaterThanEquals: number }
  | { readonly Variable: string; readonly StringEquals: string }
  | { readonly Variable: string; readonly StringEqualsPath: string }
  | { readonly Variable: string; readonly StringMatches: string };

export type Wait = { readonly Type: 'Wait' } & ({ readonly Seconds: number } | { readonly SecondsPath: string }) & Onward;

export type Pass = {
  readonly Type: 'Pass';
  readonly Comment?: string;
  readonly InputPath?: string;
  readonly Result?: unknown;
  readonly Parameters?: Template;
  readonly ResultPath?: string | null;
} & Onward;

export interface Succeed {
  readonly Type: 'Succeed';
}

export interface Fail {
  readonly Type: 'Fail';
  readonly Error: string;
  readonly Cause: string;
}

/** JSON in which the value of a property `x.$` is a path or an intrinsic function. */
export type Template = { readonly [name: string]: TemplateValue };
export type TemplateValue = string | number | boolean | null | readonly TemplateValue[] | Template;

/** Whether iterations of a Map in it are executions of their own. */
export const isDistributed = ({ States }: Definition): boolean =>
  Object.values(States).some((state) =>
    state.Type === 'Map'
      ? state.ItemProcessor.ProcessorConfig.Mode === 'DISTRIBUTED' || isDistributed(state.ItemProcessor)
      : state.Type === 'Parallel' && state.Branches.some(isDistributed),
  );
