import type { StartJobRunCommandInput } from '@aws-sdk/client-glue';
import type { Context, RemoteHandle, RemoteRequest, RemoteTask } from '@millrace/core/runtime';
import { consoleLink } from '../aws/console.ts';
import type { GlueFacts } from '../aws/facts.ts';
import { unlessMissing } from '../aws/found.ts';
import { listed } from '../aws/listed.ts';
import { isRecent, startedNow } from '../aws/recent.ts';
import type { GlueService } from './client.ts';
import { jobRunState } from './job-run-state.ts';

/** The argument by which a run is found again: Glue has no client tokens, and tells the arguments of its runs. */
export const requestArgument = '--millrace-request';

/** Runs that are looked through, newest first, for one that was started under an id. */
const lookedThrough = 400;

/** A run of a job. `settlesMs` is how long a run that was just started may be missing from the list of runs. */
export function glueJob(glue: GlueService, name: string, settlesMs: number): RemoteTask {
  const facts: GlueFacts = { native: true };
  return {
    description: {
      service: 'glue',
      action: 'StartJobRun',
      label: `Glue job ${name}`,
      region: glue.region,
      starts: 'once',
      watched: true,
      pollMs: 5_000,
      facts: { ...facts },
    },
    async start(request, context) {
      const { JobRunId } = await glue.call(`starting job ${name}`, context, (sdk, client, options) =>
        client.send(new sdk.StartJobRunCommand(marked(request)), options),
      );
      return handleOf(JobRunId!, context);
    },
    async adopt({ id }, context) {
      const run = await listed(() => startedUnder(id, context), settlesMs, context.signal);
      return run === null ? null : handleOf(run, context);
    },
    async poll(handle, context) {
      const { id } = handle;
      const found = await glue.call(`looking at run ${id} of job ${name}`, context, (sdk, client, options) =>
        unlessMissing(client.send(new sdk.GetJobRunCommand({ JobName: name, RunId: id }), options), 'EntityNotFoundException'),
      );
      if (found?.JobRun) return jobRunState(found.JobRun);
      if (isRecent(handle, context)) return { at: 'running', status: 'STARTING', progress: null };
      return { at: 'failed', reason: `Glue does not know run ${id} of job ${name} any more.`, again: false };
    },
    async cancel({ id }, context) {
      const { Errors = [] } = await glue.call(`stopping run ${id} of job ${name}`, context, (sdk, client, options) =>
        client.send(new sdk.BatchStopJobRunCommand({ JobName: name, JobRunIds: [id] }), options),
      );
      for (const { ErrorDetail: { ErrorCode = 'Error', ErrorMessage = '' } = {} } of Errors)
        context.log.warn(`Glue did not stop run ${id} of job ${name}: ${ErrorCode}. ${ErrorMessage}`);
    },
  };

  async function handleOf(run: string, context: Context): Promise<RemoteHandle> {
    const region = await glue.regionInUse(context);
    const link = consoleLink(region, `gluestudio/home?region=${region}#/job/${encodeURIComponent(name)}/run/${run}`);
    return { id: run, link, detail: startedNow(context) };
  }

  async function startedUnder(id: string, context: Context): Promise<string | null> {
    let seen = 0;
    let NextToken: string | undefined;
    do {
      const page = await glue.call(`looking for a run of job ${name}`, context, (sdk, client, options) =>
        client.send(new sdk.GetJobRunsCommand({ JobName: name, MaxResults: 100, ...(NextToken !== undefined && { NextToken }) }), options),
      );
      const runs = page.JobRuns ?? [];
      const found = runs.find(({ Arguments }) => Arguments?.[requestArgument] === id);
      if (found?.Id !== undefined) return found.Id;
      seen += runs.length;
      NextToken = page.NextToken;
    } while (NextToken !== undefined && seen < lookedThrough);
    return null;
  }
}

function marked({ id, parameters }: RemoteRequest): StartJobRunCommandInput {
  const input = parameters as unknown as StartJobRunCommandInput;
  return { ...input, Arguments: { ...input.Arguments, [requestArgument]: id } };
}
