/** By which a state tells a task of ours what to do. They are no business of the code that the task runs. */
export const taskVariables = {
  plan: 'MILLRACE_PLAN',
  run: 'MILLRACE_RUN',
  input: 'MILLRACE_INPUT',
  attempt: 'MILLRACE_ATTEMPT',
  redriveCount: 'MILLRACE_REDRIVE',
  place: 'MILLRACE_PLACE',
  token: 'MILLRACE_TASK_TOKEN',
} as const;
