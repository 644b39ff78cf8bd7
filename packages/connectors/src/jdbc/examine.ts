import { type Context, type Finding, isMillraceError } from '@millrace/core/runtime';
import { connect, type SessionSettings } from './connect.ts';
import { javaVersion } from './java.ts';

/** What `doctor` says of a connection: one finding for each thing that was looked at. */
export async function examine(settings: SessionSettings, label: string, context: Context): Promise<Finding[]> {
  const at = performance.now();
  const java = await javaVersion(settings.java);
  try {
    const { session } = await connect(settings, context);
    await using open = session;
    const { product } = open;
    return [
      {
        subject: label,
        level: 'ok',
        message: `connected as "${product.user}" to ${product.name} ${firstLine(product.version)} in ${Math.round(performance.now() - at)} ms`,
      },
      {
        subject: label,
        level: 'ok',
        message: `through ${product.driver} ${product.driverVersion}, on Java ${java ?? 'of an unknown version'}`,
      },
    ];
  } catch (error) {
    if (!isMillraceError(error)) throw error;
    return [{ subject: label, level: 'problem', message: error.message, remedy: error.remedy, error }];
  }
}

const firstLine = (text: string): string => text.split('\n', 1)[0] ?? '';
