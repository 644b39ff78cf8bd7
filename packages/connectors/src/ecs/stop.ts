import type { Container, Task } from '@aws-sdk/client-ecs';
import type { RemoteState } from '@millrace/core/runtime';

/** Under which tasks are stopped by us. */
export const stopReason = 'Cancelled by Millrace';

/**
 * What the end of a task means. Capacity, Spot and whoever stopped it ask for another start; an exit code and an image that is not there ask
 * for a person. `container` is the one whose exit code counts; without it, one has to have ended with 0 and the others with 0 or by ECS's own
 * signal, as those beside it are ended.
 */
export function stoppedState(task: Task, container: string | null): RemoteState {
  const reason = reasonOf(task);
  if (task.stoppedReason === stopReason) return failed(reason, true);
  switch (task.stopCode) {
    case 'SpotInterruption':
    case 'TerminationNotice':
    case 'ServiceSchedulerInitiated':
    case 'UserInitiated':
      return failed(reason, true);
    case 'TaskFailedToStart':
      return failed(reason, mayPass.test(reason));
    default:
      return exitState(task, container, reason);
  }
}

function exitState(task: Task, container: string | null, reason: string): RemoteState {
  const containers = task.containers ?? [];
  const counting = container === null ? containers : containers.filter(({ name }) => name === container);
  const codes = counting.flatMap(({ exitCode }) => (exitCode === undefined ? [] : [exitCode]));
  const well = container === null ? codes.includes(0) && codes.every((code) => [0, killed, terminated].includes(code)) : codes.includes(0);
  if (well) return { at: 'succeeded', output: { exitCodes: exitCodes(containers), ...seconds(task) } };
  // Without an exit code nobody knows what the program did: the machine under it went.
  return failed(reason, codes.length === 0 && (containers.length === 0 || mayPass.test(reason)));
}

/** 128 + SIGTERM, 128 + SIGKILL. */
const terminated = 143;
const killed = 137;

const failed = (reason: string, again: boolean): RemoteState => ({ at: 'failed', reason, again });

function reasonOf({ stopCode, stoppedReason, containers = [] }: Task): string {
  const ends = containers
    .filter(({ exitCode, reason }) => exitCode !== 0 && (exitCode !== undefined || reason !== undefined))
    .map(({ name, exitCode, reason }) =>
      [`container ${name}`, exitCode === undefined ? '' : `exited with ${exitCode}`, reason ?? ''].filter(Boolean).join(' '),
    );
  const said = stoppedReason ?? stopCode ?? 'The task stopped, and ECS does not say why.';
  return ends.length === 0 ? said : `${said} (${ends.join('; ')})`;
}

/** Of a task that could not be placed or started, what another try may find otherwise: capacity, networks, the services that it asks first. */
const mayPass =
  /capacity|spot|timed? ?out|timeout|i\/o|connection (refused|reset)|temporar|try again|throttl|rate ?exceeded|toomanyrequests|internal ?error|unexpected EC2 error|maintenance|host ec2|instance .*(terminated|stopped)|network interface provisioning|dockertimeout|ephemeral storage/i;

const exitCodes = (containers: readonly Container[]): Record<string, number> =>
  Object.fromEntries(containers.flatMap(({ name = '', exitCode }) => (exitCode === undefined ? [] : [[name, exitCode]])));

const seconds = ({ startedAt, stoppedAt }: Task): { readonly seconds?: number } =>
  startedAt && stoppedAt ? { seconds: Math.round((stoppedAt.getTime() - startedAt.getTime()) / 1000) } : {};

/** Whether another try may place a task that ECS did not place: room and agents come back, a missing attribute does not. */
export function refusal(reason: string): 'never' | 'later' {
  return /^(RESOURCE|AGENT|EMPTY CAPACITY PROVIDER)|capacity|limit on the number of|try again|throttl|rate ?exceeded|internal/i.test(reason)
    ? 'later'
    : 'never';
}
