import { randomUUID } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import type { Json } from '../packages/core/src/runtime.ts';
import type { Definition, Template } from '../packages/step-functions/src/index.ts';
import { type Answer, type Asked, failure, type Loose, startMachine } from '../packages/step-functions/test/interpreter.ts';
import { type AwsFake, AwsFault, awsFake } from './aws-fake.ts';

/** A task of ECS that runs: one container with this command and what is added to its environment. */
export interface RunningTask {
  /** As a shell knows it: 128 and the signal's number where one ended it. */
  readonly exitCode: Promise<number>;
  /** What ECS does to end a task: it is asked, and then killed. */
  stop(): void;
}

export interface ServerOptions {
  readonly startTask: (command: readonly string[], environment: Readonly<Record<string, string>>) => RunningTask;
  /** What services answer to states that call them; an empty object where it is left out. */
  readonly native?: Answer;
}

export interface StepFunctionsServer extends AsyncDisposable {
  readonly fake: AwsFake;
  /** With which the clients of a process find it. */
  readonly environment: Readonly<Record<string, string>>;
  /** Makes the machines of a template, or puts them in the place of those of the same names. */
  deploy(template: Pick<Template, 'Resources'>): void;
  remove(machine: string): void;
  /** Starts the pipeline's machine as a schedule does. Answers the execution's name. */
  startAs(machine: string, input: Json): string;
  /** Stops an execution as a person does in the console. */
  stop(name: string): void;
  /** What tasks and services were asked, in order. */
  readonly asked: readonly Asked[];
  /** Of executions by their names: how they fare. */
  status(name: string): string | undefined;
  error(name: string): string | undefined;
}

const account = 'arn:aws:states:eu-west-1:123456789012';

/**
 * Step Functions of one account, over HTTP: machines run in aws-local-stepfunctions, tasks of ECS are processes of this machine. A redriven execution
 * runs from its beginning with what has succeeded as it was, which is as near as the interpreter comes.
 */
