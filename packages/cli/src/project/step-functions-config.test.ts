import { expect, test } from 'vitest';
import { stepFunctionsProblem } from './step-functions-config.ts';

const settings = {
  region: 'eu-west-1',
  cluster: 'etl',
  subnets: ['subnet-1'],
  securityGroups: ['sg-1'],
  image: '123456789012.dkr.ecr.eu-west-1.amazonaws.com/etl:4f2a91c',
};

test('settings that are there and of their kind are all right, and so are none', () => {
  expect(stepFunctionsProblem(undefined)).toBe(undefined);
  expect(stepFunctionsProblem(settings)).toBe(undefined);
  expect(
    stepFunctionsProblem({
      ...settings,
      cpu: 4096,
      work: { lambda: 'arn' },
      splits: { copied: 8 },
      spot: true,
      logDays: 90,
      roles: { passed: ['arn'] },
    }),
  ).toBe(undefined);
});

test.each([
  ['what is no object', [], /not an object/],
  ['what is missing', { ...settings, image: undefined }, /no "image"/],
  ['what is not known', { ...settings, cluser: 'x' }, /"stepFunctions.cluser" is not a setting/],
  ['a region that is none', { ...settings, region: 'Ireland' }, /region/],
  ['an image that moves', { ...settings, image: 'etl:latest' }, /tag or digest/],
  ['an image without a tag', { ...settings, image: 'registry:5000/etl' }, /tag or digest/],
  ['CPU that Fargate does not have', { ...settings, cpu: 3000 }, /cpu/],
  ['splits that are no numbers', { ...settings, splits: { copied: 'many' } }, /splits/],
  ['a way of working that is none', { ...settings, work: 'batch' }, /work/],
  ['a role that is none', { ...settings, roles: { machines: 'arn' } }, /roles" has "machines".*passed/],
  ['roles to be handed over that are no list', { ...settings, roles: { passed: 'arn' } }, /"passed", which is no list of texts/],
])('%s is named', (_, given, wanted) => {
  expect(stepFunctionsProblem(given)).toMatch(wanted);
});
