/** Asks something of ECS' agent on this machine, which answers at once or not at all. Rejects where the answer is no. */
export async function askAgent(
  url: string,
  init: { readonly method: 'GET' | 'PUT'; readonly body?: string } = { method: 'GET' },
): Promise<unknown> {
  const response = await fetch(url, {
    ...init,
    headers: { 'content-type': 'application/json' },
    redirect: 'error',
    signal: AbortSignal.timeout(3_000),
  });
  const text = (await response.text()).slice(0, 65_536);
  if (!response.ok) throw new Error(`ECS' agent answered ${response.status}: ${text.slice(0, 300)}`);
  return JSON.parse(text);
}

export interface TaskMetadata {
  readonly task: string;
  readonly family: string;
  readonly revision: string;
  readonly cluster: string;
}

/**
 * Which task this is; null outside ECS, and where the agent does not say.
 * https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-metadata-endpoint-v4.html
 */
export async function taskMetadata(env: Readonly<Record<string, string | undefined>>): Promise<TaskMetadata | null> {
  const base = env['ECS_CONTAINER_METADATA_URI_V4'];
  if (!base) return null;
  const answer = await askAgent(`${base}/task`).catch(() => null);
  if (typeof answer !== 'object' || answer === null) return null;
  const { TaskARN, Family, Revision, Cluster } = answer as Record<string, unknown>;
  return { task: String(TaskARN ?? ''), family: String(Family ?? ''), revision: String(Revision ?? ''), cluster: String(Cluster ?? '') };
}
