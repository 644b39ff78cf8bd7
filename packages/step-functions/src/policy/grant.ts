/** What a state may do: a statement of a policy, before equal ones are put together. */
export interface Grant {
  readonly actions: readonly string[];
  /** ARNs, in which `${Account}` and the like are filled in by the template. */
  readonly resources: readonly string[];
  readonly when?: Readonly<Record<string, Readonly<Record<string, string | readonly string[]>>>>;
}
