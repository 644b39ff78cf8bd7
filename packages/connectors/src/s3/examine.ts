import { randomUUID } from 'node:crypto';
import { type Context, describeSetting, type Finding, isMillraceError, type Setting } from '@millrace/core/runtime';
import { unconditional } from './fence.ts';
import { openStorage, type StoreSettings } from './open-storage.ts';

/** Writes, reads, lists and deletes one small object, and sees whether the store keeps two writers apart. */
export async function examineStore(url: Setting, settings: StoreSettings, context: Context): Promise<Finding[]> {
  const subject = describeSetting(url);
  const findings: Finding[] = [];
  const well = (message: string) => findings.push({ subject, level: 'ok', message });
  const key = `_millrace/probe-${randomUUID()}`;
  try {
    await using storage = await openStorage(typeof url === 'string' ? url : await context.secret(url), settings, context);
    await storage.create(key, key);
    well(`${storage.url} can be written`);
    try {
      if (await storage.create(key, key)) {
        const { message, remedy } = unconditional(storage.url);
        findings.push({ subject, level: 'problem', message, remedy });
      } else well('writes that must not replace anything are refused where something is there');
      if ((await storage.read(key))?.toString('utf8') !== key)
        findings.push({
          subject,
          level: 'problem',
          message: 'an object that was just written reads otherwise',
          remedy: 'Look at the store: it loses writes.',
        });
      else well('objects can be read');
      let listed = false;
      for await (const object of storage.list(key)) listed ||= object.key === key;
      if (listed) well('objects can be listed');
      else
        findings.push({
          subject,
          level: 'problem',
          message: 'an object that was just written is not in the listing',
          remedy: 'Use a store whose listings are consistent, as those of S3 are.',
        });
    } finally {
      await storage.delete([key]);
    }
    well('objects can be deleted');
  } catch (error) {
    if (!isMillraceError(error)) throw error;
    findings.push({ subject, level: 'problem', message: error.message, remedy: error.remedy });
  }
  return findings;
}
