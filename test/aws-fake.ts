import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** One call as it came over the wire, in the names of the API. */
export interface FakeCall {
  readonly operation: string;
  // biome-ignore lint/suspicious/noExplicitAny: what a handler takes is what its service's API says.
  readonly input: any;
}

/** What a handler throws to have it answered as an error of the service. */
export class AwsFault extends Error {
  readonly status: number;
  constructor(name: string, message = name, status = 400) {
    super(message);
    this.name = name;
    this.status = status;
  }
}

/** Answers of a function: what Lambda puts into headers stands beside the payload. */
export interface LambdaAnswer {
  readonly payload: unknown;
  readonly functionError?: 'Handled' | 'Unhandled';
}

// biome-ignore lint/suspicious/noExplicitAny: as above.
export type FakeHandlers = Readonly<Record<string, (input: any) => unknown>>;

export interface AwsFake extends AsyncDisposable {
  /** What a connection is given to reach it. */
  readonly settings: {
    readonly region: string;
    readonly endpoint: string;
    readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string };
  };
  readonly calls: readonly FakeCall[];
  /** Inputs of the calls of one operation. */
  // biome-ignore lint/suspicious/noExplicitAny: as above.
  called(operation: string): any[];
  /** The next calls of the operation are refused, and do nothing. */
  fail(operation: string, fault: AwsFault, times?: number): void;
  /** The next calls of the operation are carried out, and the connection is cut before the answer. */
  cut(operation: string, times?: number): void;
  /** The next calls of the operation are carried out, and answered with a page of HTML, as something between here and there does. */
  garble(operation: string, times?: number): void;
}

/**
 * A server that speaks the wire protocols of AWS's services, so that the SDK's own clients are what is tested: awsJson (`X-Amz-Target`), the
 * REST-JSON of Lambda's `Invoke` and of the RDS Data API, and the forms and XML of SNS and Redshift. What a service does is in the handlers,
 * by operation.
 */
export async function awsFake(handlers: FakeHandlers): Promise<AwsFake> {
  const calls: FakeCall[] = [];
  const faults: { operation: string; left: number; fault: AwsFault | 'cut' | 'garble' }[] = [];
  const server = createServer((request, response) => {
    answer(request, response).catch((error: unknown) => {
      response.writeHead(500, { 'x-amzn-errortype': 'FakeFailed' }).end(JSON.stringify({ __type: 'FakeFailed', message: String(error) }));
    });
  });

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await bodyOf(request);
    const { operation, input } = isForm(request) ? formOf(body) : parsed(request, body);
    calls.push({ operation, input });
    const fault = faults.find((one) => one.operation === operation && one.left > 0);
    if (fault) fault.left--;
    try {
      if (fault && typeof fault.fault !== 'string') throw fault.fault;
      const handler = handlers[operation];
      if (!handler) throw new AwsFault('UnknownOperationException', `The fake has no ${operation}.`, 404);
      const result = await handler(input);
      if (fault?.fault === 'cut') return void request.socket.destroy();
      if (fault) return void response.writeHead(200, { 'content-type': 'text/html' }).end('<html>Please sign in</html>');
      if (isForm(request)) return void response.writeHead(200, xml).end(xmlOf(`${operation}Response`, { [`${operation}Result`]: result }));
      if (operation === 'Invoke') return lambdaAnswer(response, input.InvocationType, result as LambdaAnswer);
      response.writeHead(200, { 'content-type': 'application/x-amz-json-1.1' }).end(JSON.stringify(onTheWire(result ?? {})));
    } catch (error) {
      if (!(error instanceof AwsFault)) throw error;
      if (isForm(request)) {
        const { name: Code, message: Message } = error;
        return void response.writeHead(error.status, xml).end(xmlOf('ErrorResponse', { Error: { Type: 'Sender', Code, Message } }));
      }
      response
        .writeHead(error.status, { 'content-type': 'application/x-amz-json-1.1', 'x-amzn-errortype': error.name })
        .end(JSON.stringify({ __type: error.name, message: error.message, Message: error.message }));
    }
  }

  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    settings: {
      region: 'eu-west-1',
      endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
      credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
    },
    calls,
    called: (operation) => calls.filter((call) => call.operation === operation).map(({ input }) => input),
    fail: (operation, fault, times = 1) => void faults.push({ operation, left: times, fault }),
    cut: (operation, times = 1) => void faults.push({ operation, left: times, fault: 'cut' }),
    garble: (operation, times = 1) => void faults.push({ operation, left: times, fault: 'garble' }),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString('utf8');
}

const isForm = ({ headers }: IncomingMessage): boolean => headers['content-type']?.startsWith('application/x-www-form-urlencoded') ?? false;

function formOf(body: string): FakeCall {
  const { Action = '', Version: _, ...input } = Object.fromEntries(new URLSearchParams(body));
  return { operation: Action, input };
}

const xml = { 'content-type': 'text/xml' };

function xmlOf(name: string, value: unknown): string {
  if (value === undefined || value === null) return '';
  const inside =
    typeof value !== 'object' || value instanceof Date
      ? (value instanceof Date ? value.toISOString() : String(value)).replace(/[&<>]/g, (one) => `&#${one.charCodeAt(0)};`)
      : Object.entries(value)
          .map(([of, one]) => xmlOf(of, one))
          .join('');
  return `<${name}>${inside}</${name}>`;
}

const invoke = /^\/2015-03-31\/functions\/([^/]+)\/invocations$/;
const rdsData: Readonly<Record<string, string>> = {
  '/Execute': 'ExecuteStatement',
  '/BatchExecute': 'BatchExecuteStatement',
  '/BeginTransaction': 'BeginTransaction',
  '/CommitTransaction': 'CommitTransaction',
  '/RollbackTransaction': 'RollbackTransaction',
};

function parsed({ headers, url = '/' }: IncomingMessage, body: string): FakeCall {
  const json = body === '' ? {} : JSON.parse(body);
  const target = headers['x-amz-target'];
  if (typeof target === 'string') return { operation: target.split('.').at(-1)!, input: json };
  const { pathname, searchParams } = new URL(url, 'http://fake');
  const [, name] = invoke.exec(pathname) ?? [];
  if (name === undefined) return { operation: rdsData[pathname] ?? pathname, input: json };
  const context = headers['x-amz-client-context'];
  return {
    operation: 'Invoke',
    input: {
      FunctionName: decodeURIComponent(name),
      InvocationType: headers['x-amz-invocation-type'],
      Qualifier: searchParams.get('Qualifier'),
      ClientContext: typeof context === 'string' ? JSON.parse(Buffer.from(context, 'base64').toString('utf8')) : null,
      Payload: json,
    },
  };
}

function lambdaAnswer(response: ServerResponse, type: string, { payload, functionError }: LambdaAnswer): void {
  response
    .writeHead(type === 'Event' ? 202 : 200, { ...(functionError && { 'x-amz-function-error': functionError }) })
    .end(type === 'Event' ? '' : JSON.stringify(payload));
}

/** Times are seconds since 1970. */
function onTheWire(value: unknown): unknown {
  if (value instanceof Date) return value.getTime() / 1000;
  if (Array.isArray(value)) return value.map(onTheWire);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, onTheWire(one)]));
}
