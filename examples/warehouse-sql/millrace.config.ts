import { defineConfig } from '@millrace/core';

export default defineConfig({
  pipelines: 'warehouse-sql.ts',
  environments: { local: { secrets: ['env', '.env'] } },
});
