import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { nameParts } from '@millrace/core/runtime';
import type { DmsTask } from './dms-task.ts';

/** Answers as DMS does (awsJson 1.1), for tasks and serverless replications that a test has made. */
export interface DmsServer extends AsyncDisposable {
  readonly endpoint: string;
  readonly tasks: Map<string, DmsTask>;
  /** `S3Settings` of the target endpoints, by ARN. */
  readonly endpoints: Map<string, Record<string, unknown>>;
  /** What the next calls are refused with: `ThrottlingException`. */
  refuse: string[];
}

export async function dmsServer(): Promise<DmsServer> {
  const tasks = new Map<string, DmsTask>();
  const endpoints = new Map<string, Record<string, unknown>>();
  const refuse: string[] = [];
  const server = createServer((request, response) => {
    const say = (status: number, body: object): void => {
      response.writeHead(status, { 'content-type': 'application/x-amz-json-1.1' });
      response.end(JSON.stringify(body));
    };
    void bodyOf(request).then(async (body) => {
      const action = String(request.headers['x-amz-target'] ?? '').replace('AmazonDMSv20160101.', '');
      const refused = refuse.shift();
      if (refused) return say(400, { __type: refused, message: 'refused by the test' });
      try {
        say(200, await answer(action, body, tasks, endpoints));
      } catch (error) {
        say(400, { __type: (error as Error).name, message: (error as Error).message });
      }
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    endpoint: `http://127.0.0.1:${port}`,
    tasks,
    endpoints,
    refuse,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
    },
  };
}

type Body = Readonly<Record<string, unknown>>;

async function answer(action: string, body: Body, tasks: Map<string, DmsTask>, endpoints: DmsServer['endpoints']): Promise<object> {
  const arn = String(body['ReplicationTaskArn'] ?? body['ReplicationConfigArn'] ?? filter(body) ?? '');
  const task = tasks.get(arn);
  switch (action) {
    case 'DescribeReplicationTasks':
      return { ReplicationTasks: task ? [described(task)] : [] };
    case 'DescribeReplications':
      return { Replications: task?.freshStart ? [replication(task)] : [] };
    case 'DescribeReplicationConfigs':
      return {
        ReplicationConfigs: task ? [{ ...described(task), ReplicationSettings: task.settings, ReplicationType: 'full-load-and-cdc' }] : [],
      };
    case 'DescribeTableStatistics':
      return { TableStatistics: statistics(known(task)) };
    case 'DescribeReplicationTableStatistics':
      return { ReplicationTableStatistics: statistics(known(task)) };
    case 'DescribeEndpoints': {
      const settings = endpoints.get(arn);
      return { Endpoints: settings ? [{ EndpointArn: arn, EngineName: 's3', S3Settings: settings }] : [] };
    }
    case 'ModifyEndpoint':
      endpoints.set(String(body['EndpointArn']), { ...endpoints.get(String(body['EndpointArn'])), ...(body['S3Settings'] as object) });
      return {};
    case 'StartReplicationTask':
    case 'StartReplication': {
      const kind = String(body['StartReplicationTaskType'] ?? body['StartReplicationType']);
      const started = known(task);
      if (started.status === 'running') throw named('InvalidResourceStateFault', 'it is running');
      if ((kind === 'start-replication') !== (started.freshStart === null))
        throw named('InvalidResourceStateFault', `${kind} is not valid now`);
      await started.start(kind);
      return { ReplicationTask: described(started) };
    }
    case 'StopReplicationTask':
    case 'StopReplication':
      known(task).stop();
      return {};
    case 'ModifyReplicationTask':
    case 'ModifyReplicationConfig': {
      const changed = known(task);
      if (changed.status === 'running') throw named('InvalidResourceStateFault', 'it is running');
      changed.mappings = String(body['TableMappings'] ?? changed.mappings);
      changed.settings = String(body['ReplicationTaskSettings'] ?? body['ReplicationSettings'] ?? changed.settings);
      changed.calls.push('modify');
      return {};
    }
    default:
      throw named('UnknownOperationException', action);
  }
}

export const targetOf = (arn: string): string => arn.replace(/:(task|replication-config):/, ':endpoint:');

const described = (task: DmsTask): object => ({
  ReplicationTaskArn: task.options.arn,
  MigrationType: 'full-load-and-cdc',
  Status: task.status,
  ...(task.stopReason && { StopReason: task.stopReason }),
  ...(task.failure && { LastFailureMessage: task.failure }),
  TableMappings: task.mappings,
  ReplicationTaskSettings: task.settings,
  TargetEndpointArn: targetOf(task.options.arn),
  ReplicationTaskStats: task.freshStart ? { FreshStartDate: seconds(task.freshStart) } : {},
});

const replication = (task: DmsTask): object => ({
  ...described(task),
  FailureMessages: task.failure ? [task.failure] : [],
  ReplicationStats: { FreshStartDate: seconds(task.freshStart as Date) },
});

const statistics = ({ counts, options }: DmsTask): object[] =>
  [...counts].map(([name, counted]) => {
    const [SchemaName, TableName] = nameParts(options.tables[name]?.name ?? '') ?? [];
    return {
      SchemaName,
      TableName,
      TableState: counted.state,
      FullLoadRows: counted.loaded,
      FullLoadErrorRows: counted.errors,
      FullLoadStartTime: seconds(counted.startedAt),
      Inserts: counted.inserts,
      Deletes: counted.deletes,
    };
  });

const seconds = (date: Date): number => date.getTime() / 1000;

const filter = (body: Body): unknown => (body['Filters'] as { Values: string[] }[] | undefined)?.[0]?.Values[0];

function known(task: DmsTask | undefined): DmsTask {
  if (task) return task;
  throw named('ResourceNotFoundFault', 'there is no such task');
}

const named = (name: string, message: string): Error => Object.assign(new Error(message), { name });

async function bodyOf(request: IncomingMessage): Promise<Body> {
  let text = '';
  for await (const chunk of request) text += chunk;
  return text === '' ? {} : (JSON.parse(text) as Body);
}