export async function stepFunctionsServer({ startTask, native = () => ({}) }: ServerOptions): Promise<StepFunctionsServer> {
  const machines = new Map<string, StoredMachine>();
  const executions = new Map<string, Execution>();
  const tokens = new Map<string, { resolve(output: Json): void; reject(error: Error): void }>();
  const asked: Asked[] = [];

  function start(machine: string, name: string, input: Json): Execution {
    const stored = machines.get(machine);
    if (!stored) throw new AwsFault('StateMachineDoesNotExist', `State Machine Does Not Exist: '${machine}'`);
    const arn = `${machine.replace(':stateMachine:', ':execution:')}:${name}`;
    const known = executions.get(arn);
    if (known?.status === 'RUNNING' && JSON.stringify(known.input) === JSON.stringify(input)) return known;
    if (known) throw new AwsFault('ExecutionAlreadyExists', `Execution Already Exists: '${arn}'`);
    const execution = new Execution(arn, name, stored, input, perform);
    executions.set(arn, execution);
    execution.run();
    return execution;
  }

  async function perform(execution: Execution, one: Asked): Promise<Json> {
    asked.push(one);
    const { call, parameters } = one;
    if (call.startsWith('states:startExecution')) return nested(execution, one);
    if (!call.startsWith('ecs:runTask') || parameters['TaskDefinition'] !== taskDefinition) {
      const answered = (await native(one)) ?? {};
      execution.submitted(one, answered);
      return answered;
    }
    const container = parameters['Overrides']?.['ContainerOverrides']?.[0] as Loose;
    const variables = container['Environment'] as unknown as readonly { readonly Name: string; readonly Value: string }[];
    const environment = Object.fromEntries(variables.map(({ Name, Value }) => [Name, Value]));
    const token = randomUUID();
    const task = startTask(container['Command'] as unknown as string[], {
      ...environment,
      MILLRACE_ATTEMPT: String(execution.attemptsAt(one.state) - 1),
      ...(environment['MILLRACE_TASK_TOKEN'] !== undefined && { MILLRACE_TASK_TOKEN: token }),
    });
    execution.tasks.add(task);
    const TaskArn = `arn:aws:ecs:eu-west-1:123456789012:task/etl/${token}`;
    execution.submitted(one, { Tasks: [{ TaskArn }], Failures: [] });
    void task.exitCode.finally(() => execution.tasks.delete(task));
    if (environment['MILLRACE_TASK_TOKEN'] !== undefined)
      return new Promise<Json>((resolve, reject) => tokens.set(token, { resolve, reject })).finally(() => tokens.delete(token));
    const ExitCode = await task.exitCode;
    const ended = {
      TaskArn,
      LastStatus: 'STOPPED',
      StopCode: 'EssentialContainerExited',
      StoppedReason: 'Essential container in task exited',
      Containers: [{ Name: 'millrace', LastStatus: 'STOPPED', ExitCode }],
    };
    if (ExitCode !== 0) throw failure('States.TaskFailed', JSON.stringify(ended));
    return ended;
  }

  async function nested(parent: Execution, one: Asked): Promise<Json> {
    const input = one.parameters['Input'] as unknown as Json;
    const child = start(
      one.parameters['StateMachineArn'] as string,
      `${parent.name}-${one.state.replaceAll(' ', '-')}-${randomUUID().slice(0, 8)}`,
      input,
    );
    parent.children.add(child);
    parent.submitted(one, { ExecutionArn: child.arn });
    await child.ended;
    if (child.status !== 'SUCCEEDED')
      throw failure(
        'States.TaskFailed',
        JSON.stringify({ ExecutionArn: child.arn, Status: child.status, Error: child.error, Cause: child.cause }),
      );
    return { ExecutionArn: child.arn, Status: 'SUCCEEDED', Output: child.output };
  }

  const found = (arn: string): Execution => {
    const execution = executions.get(arn);
    if (execution) return execution;
    throw new AwsFault('ExecutionDoesNotExist', `Execution Does Not Exist: '${arn}'`);
  };
  const waiting = (token: string) => {
    const known = tokens.get(token);
    if (known) return known;
    throw new AwsFault('TaskTimedOut', 'Task Timed Out: Provided task does not exist anymore');
  };

  const fake = await awsFake({
    ListStateMachines: () => ({ stateMachines: [...machines.values()].map(({ arn, name }) => ({ stateMachineArn: arn, name })) }),
    DescribeStateMachine({ stateMachineArn }) {
      const machine = machines.get(stateMachineArn);
      if (!machine) throw new AwsFault('StateMachineDoesNotExist');
      return { stateMachineArn, name: machine.name, status: 'ACTIVE', type: 'STANDARD', definition: JSON.stringify(machine.definition) };
    },
    StartExecution: ({ stateMachineArn, name = randomUUID(), input = '{}' }) => {
      const { arn, startDate } = start(stateMachineArn, name, JSON.parse(input));
      return { executionArn: arn, startDate };
    },
    DescribeExecution: ({ executionArn }) => found(executionArn).description(),
    GetExecutionHistory({ executionArn, reverseOrder = false, maxResults = 100, nextToken = '0' }) {
      const events = found(executionArn).events;
      const from = Number(nextToken);
      const some = (reverseOrder ? [...events].reverse() : events).slice(from, from + maxResults);
      return { events: some, ...(from + maxResults < events.length && { nextToken: String(from + maxResults) }) };
    },
    StopExecution: ({ executionArn, error, cause }) => ({ stopDate: found(executionArn).stop(error, cause) }),
    RedriveExecution({ executionArn, clientToken }) {
      const execution = found(executionArn);
      if (!execution.redriveTokens.has(clientToken)) {
        if (!execution.redrivable) throw new AwsFault('ExecutionNotRedrivable', `Execution is ${execution.status}`);
        execution.redriveTokens.add(clientToken);
        execution.redrive();
      }
      return { redriveDate: new Date() };
    },
    SendTaskHeartbeat: ({ taskToken }) => void waiting(taskToken),
    SendTaskSuccess: ({ taskToken, output }) => waiting(taskToken).resolve(JSON.parse(output)),
    SendTaskFailure: ({ taskToken, error, cause }) => waiting(taskToken).reject(failure(error, cause)),
  });

  const named = (name: string): Execution | undefined => [...executions.values()].find((execution) => execution.name === name);
  const arnOf = (machine: string): string => `${account}:stateMachine:${machine}`;
  return {
    fake,
    asked,
    environment: {
      AWS_ENDPOINT_URL_SFN: fake.settings.endpoint,
      AWS_REGION: fake.settings.region,
      AWS_ACCESS_KEY_ID: 'test',
      AWS_SECRET_ACCESS_KEY: 'test',
      AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: 'true',
    },
    deploy({ Resources }) {
      const found = Object.entries(Resources).flatMap(([id, { Type, Properties }]) =>
        Type === 'AWS::StepFunctions::StateMachine'
          ? [{ id, name: String(Properties['StateMachineName']), text: String(Properties['DefinitionString']) }]
          : [],
      );
      const places = new Map(found.map(({ id, name }) => [`\${${id}Arn}`, arnOf(name)]));
      for (const { name, text } of found) {
        const filled = text.replaceAll(/\$\{\w+Arn\}/g, (place) => places.get(place) ?? taskDefinition);
        machines.set(arnOf(name), { arn: arnOf(name), name, definition: JSON.parse(filled) });
      }
    },
    remove: (machine) => void machines.delete(arnOf(machine)),
    startAs: (machine, input) => start(arnOf(machine), `schedule-${randomUUID()}`, input).name,
    stop: (name) => void named(name)?.stop(),
    status: (name) => named(name)?.status,
    error: (name) => named(name)?.error,
    async [Symbol.asyncDispose]() {
      for (const execution of executions.values()) execution.stop('Server.Closed');
      await Promise.all([...executions.values()].flatMap(({ ended, tasks }) => [ended, ...[...tasks].map(({ exitCode }) => exitCode)]));
      await fake[Symbol.asyncDispose]();
    },
  };
}

