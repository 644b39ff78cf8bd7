import { defineConfig } from '@millrace/core';

export default defineConfig({
  pipelines: '{sql-only,seed}.ts',
  environments: { local: { secrets: ['env', '.env'] } },
});
