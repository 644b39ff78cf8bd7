let registered: Promise<void> | undefined;

/**
 * Makes `import()` of TypeScript work in this process. Always through tsx, also where Node could strip types itself: a file then
 * means the same on every version (enums, paths of tsconfig.json, imports without an extension).
 */
export function readTypeScript(file: string): Promise<void> {
  if (!/\.[cm]?tsx?$/.test(file) || alreadyThere()) return Promise.resolve();
  registered ??= import('tsx/esm/api').then(({ register }) => void register());
  return registered;
}

/** Started with `--import tsx`, or inside a test runner that reads TypeScript itself. */
function alreadyThere(): boolean {
  const flags = [...process.execArgv, process.env.NODE_OPTIONS ?? ''].join(' ');
  return /(--import|--loader|-r|--require)[= ]\S*tsx/.test(flags) || process.env.VITEST !== undefined;
}
