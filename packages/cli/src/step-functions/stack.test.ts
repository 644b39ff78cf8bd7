import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { openStack } from './stack.ts';

/*
 * A CloudFormation of one stack, over HTTP, in the form that its API has: what is asked comes as a form, what is answered goes as XML.
 */
let server: Server;
let status: string | null;
let template: string;
let set: { readonly template: string; readonly reason?: string } | null;
let ends: string;
const asked: string[] = [];
let put: { readonly path: string; readonly body: string } | null;

const xml = (action: string, inside: string): string =>
  `<${action}Response xmlns="http://cloudformation.amazonaws.com/doc/2010-05-15/"><${action}Result>${inside}</${action}Result></${action}Response>`;
const refusal = (code: string, message: string): string =>
  `<ErrorResponse><Error><Type>Sender</Type><Code>${code}</Code><Message>${message}</Message></Error><RequestId>1</RequestId></ErrorResponse>`;
const escaped = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;');

function answer(form: URLSearchParams): string | { readonly refused: string } {
  const action = form.get('Action') ?? '';
  asked.push(action === 'CreateChangeSet' ? `${action} ${form.get('ChangeSetType')}` : action);
  switch (action) {
    case 'DescribeStacks':
      if (status === null) return { refused: refusal('ValidationError', 'Stack with id millrace-x does not exist') };
      return xml(
        action,
        `<Stacks><member><StackName>millrace-x</StackName><CreationTime>2026-01-01T00:00:00Z</CreationTime><StackStatus>${status}</StackStatus></member></Stacks>`,
      );
    case 'GetTemplate':
      return xml(action, `<TemplateBody>${escaped(template)}</TemplateBody>`);
    case 'CreateChangeSet': {
      const body = form.get('TemplateBody') ?? '';
      set = body === template ? { template: body, reason: "The submitted information didn't contain changes." } : { template: body };
      return xml(action, '<Id>arn:set</Id>');
    }
    case 'DescribeChangeSet':
      return xml(
        action,
        set?.reason
          ? `<Status>FAILED</Status><StatusReason>${escaped(set.reason)}</StatusReason>`
          : '<Status>CREATE_COMPLETE</Status><Changes><member><Type>Resource</Type><ResourceChange><Action>Add</Action><LogicalResourceId>StateMachine</LogicalResourceId><ResourceType>AWS::StepFunctions::StateMachine</ResourceType></ResourceChange></member></Changes>',
      );
    case 'ExecuteChangeSet':
      status = ends;
      if (!ends.includes('ROLLBACK')) template = set?.template ?? template;
      return xml(action, '');
    default:
      return { refused: refusal('AccessDenied', `not ${action}`) };
  }
}

