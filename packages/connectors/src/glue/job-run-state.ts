import type { JobRun } from '@aws-sdk/client-glue';
import type { RemoteState } from '@millrace/core/runtime';

/** What the state of a run means for the step that waits for it. A state that is new to us is one to go on waiting in. */
export function jobRunState(run: JobRun): RemoteState {
  const { JobRunState: state = 'STARTING' } = run;
  switch (state) {
    case 'SUCCEEDED':
      return { at: 'succeeded', output: counted(run) };
    case 'FAILED':
      return failed(run.ErrorMessage ?? 'The job ended with an error.', isCapacity(run.ErrorMessage));
    case 'TIMEOUT':
      return failed(`The job ran longer than its timeout of ${run.Timeout ?? '?'} minutes.`, false);
    case 'ERROR':
      return failed(run.ErrorMessage ?? 'Glue could not run the job.', isCapacity(run.ErrorMessage));
    case 'EXPIRED':
      return failed('The run waited in the queue for longer than it may.', true);
    case 'STOPPED':
      return failed('Somebody stopped the run.', true);
    default:
      return { at: 'running', status: state, progress: null };
  }
}

const failed = (reason: string, again: boolean): RemoteState => ({ at: 'failed', reason, again });

/** What Glue says where it had no machines or addresses for the run, or lost them: "Resource unavailable", "exceeded the maximum capacity". */
const isCapacity = (message = ''): boolean =>
  /resource unavailable|insufficient (capacity|resources)|maximum (concurrent )?(capacity|dpus?)|not enough free addresses|no available capacity|internal service (error|exception)|node.* lost/i.test(
    message,
  );

const counted = ({ ExecutionTime, DPUSeconds, Attempt, WorkerType, NumberOfWorkers, GlueVersion }: JobRun) => ({
  ...(ExecutionTime !== undefined && { seconds: ExecutionTime }),
  ...(DPUSeconds !== undefined && { dpuSeconds: DPUSeconds }),
  ...(Attempt !== undefined && { attempt: Attempt }),
  ...(WorkerType !== undefined && { workerType: WorkerType }),
  ...(NumberOfWorkers !== undefined && { workers: NumberOfWorkers }),
  ...(GlueVersion !== undefined && { glueVersion: GlueVersion }),
});
