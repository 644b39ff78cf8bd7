import type { Plan } from './plan.ts';

/** The plan as a Mermaid flowchart: a box for each step, a frame for each stage, dotted arrows for `after`. */
export function toMermaid(plan: Plan): string {
  const lines = ['flowchart LR'];
  const steps = new Map(plan.steps.map((step) => [step.name, step]));
  const drawn = new Set<string>();
  for (const stage of plan.stages) {
    const own = stage.steps.filter((name) => !drawn.has(name));
    lines.push(`  subgraph stage_${stage.id}["${stage.id} · ${stage.lane}"]`);
    for (const name of own) {
      drawn.add(name);
      lines.push(`    ${boxOf(name, steps.get(name)?.does ?? '')}`);
    }
    lines.push('  end');
  }
  for (const { name } of plan.steps.filter((step) => !drawn.has(step.name))) lines.push(`  ${boxOf(name, steps.get(name)?.does ?? '')}`);
  for (const step of plan.steps) {
    if (step.input) lines.push(`  ${step.input} --> ${step.name}`);
    for (const before of step.after) lines.push(`  ${before} -.-> ${step.name}`);
  }
  return `${lines.join('\n')}\n`;
}

function boxOf(name: string, does: string): string {
  return `${name}["<b>${name}</b><br/>${escapeHtml(does)}"]`;
}

/** Mermaid reads labels as HTML with its own entity form for quotes. */
function escapeHtml(text: string): string {
  return text.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;').replace(/"/g, '#quot;').replace(/\r?\n/g, ' ');
}
