import { defineConfig } from '@millrace/core';

export default defineConfig({
  pipelines: '{incremental-merge,seed}.ts',
  environments: { local: { secrets: ['env', '.env'] } },
});
