import { defineConfig } from '@millrace/core';

export default defineConfig({
  pipelines: '{cache-follows-database,seed}.ts',
  environments: {
    local: { secrets: ['env', '.env'] },
    prod: { secrets: ['env'] },
  },
});
