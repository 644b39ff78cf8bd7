import { defineConfig, type Environment, secret } from '@millrace/core';

/** Two stages side by side in each worker. Without a Redis the state database's own notifications wake them. */
const fleet: Environment = {
  executor: 'fleet',
  state: secret('STATE_URL'),
  fleet: { dispatch: process.env['REDIS_URL'] ? { redis: secret('REDIS_URL') } : 'notify' },
  concurrency: 2,
};

export default defineConfig({
  pipelines: '{seed,sales,report}.ts',
  environments: {
    local: { ...fleet, secrets: ['env', '.env'] }, // processes on this machine: npm start
    prod: { ...fleet, secrets: ['env'] }, // containers: compose.yaml
  },
});
