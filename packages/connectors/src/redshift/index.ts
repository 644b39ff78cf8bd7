export { type RedshiftConnection, type RedshiftOptions, redshift } from './connection.ts';
export type { CopyOptions } from './copy-target.ts';
export { redshiftFailpoints } from './failpoints.ts';
export { redshiftApplyFailpoints } from './mirror/failpoints.ts';
export type { ApplyOptions } from './mirror/settings.ts';
