import type { FilesRef } from '@millrace/core/runtime';
import { literal } from '../postgres/literal.ts';

export interface CopyFrom {
  /** Quoted. */
  readonly into: string;
  /** `s3://bucket/orders/_manifest/0000000042.json`: Millrace's manifest is one that COPY reads. */
  readonly manifest: string;
  readonly format: FilesRef['format'];
  readonly codec: 'snappy' | 'zstd' | 'gzip' | 'none';
  /** The ARN of a role, or `default`. */
  readonly role: string;
  readonly region: string | null;
}

/** One COPY for all files of a manifest, read by all slices at once. */
export function copyStatement({ into, manifest, format, codec, role, region }: CopyFrom): string {
  const iam = role === 'default' ? 'default' : literal(role);
  const head = `COPY ${into} FROM ${literal(manifest)} IAM_ROLE ${iam}`;
  // Files of columns know neither a region nor a codec of their own, and must be in the cluster's region.
  if (format === 'parquet') return `${head} FORMAT AS PARQUET MANIFEST STATUPDATE OFF`;
  const packed = codec === 'gzip' ? ' GZIP' : codec === 'zstd' ? ' ZSTD' : '';
  const where = region === null ? '' : ` REGION ${literal(region)}`;
  // An empty field is NULL and "" is the empty text, as in the files.
  const how =
    format === 'csv'
      ? `FORMAT AS CSV IGNOREHEADER 1 EMPTYASNULL DATEFORMAT 'auto' TIMEFORMAT 'auto'`
      : `FORMAT AS JSON 'auto' DATEFORMAT 'auto' TIMEFORMAT 'auto'`;
  return `${head} ${how}${packed}${where} ENCODING UTF8 MANIFEST COMPUPDATE OFF STATUPDATE OFF`;
}

/** Roles have this form; anything else in the secret is more likely another secret, and is not shown. */
export const isRole = (text: string): boolean =>
  text === 'default' || /^arn:aws[a-z-]*:iam::\d{12}:role\/[\w+=,.@/-]+(,arn:aws[a-z-]*:iam::\d{12}:role\/[\w+=,.@/-]+)*$/.test(text);
