import { defineConfig } from '@millrace/core';

export default defineConfig({
  pipelines: '{nightly-orders,seed}.ts',
  environments: {
    local: { secrets: ['env', '.env'] },
    prod: { secrets: ['env'] },
  },
});