const taskDefinition = 'arn:aws:ecs:eu-west-1:123456789012:task-definition/millrace:1';

interface StoredMachine {
  readonly arn: string;
  readonly name: string;
  readonly definition: Definition;
}

type Event = { readonly id: number; readonly previousEventId: number; readonly type: string; readonly timestamp: Date } & Record<
  string,
  unknown
>;

type Perform = (execution: Execution, one: Asked) => Promise<Json>;

class Execution {
  status: 'RUNNING' | 'SUCCEEDED' | 'FAILED' | 'ABORTED' = 'RUNNING';
  output: Json = null;
  error: string | undefined;
  cause: string | undefined;
  ended: Promise<void> = Promise.resolve();
  readonly arn: string;
  readonly name: string;
  readonly machine: StoredMachine;
  readonly input: Json;
  readonly startDate = new Date();
  readonly tasks = new Set<RunningTask>();
  readonly children = new Set<Execution>();
  /** With the same one again nothing happens. */
  readonly redriveTokens = new Set<string>();
  readonly events: Event[] = [];
  readonly #perform: Perform;
  #stopDate: Date | undefined;
  #redriven = 0;
  #abort: () => void = () => {};
  /** The last event of each state, and how often its task was tried. */
  readonly #last = new Map<string, number>();
  readonly #attempts = new Map<string, number>();
  /** Of tasks that have succeeded: they are not done again. */
  readonly #outputs = new Map<string, Json>();

  constructor(arn: string, name: string, machine: StoredMachine, input: Json, perform: Perform) {
    this.arn = arn;
    this.name = name;
    this.machine = machine;
    this.input = input;
    this.#perform = perform;
  }

