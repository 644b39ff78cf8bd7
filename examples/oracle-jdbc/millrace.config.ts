import { defineConfig } from '@millrace/core';

export default defineConfig({
  pipelines: '{oracle-jdbc,seed}.ts',
  environments: {
    local: { secrets: ['env', '.env'] },
    prod: { secrets: ['env'] },
  },
});
