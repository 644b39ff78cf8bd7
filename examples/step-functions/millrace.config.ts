import { defineConfig, secret } from '@millrace/core';

const account = 'eu-west-1:123456789012';

export default defineConfig({
  pipelines: 'daily-report.ts',
  environments: {
    local: { secrets: ['env', '.env'] },
    prod: {
      secrets: ['env'],
      // Where the tasks keep runs: they and you must be able to reach it.
      state: secret('STATE_URL'),
      executor: 'step-functions',
      stepFunctions: {
        region: 'eu-west-1',
        cluster: 'etl',
        subnets: ['subnet-0a1b2c3d', 'subnet-1a2b3c4d'],
        securityGroups: ['sg-0a1b2c3d'],
        image: '123456789012.dkr.ecr.eu-west-1.amazonaws.com/etl:4f2a91c',
        secret: `arn:aws:secretsmanager:${account}:secret:etl-AbCdEf`,
        secrets: ['STATE_URL', 'SHOP_URL', 'LAKE_URL'],
        policies: ['arn:aws:iam::123456789012:policy/etl-lake'],
        alarms: { topic: `arn:aws:sns:${account}:oncall` },
      },
    },
  },
});
