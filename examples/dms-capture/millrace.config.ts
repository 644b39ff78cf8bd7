import { defineConfig } from '@millrace/core';

export default defineConfig({
  pipelines: '{dms-capture,seed}.ts',
  environments: {
    local: { secrets: ['env', '.env'] },
    prod: { secrets: ['env'] },
  },
});
