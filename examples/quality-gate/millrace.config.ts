import { defineConfig } from '@millrace/core';

export default defineConfig({
  pipelines: '{quality-gate,seed}.ts',
  environments: { local: { secrets: ['env', '.env'] } },
});
