import { createHash } from 'node:crypto';
import type { ExecutionStatus, HistoryEvent, SFNClient } from '@aws-sdk/client-sfn';
import { isAwsError, type Json } from '@millrace/core/runtime';
import { type Asked, loadSfn, refusal } from '../sfn.ts';

/** The part of Step Functions' API that runs of pipelines need. What it refuses is told as a MillraceError. */
export interface StepFunctionsService extends Disposable {
  /** The ARN of the state machine of this name; null where the account has none in this region. */
  machine(name: string): Promise<string | null>;
  /** What its definition says of itself; null where it is gone, or about to go. */
  comment(machine: string): Promise<string | null>;
  /** Safe to repeat. False where there is an execution of this name that has ended, or was given something else: nothing happens then. */
  start(machine: string, name: string, input: Json): Promise<boolean>;
  /** Null where there is no such execution. */
  execution(arn: string): Promise<Execution | null>;
  /** Events after one of this number (0: from the beginning), oldest first. */
  history(execution: string, after: number): Promise<HistoryEvent[]>;
  stop(execution: string, error: string, cause: string): Promise<void>;
  /** Answers whether it was done, now or with the same token before: an execution that goes on, or is too old, cannot be. */
  redrive(execution: string, token: string): Promise<boolean>;
}

export interface Execution {
  readonly arn: string;
  readonly status: ExecutionStatus;
  readonly input: Readonly<Record<string, Json>>;
  readonly error: string | null;
  readonly cause: string | null;
  /** How often it was redriven. */
  readonly redriveCount: number;
  readonly redrivable: boolean;
}

export const goesOn = ({ status }: Execution): boolean => status === 'RUNNING' || status === 'PENDING_REDRIVE';

/** Answers of it hold a thousand events, or what else there is. */
const page = 1000;

/** It tries again by itself what was throttled, with growing pauses. */
export async function stepFunctionsService(region: string): Promise<StepFunctionsService> {
  const aws = await loadSfn();
  const client: SFNClient = new aws.SFNClient({
    region,
    maxAttempts: 6,
    requestHandler: { connectionTimeout: 5_000, requestTimeout: 30_000, throwOnRequestTimeout: true },
  });
  const machines = new Map<string, string>();

  async function asked<Answer>(call: () => Promise<Answer>, what: Asked): Promise<Answer> {
    try {
      return await call();
    } catch (error) {
      throw refusal(error, what);
    }
  }

  /** The account's number is nobody's to configure, so the machine is found by its name. */
  async function arnOf(name: string): Promise<string | null> {
    for (let nextToken: string | undefined; ; ) {
      const answer = await client.send(new aws.ListStateMachinesCommand({ maxResults: page, ...(nextToken && { nextToken }) }));
      for (const { name, stateMachineArn } of answer.stateMachines ?? []) if (name && stateMachineArn) machines.set(name, stateMachineArn);
      nextToken = answer.nextToken;
      if (nextToken === undefined || machines.has(name)) return machines.get(name) ?? null;
    }
  }

  const service: StepFunctionsService = {
    machine: (name) =>
      asked(async () => machines.get(name) ?? (await arnOf(name)), {
        doing: `looking for the state machine ${name}`,
        grant: 'states:ListStateMachines on *',
      }),
    comment: (arn) =>
      asked(
        async () => {
          try {
            const { definition = '{}', status } = await client.send(new aws.DescribeStateMachineCommand({ stateMachineArn: arn }));
            return status === 'DELETING' ? null : String(JSON.parse(definition).Comment ?? '');
          } catch (error) {
            if (isAwsError(error, 'StateMachineDoesNotExist')) return null;
            throw error;
          }
        },
        { doing: `looking at ${arn}`, grant: 'states:DescribeStateMachine on the state machine' },
      ),
    start: (machine, name, input) =>
      asked(
        async () => {
          try {
            await client.send(new aws.StartExecutionCommand({ stateMachineArn: machine, name, input: JSON.stringify(input) }));
            return true;
          } catch (error) {
            if (isAwsError(error, 'ExecutionAlreadyExists')) return false;
            throw error;
          }
        },
        { doing: `starting execution ${name}`, grant: 'states:StartExecution on the state machine' },
      ),
    execution: (arn) =>
      asked(
        async () => {
          try {
            const found = await client.send(new aws.DescribeExecutionCommand({ executionArn: arn }));
            return {
              arn,
              status: found.status ?? 'RUNNING',
              input: JSON.parse(found.input ?? '{}'),
              error: found.error ?? null,
              cause: found.cause ?? null,
              redriveCount: found.redriveCount ?? 0,
              redrivable: found.redriveStatus === 'REDRIVABLE',
            };
          } catch (error) {
            if (isAwsError(error, 'ExecutionDoesNotExist')) return null;
            throw error;
          }
        },
        { doing: `looking at ${nameOf(arn)}`, grant: "states:DescribeExecution on the state machine's executions" },
      ),
    history: (arn, after) =>
      asked(
        async () => {
          const events: HistoryEvent[] = [];
          for (let nextToken: string | undefined; ; ) {
            const answer = await client.send(
              new aws.GetExecutionHistoryCommand({
                executionArn: arn,
                // Only what is new need come.
                reverseOrder: true,
                maxResults: page,
                includeExecutionData: true,
                ...(nextToken && { nextToken }),
              }),
            );
            const fresh = (answer.events ?? []).filter(({ id = 0 }) => id > after);
            events.push(...fresh);
            nextToken = answer.nextToken;
            if (nextToken === undefined || fresh.length < (answer.events?.length ?? 0)) return events.reverse();
          }
        },
        { doing: `reading the history of ${nameOf(arn)}`, grant: "states:GetExecutionHistory on the state machine's executions" },
      ),
    stop: (arn, error, cause) =>
      asked(() => client.send(new aws.StopExecutionCommand({ executionArn: arn, error, cause })).then(() => undefined), {
        doing: `stopping ${nameOf(arn)}`,
        grant: "states:StopExecution on the state machine's executions",
      }),
    redrive: (arn, token) =>
      asked(
        async () => {
          try {
            // It takes 64 characters, and remembers the last ten of them for a quarter of an hour.
            const clientToken = createHash('sha256').update(token).digest('hex');
            await client.send(new aws.RedriveExecutionCommand({ executionArn: arn, clientToken }));
            return true;
          } catch (error) {
            if (isAwsError(error, 'ExecutionNotRedrivable')) return false;
            throw error;
          }
        },
        { doing: `redriving ${nameOf(arn)}`, grant: "states:RedriveExecution on the state machine's executions" },
      ),
    [Symbol.dispose]: () => client.destroy(),
  };
  return service;
}

/** `arn:aws:states:eu-west-1:123456789012:execution:millrace-nightly:20261121T203612-k3x9f2`, without what nobody reads. */
const nameOf = (arn: string): string => `execution ${arn.split(':').slice(6).join(' ')}`;
