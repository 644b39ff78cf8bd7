import { defineConfig } from '@millrace/core';

export default defineConfig({
  pipelines: 'api-to-lake.ts',
  environments: { local: { secrets: ['env', '.env'] } },
});
