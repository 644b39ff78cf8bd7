import { createHash } from 'node:crypto';
import { type CaptureEngine, type CaptureSource, type Context, describeSetting, type StreamName } from '@millrace/core/runtime';
import { placeOf } from '../s3/connection.ts';
import { openStorage } from '../s3/open-storage.ts';
import { DmsChangeSource } from './change-source.ts';
import { examineDms } from './examine.ts';
import { Journal } from './journal.ts';
import { type DmsOptions, engineSettings } from './options.ts';
import { sourceCheck } from './reconcile.ts';
import { serviceControl } from './service-control.ts';
import { shapesOf } from './source-shape.ts';

/**
 * Hands a capture to AWS DMS: `capture(shop, { tables: { orders }, engine: dms({ task: 'arn:…', files: lake }) })`. DMS loads the tables and
 * follows the log; what it writes to S3 is read as changes, and the steps after the capture stay as they are.
 *
 * Other than a capture of our own: an insert comes as an update, of which nothing is known of the row before; a delete has its key only;
 * truncates and changes of columns do not come at all; and only with PreserveTransactions are transactions whole, across tables.
 */
export function dms(options: DmsOptions): CaptureEngine {
  return Object.freeze({ kind: 'capture-engine', capture: (native: CaptureSource) => dmsCapture(native, options) } satisfies CaptureEngine);
}

function dmsCapture(native: CaptureSource, options: DmsOptions): CaptureSource {
  const settings = engineSettings(options, native.tables);
  const place = placeOf(options.files);
  const control = serviceControl(settings.arn, options);
  const urlOf = async (context: Context): Promise<string> => (typeof place.url === 'string' ? place.url : context.secret(place.url));
  return Object.freeze({
    kind: 'capture-source',
    description: {
      connector: 'dms',
      connection: native.description.connection,
      options: {
        arn: settings.arn,
        files: describeSetting(place.url),
        format: settings.reading.format,
        ...(settings.reading.transactions !== null && { transactions: settings.reading.transactions }),
      },
    },
    connection: native.connection,
    tables: native.tables,
    offers: ['csv', 'batches'],
    examine: async (context) => examineDms({ settings, control, native, url: await urlOf(context), store: place.settings }, context),
    async open(context, stream, epoch = 0) {
      const storage = await openStorage(await urlOf(context), place.settings, context);
      try {
        const slot = slotOf(stream);
        const journal = await Journal.open(storage, slot, epoch, settings.lookBackMs);
        const check = sourceCheck({ control, native, readings: settings.readings, context, lookMs: settings.lookMs });
        const { readings } = settings;
        return new DmsChangeSource({
          settings,
          tables: native.tables,
          readings,
          context,
          storage,
          control,
          journal,
          slot,
          pipeline: stream.pipeline,
          shapes: shapesOf(native, readings),
          check,
        });
      } catch (error) {
        await storage[Symbol.asyncDispose]();
        throw error;
      }
    },
  } satisfies CaptureSource);
}

/** A name for a folder, and no two streams have the same. */
export function slotOf({ pipeline, step }: StreamName): string {
  const plain = `${pipeline}.${step}`.replace(/[^A-Za-z0-9_.-]/g, '_').slice(0, 80);
  return `${plain}-${createHash('sha256')
    .update(JSON.stringify([pipeline, step]))
    .digest('hex')
    .slice(0, 8)}`;
}