  run(): void {
    this.status = 'RUNNING';
    if (this.#redriven === 0) this.#tell('ExecutionStarted', 0, { executionStartedEventDetails: { input: JSON.stringify(this.input) } });
    const time = this.#redriven;
    const running = startMachine(this.machine.definition, this.input, {
      answer: (one) => this.#task(one, time),
      execution: { Id: this.arn, Name: this.name, RedriveCount: this.#redriven },
    });
    this.#abort = running.abort;
    const told = this.#states(running.events);
    this.ended = running.ended.then(async ({ output, error, cause }) => {
      await told;
      if (this.status !== 'RUNNING') return;
      for (const task of this.tasks) task.stop();
      [this.output, this.error, this.cause] = [output as Json, error ?? undefined, cause];
      this.#end(error === null ? 'SUCCEEDED' : 'FAILED');
    });
  }

  stop(error?: string, cause?: string): Date {
    if (this.status === 'RUNNING') {
      [this.error, this.cause] = [error, cause];
      this.#end('ABORTED');
      this.#abort();
      for (const child of this.children) child.stop();
      for (const task of this.tasks) task.stop();
    }
    return this.#stopDate as Date;
  }

  get redrivable(): boolean {
    return this.status === 'FAILED' || this.status === 'ABORTED';
  }

  redrive(): void {
    this.#redriven++;
    this.#stopDate = undefined;
    this.#attempts.clear();
    this.#tell('ExecutionRedriven', this.events.length, { executionRedrivenEventDetails: { redriveCount: this.#redriven } });
    this.run();
  }

  description(): object {
    const { arn, name, machine, status, startDate, input, output, error, cause } = this;
    return {
      executionArn: arn,
      stateMachineArn: machine.arn,
      name,
      status,
      startDate,
      ...(this.#stopDate && { stopDate: this.#stopDate }),
      input: JSON.stringify(input),
      ...(status === 'SUCCEEDED' && { output: JSON.stringify(output) }),
      error,
      cause,
      redriveCount: this.#redriven,
      redriveStatus: this.redrivable ? 'REDRIVABLE' : 'NOT_REDRIVABLE',
    };
  }

  attemptsAt(state: string): number {
    return this.#attempts.get(state) ?? 0;
  }

  /** What a service has answered to the request for work that is then waited for. */
  submitted({ state, call }: Asked, answer: Json): void {
    if (!/\.(sync|wait)/.test(call)) return;
    const [resourceType, resource] = call.split(':');
    this.#tell(
      'TaskSubmitted',
      this.#last.get(state) ?? 0,
      { taskSubmittedEventDetails: { resourceType, resource, output: JSON.stringify(answer) } },
      state,
    );
  }

  async #task(one: Asked, time: number): Promise<Json> {
    // The interpreter goes on with what it tries again when it has been stopped.
    if (this.status !== 'RUNNING' || time !== this.#redriven) throw failure('States.TaskFailed', 'stopped');
    const { state, call, parameters } = one;
    const key = `${state} ${JSON.stringify(parameters).match(/"MILLRACE_PLACE","Value":"(\d+)"/)?.[1] ?? ''}`;
    const known = this.#outputs.get(key);
    if (known !== undefined) return known;
    await setImmediate(); // the state has been entered
    this.#attempts.set(state, this.attemptsAt(state) + 1);
    const [resourceType, resource] = call.split(':');
    const of = { resourceType, resource };
    const tell = (type: string, details: object) =>
      this.#tell(
        type,
        this.#last.get(state) ?? 0,
        { [`${type[0]?.toLowerCase()}${type.slice(1)}EventDetails`]: { ...of, ...details } },
        state,
      );
    tell('TaskScheduled', { region: 'eu-west-1', parameters: JSON.stringify(parameters) });
    tell('TaskStarted', {});
    try {
      const output = await this.#perform(this, one);
      if (this.status !== 'RUNNING') throw failure('States.TaskFailed', 'stopped');
      tell('TaskSucceeded', { output: JSON.stringify(output) });
      this.#outputs.set(key, output);
      return output;
    } catch (error) {
      const { name, message } = error as Error;
      if (this.status === 'RUNNING') tell('TaskFailed', { error: name, cause: message });
      throw error;
    }
  }

  async #states(events: ReturnType<typeof startMachine>['events']): Promise<void> {
    for await (const event of events) {
      if (this.status !== 'RUNNING') return;
      if (event.type === 'StateEntered') {
        const details = { name: event.state.name, input: JSON.stringify(event.state.input) };
        this.#tell(`${event.state.type}StateEntered`, this.events.length, { stateEnteredEventDetails: details }, event.state.name);
      } else if (event.type === 'StateExited') {
        const { name, type, output } = event.state;
        const details = { name, output: JSON.stringify(output) };
        this.#tell(`${type}StateExited`, this.#last.get(name) ?? 0, { stateExitedEventDetails: details }, name);
      }
    }
  }

  #end(status: 'SUCCEEDED' | 'FAILED' | 'ABORTED'): void {
    const type = `Execution${status[0]}${status.slice(1).toLowerCase()}`;
    this.#tell(type, this.events.length, { [`e${type.slice(1)}EventDetails`]: { error: this.error, cause: this.cause } });
    this.status = status;
    this.#stopDate = new Date();
  }

  #tell(type: string, previousEventId: number, details: object, state?: string): void {
    const id = this.events.length + 1;
    this.events.push({ id, previousEventId, type, timestamp: new Date(), ...details });
    if (state !== undefined) this.#last.set(state, id);
  }
}
