/** Loads what is asked for by name once, for all who ask. What could not be loaded is tried again by the next. */
export function loadedOnce<Loaded>(load: (name: string) => Promise<Loaded>): (name: string) => Promise<Loaded> {
  const known = new Map<string, Promise<Loaded>>();
  return (name) => {
    const found = known.get(name);
    if (found) return found;
    const loading = load(name);
    known.set(name, loading);
    loading.catch(() => known.delete(name));
    return loading;
  };
}
