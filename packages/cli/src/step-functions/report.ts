import type { Plan, Problem, StepFunctionsSettings } from '@millrace/core/runtime';
import { type Barrier, type Cost, capabilities, compileStateMachines, costOf, seriesParallel } from '@millrace/step-functions';
import { alignedTable } from '../text/table.ts';

/** What Step Functions does otherwise with a plan; more is known where the environment says how it runs there. */
export interface ExecutorReport {
  readonly remarks: readonly Problem[];
  readonly barriers: readonly Barrier[];
}

export function executorReport(plan: Plan, settings: StepFunctionsSettings | undefined): ExecutorReport {
  const streams = plan.stages.some(({ kind }) => kind === 'changes');
  if (settings && !streams) return compileStateMachines(plan, settings);
  return { remarks: capabilities(plan, settings), barriers: seriesParallel(plan.stages).barriers };
}

export function reportLines({ remarks, barriers }: ExecutorReport, dim: (text: string) => string): string[] {
  const lines = [
    ...remarks.flatMap(({ message, remedy }) => [`  ${message}`, dim(`    ${remedy}`)]),
    ...barriers.map(({ stage, waitsFor }) => `  ${stage} also waits for ${waitsFor.join(', ')}`),
  ];
  return lines.length === 0 ? ['Step Functions does it all.'] : ['In Step Functions:', ...lines];
}

/** What a run costs, a line for each thing that is paid for. */
export const planCost = (plan: Plan, settings: StepFunctionsSettings, minutes: number): Cost =>
  costOf(plan, compileStateMachines(plan, settings), settings, minutes);

export function costLines({ lines, dollars, assumes, pricesOf }: Cost, dim: (text: string) => string): string[] {
  const amount = (value: number): string => value.toLocaleString('en', { maximumFractionDigits: value < 10 ? 3 : 0 });
  const price = (value: number): string => `$${value.toFixed(value < 0.01 ? 5 : 2)}`;
  return [
    ...alignedTable(
      [{ title: 'a run costs about' }, { title: 'amount', align: 'right' }, { title: 'of' }, { title: 'USD', align: 'right' }],
      [
        ...lines.map(({ what, quantity, unit, dollars }) => [what, amount(quantity), unit, price(dollars)]),
        ['together', '', '', price(dollars)],
      ],
    ),
    dim(`where ${assumes.join('; ')}. List prices of ${pricesOf}; databases, warehouses and logs are not in it.`),
  ];
}
