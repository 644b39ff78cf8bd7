import { type ColumnBatch, isMillraceError, MillraceError } from '@millrace/core/runtime';
import { literal } from '../literal.ts';
import type { Session } from '../session.ts';
import { assertTaken, type Copied, type Copier, loadStatement } from './copier.ts';
import { tsvEncoder } from './encode.ts';
import type { Landing } from './landing.ts';
import type { LoadFile, LoadFiles } from './load-files.ts';

/** Of one file: while the server reads it, the next one is written. */
const fileBytes = 64 * 1024 * 1024;

/** LOAD DATA FROM S3, file after file. Source: https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/AuroraMySQL.Integrating.LoadFromS3.html */
export function fileLoader(session: Session, into: string, landing: Landing, object: string, files: LoadFiles): Copier['stream'] {
  const load = async (file: LoadFile): Promise<Copied> => {
    await using whole = file;
    const { rows, bytes } = whole;
    await whole.through(async (place) => {
      const text = loadStatement(`FROM S3 FILE ${literal(place)}`, into, landing);
      await assertTaken(session, await session.execute(text, object).catch(explained), rows, object);
    });
    return { rows, bytes };
  };
  return async (batches) => {
    const encode = tsvEncoder(landing);
    const total = { rows: 0, bytes: 0 };
    let loading: Promise<void> = Promise.resolve();
    let file = await files.begin();
    const next = async (): Promise<void> => {
      await loading;
      loading = load(file).then(({ rows, bytes }) => {
        total.rows += rows;
        total.bytes += bytes;
      });
      loading.catch(() => {}); // told by whoever waits for it
    };
    try {
      for await (const batch of batches) {
        await written(file, batch, encode);
        if (file.bytes < fileBytes) continue;
        await next();
        file = await files.begin();
      }
      if (file.rows > 0) await next();
      await loading;
      return total;
    } finally {
      await loading.catch(() => {});
      await file[Symbol.asyncDispose]();
    }
  };
}

async function written(file: LoadFile, batch: ColumnBatch, encode: ReturnType<typeof tsvEncoder>): Promise<void> {
  for (const chunk of encode(batch)) await file.write(chunk);
  file.rows += batch.rowCount;
}

/** What Aurora says where S3 did not let it read: of version 2, and of version 3. */
const unreadable = new Set([1871, 63985]);

function explained(error: unknown): never {
  if (!isMillraceError(error) || !unreadable.has(Number(error.facts['errno']))) throw error;
  throw new MillraceError('ACCESS_DENIED', {
    message: error.message,
    remedy:
      'Let the cluster read the staging place: a role with s3:GetObject and s3:ListBucket on it, associated with the cluster and named by aws_default_s3_role in its parameter group; and GRANT AWS_LOAD_S3_ACCESS TO the user, by SET DEFAULT ROLE or activate_all_roles_on_login.',
    facts: error.facts,
  });
}
