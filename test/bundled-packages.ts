import { bundle } from '../scripts/bundle.mjs';

/** The packages as they are now, for the processes that tests start: they inherit the variable, which says that the bundle is there. */
export default async function setup(): Promise<void> {
  process.env['MILLRACE_BUNDLED'] = 'yes';
  await bundle();
}
