import { defineConfig } from '@millrace/core';

/** The second act: the pipelines of another example, with databases that the demo names. */
export default defineConfig({
  pipelines: '../../shop-mirror/{shop-mirror,seed}.ts',
  environments: { local: { secrets: ['env'] } },
});
