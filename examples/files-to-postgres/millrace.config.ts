import { defineConfig } from '@millrace/core';

export default defineConfig({
  pipelines: 'files-to-postgres.ts',
  environments: { local: { secrets: ['env', '.env'] } },
});
