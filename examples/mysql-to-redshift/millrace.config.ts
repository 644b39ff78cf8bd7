import { defineConfig } from '@millrace/core';

export default defineConfig({
  pipelines: '{mysql-to-redshift,seed}.ts',
  environments: {
    local: { secrets: ['env', '.env'] },
    prod: { secrets: ['env'] },
  },
});
