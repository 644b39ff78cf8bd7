import { defineConfig } from '@millrace/core';

/** The pipelines of the example, with a state and databases of their own under `.millrace/`. */
export default defineConfig({
  pipelines: '../nightly-orders/{nightly-orders,seed}.ts',
  environments: { local: { secrets: ['.env'] } },
});
