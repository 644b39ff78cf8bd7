import { defineConfig } from '@millrace/core';

export default defineConfig({
  pipelines: '{shop-mirror,seed}.ts',
  environments: {
    local: { secrets: ['env', '.env'] },
    prod: { secrets: ['env'] },
  },
});
