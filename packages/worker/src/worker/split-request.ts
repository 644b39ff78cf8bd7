import type { RunStore, SplitHolder } from '@millrace/core/runtime';
import type { StoreRequest } from '../stage-process/message.ts';

/** What the process of an attempt and that of one who helps it may both want. */
export type SplitRequest = Extract<StoreRequest, { type: 'claim-splits' | 'store-split' | 'staged' }>;

export async function splitRequest(request: SplitRequest, holder: SplitHolder, store: RunStore): Promise<unknown> {
  switch (request.type) {
    case 'claim-splits':
      return store.splits.claim(holder, request.most);
    case 'store-split':
      return store.splits.store(holder, request.claim, request.part);
    case 'staged':
      return (await store.earlier(holder.run, holder.stage)).parts;
    default:
      return request satisfies never;
  }
}
