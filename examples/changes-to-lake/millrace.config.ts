import { defineConfig } from '@millrace/core';

export default defineConfig({
  pipelines: '{changes-to-lake,seed}.ts',
  environments: {
    local: { secrets: ['env', '.env'] },
    prod: { secrets: ['env'] },
  },
});
