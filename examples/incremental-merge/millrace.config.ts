import { defineConfig } from '@millrace/core';

export default defineConfig({
  pipelines: 'incremental-merge.ts',
  environments: { local: { secrets: ['env', '.env'] } },
});
