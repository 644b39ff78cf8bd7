import { compile, MillraceError, type RunStore, type Transition } from '@millrace/core/runtime';
import { expect, it } from 'vitest';
import { testProject } from '../../test/project.ts';
import { inlineDispatch } from '../dispatch/inline.ts';
import { fleetExecutor } from '../fleet/fleet-executor.ts';
import { startFleetWorker } from '../fleet/fleet-worker.ts';
import { loadPipeline } from '../load/load.ts';
import { postgresStore } from '../store/postgres-store.ts';

/** The first answer in which a stage begins is lost on its way: the state has crashed, or the line was cut. */
function losing(store: RunStore, of: 'claim' | 'transition'): RunStore {
  let lost = false;
  const through = async (answer: Promise<Transition>): Promise<Transition> => {
    const transition = await answer;
    if (lost || !transition.events.some(({ event }) => event.type === 'stage.started')) return transition;
    lost = true;
    throw new MillraceError('STATE_UNAVAILABLE', { message: 'The answer was lost.', remedy: 'Nothing.' });
  };
  return of === 'claim'
    ? { ...store, claim: (ref, decide) => through(store.claim(ref, decide)) }
    : { ...store, transition: (run, decide) => through(store.transition(run, decide)) };
}

it.each(['claim', 'transition'] as const)(
  'a stage whose %s was made, and whose answer was lost, does not wait for the end of its lease',
  async (of) => {
    await using project = await testProject();
    const file = project.pipeline(
      'four',
      `const rows = extract(numbersOf(2)); const one = load(rows, ledgerTarget('one')); const two = load(rows, ledgerTarget('two'), { after: [one] });
     const three = load(rows, ledgerTarget('three'), { after: [two] }); const four = load(rows, ledgerTarget('four'), { after: [three] });
     export default pipeline({ name: 'four', steps: { rows, one, two, three, four } });`,
    );
    const pipelines = [{ file, plan: compile((await loadPipeline(file)).pipeline) }];
    await using opened = await postgresStore(project.state);
    await using dispatch = inlineDispatch();
    await using executor = await fleetExecutor({ state: project.state });
    await using _worker = await startFleetWorker({
      store: losing(opened, of),
      dispatch,
      pipelines,
      directory: project.directory,
      leaseMs: 20_000,
    });
    const begun = performance.now();
    const { run } = await executor.start(pipelines[0] as (typeof pipelines)[0]);
    expect((await executor.finished(run.id)).state.at).toBe('succeeded');
    expect(performance.now() - begun).toBeLessThan(15_000);
  },
);
