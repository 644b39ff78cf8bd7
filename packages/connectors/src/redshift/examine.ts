import { type Context, type Finding, isMillraceError, type Setting } from '@millrace/core/runtime';
import type { SessionSettings } from '../postgres/client.ts';
import { isRole } from './copy-statement.ts';
import { openWarehouse } from './warehouse.ts';

export interface Examined {
  readonly connection: SessionSettings;
  readonly copyRole: Setting | null;
  readonly label: string;
}

/** What `doctor` says of a warehouse. */
export async function examine({ connection, copyRole, label }: Examined, context: Context): Promise<Finding[]> {
  try {
    const at = performance.now();
    const { session, redshift } = await openWarehouse({ connection }, context, 'doctor');
    await using _session = session;
    const [row] = await session.query(
      `SELECT current_user AS me, current_database() AS database, has_database_privilege(current_database(), 'CREATE') AS may_create`,
    );
    const findings: Finding[] = [
      {
        subject: label,
        level: 'ok',
        message: `connected as "${row?.['me']}" to "${row?.['database']}" in ${Math.round(performance.now() - at)} ms`,
      },
      {
        subject: label,
        level: 'ok',
        message: redshift ? 'Amazon Redshift' : 'a plain Postgres in the place of Redshift: this process reads the files',
      },
    ];
    if (row?.['may_create'] === 'f') {
      const me = `"${row['me']?.replaceAll('"', '""')}"`;
      findings.push({
        subject: label,
        level: 'warning',
        message: 'this user may not create the schema "_millrace", in which loads keep their checkpoints',
        remedy: `GRANT CREATE ON DATABASE "${row['database']}" TO ${me};`,
      });
    }
    if (redshift) findings.push(await roleFinding(copyRole, label, context));
    return findings;
  } catch (error) {
    if (!isMillraceError(error)) throw error;
    return [{ subject: label, level: 'problem', message: error.message, remedy: error.remedy }];
  }
}

async function roleFinding(copyRole: Setting | null, subject: string, context: Context): Promise<Finding> {
  if (copyRole === null) return { subject, level: 'ok', message: 'COPY uses the default role of the cluster' };
  const role = typeof copyRole === 'string' ? copyRole : await context.secret(copyRole);
  if (isRole(role)) return { subject, level: 'ok', message: `COPY uses ${role}` };
  return {
    subject,
    level: 'problem',
    message: 'copyRole is not the ARN of an IAM role',
    remedy: 'Set it to arn:aws:iam::123456789012:role/name, or to "default".',
  };
}
