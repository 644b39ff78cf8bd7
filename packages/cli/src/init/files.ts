/** The files of a new project, by their path. `name` is the project's, `version` that of the packages it asks for. */
export function projectFiles(name: string, version: string): Readonly<Record<string, string>> {
  return {
    'package.json': packageJson(name, version),
    'tsconfig.json': tsconfig,
    '.gitignore': 'node_modules/\n.millrace/\n.env\n',
    '.env': dotenv,
    'millrace.config.ts': config,
    'tables/shop.ts': shopTables,
    'tables/warehouse.ts': warehouseTables,
    'pipelines/daily-sales.ts': pipeline,
    'pipelines/daily-sales.test.ts': pipelineTest,
    'sql/seed.sql': seed,
    'README.md': readme(name),
  };
}

function packageJson(name: string, version: string): string {
  const wanted = version === '0.0.0' ? '*' : `^${version}`;
  const manifest = {
    name,
    private: true,
    type: 'module',
    engines: { node: '>=20.19' },
    scripts: {
      start: 'millrace run seed-shop && millrace run daily-sales && millrace verify daily-sales',
      test: 'node --import tsx --test "pipelines/*.test.ts"',
      check: 'tsc --noEmit',
    },
    dependencies: {
      '@millrace/cli': wanted,
      '@millrace/connectors': wanted,
      '@millrace/core': wanted,
      '@millrace/transforms': wanted,
      pg: '^8.23.1',
    },
    devDependencies: { '@types/node': '^20.19.0', tsx: '^4.23.15', typescript: '^5.9.0' },
  };
  return `${JSON.stringify(manifest, null, 2)}\n`;
}