beforeEach(async () => {
  [status, template, set, ends, put] = [null, '{}', null, 'CREATE_COMPLETE', null];
  asked.length = 0;
  server = createServer(async (request, response) => {
    let body = '';
    for await (const chunk of request) body += chunk;
    if (request.method === 'PUT') {
      put = { path: request.url ?? '', body };
      return void response.end();
    }
    const given = answer(new URLSearchParams(body));
    response.writeHead(typeof given === 'string' ? 200 : 400, { 'content-type': 'text/xml' });
    response.end(typeof given === 'string' ? given : given.refused);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  vi.stubEnv('AWS_ENDPOINT_URL_CLOUDFORMATION', address);
  vi.stubEnv('AWS_ENDPOINT_URL_S3', address);
  vi.stubEnv('AWS_ACCESS_KEY_ID', 'test');
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'test');
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await new Promise((resolve) => server.close(resolve));
});

const open = (more: object = {}) => openStack('millrace-x', { region: 'eu-west-1', ...more }, new AbortController().signal, 5);
const made = { AWSTemplateFormatVersion: '2010-09-09', Description: 'x', Resources: {}, Outputs: {} } as const;

test('a stack that is not there is made, and is then what was asked for', async () => {
  const stack = await open();
  expect(await stack.deployed()).toBe(null);
  const told: string[] = [];
  await stack.apply(made, (line) => told.push(line));
  expect(told).toEqual(['Add StateMachine (AWS::StepFunctions::StateMachine)']);
  expect(asked).toContain('CreateChangeSet CREATE');
  expect(await stack.deployed()).toEqual(made);
});

test('one that is there is updated; without changes nothing is executed', async () => {
  [status, ends] = ['CREATE_COMPLETE', 'UPDATE_COMPLETE'];
  const stack = await open();
  await stack.apply(made, () => {});
  expect(asked).toContain('CreateChangeSet UPDATE');
  asked.length = 0;
  await stack.apply(made, () => {});
  expect(asked).not.toContain('ExecuteChangeSet');
});

test('a stack of a change set that nobody executed counts as none', async () => {
  status = 'REVIEW_IN_PROGRESS';
  expect(await (await open()).deployed()).toBe(null);
});

test('a change that was rolled back is an error, with where to look', async () => {
  ends = 'ROLLBACK_COMPLETE';
  await expect((await open()).apply(made, () => {})).rejects.toMatchObject({
    code: 'REMOTE_FAILED',
    remedy: expect.stringContaining('describe-stack-events'),
  });
});

test.each([
  ['ROLLBACK_COMPLETE', /could not be made, and nothing of it is there/, /delete-stack --stack-name millrace-x, and deploy again/],
  ['CREATE_FAILED', /could not be made/, /delete-stack/],
  ['ROLLBACK_FAILED', /could not be taken away/, /delete-stack/],
  ['DELETE_FAILED', /somebody has deleted it/, /--retain-resources/],
  ['UPDATE_ROLLBACK_FAILED', /could not be taken back/, /continue-update-rollback/],
])('of a stack that is %s nothing is compared or changed; it is said what to do', async (stuck, means, remedy) => {
  status = stuck;
  const stack = await open();
  const refusal = { code: 'REMOTE_REFUSED', message: expect.stringMatching(means), remedy: expect.stringMatching(remedy) };
  await expect(stack.deployed()).rejects.toMatchObject(refusal);
  await expect(stack.apply(made, () => {})).rejects.toMatchObject(refusal);
  expect(asked).toEqual(['DescribeStacks', 'DescribeStacks']);
});

test('a stack that is being changed is left alone; a change that was taken back says that all is as it was', async () => {
  status = 'UPDATE_IN_PROGRESS';
  await expect((await open()).apply(made, () => {})).rejects.toMatchObject({ code: 'REMOTE_UNAVAILABLE' });
  [status, ends] = ['CREATE_COMPLETE', 'UPDATE_ROLLBACK_COMPLETE'];
  await expect((await open()).apply(made, () => {})).rejects.toMatchObject({ message: expect.stringContaining('is there again') });
});

test('a template that is too large goes by a bucket, or is not sent', async () => {
  const large = { ...made, Description: 'x'.repeat(60_000) };
  await expect((await open()).apply(large, () => {})).rejects.toMatchObject({
    code: 'UNSUPPORTED',
    remedy: expect.stringContaining('bucket'),
  });
  expect(asked).not.toContain('CreateChangeSet CREATE');
  await (await open({ bucket: 'templates' })).apply(large, () => {});
  const name = /^\/templates\/millrace\/millrace-x-[0-9a-f]{16}\.template\.json/;
  const first = put?.path;
  expect(first).toMatch(name);
  expect(put?.body).toContain('xxxxx');
  expect(asked).toContain('CreateChangeSet CREATE');
  // What somebody else deploys at the same time is not put in its place.
  await (await open({ bucket: 'templates' })).apply({ ...large, Description: 'y'.repeat(60_000) }, () => {});
  expect(put?.path).toMatch(name);
  expect(put?.path).not.toBe(first);
});
