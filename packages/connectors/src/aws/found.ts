/** The answer, or null where the service says that there is no such thing: it has forgotten it, or never knew it. */
export async function unlessMissing<Answer>(request: Promise<Answer>, ...names: readonly string[]): Promise<Answer | null> {
  try {
    return await request;
  } catch (error) {
    if (names.includes((error as Error).name)) return null;
    throw error;
  }
}
