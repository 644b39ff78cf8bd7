import type { Lane, Plan, PlanStep } from './plan.ts';

const box = { width: 232, height: 52, gapX: 56, gapY: 22 };
const margin = 24;
const laneColour: Record<Lane | 'none', string> = {
  server: '#6b7280',
  bytes: '#0f766e',
  duckdb: '#b45309',
  columns: '#1d4ed8',
  rows: '#7c3aed',
  none: '#9ca3af',
};

interface Placed {
  readonly step: PlanStep;
  readonly lane: Lane | 'none';
  readonly x: number;
  readonly y: number;
}

/**
 * The plan as a picture that stands alone: inputs to the left, each step right of all it waits for, coloured by the lane of
 * its stage. Columns are the longest path from a source; within a column steps stay in the order of the pipeline.
 */
export function toSvg(plan: Plan): string {
  const placed = place(plan);
  const at = new Map(placed.map((item) => [item.step.name, item]));
  const width = Math.max(0, ...placed.map(({ x }) => x)) + box.width + margin;
  const height = Math.max(0, ...placed.map(({ y }) => y)) + box.height + margin;
  const arrows = plan.steps.flatMap((step) => [
    ...(step.input ? [arrow(at.get(step.input), at.get(step.name), false)] : []),
    ...step.after.map((before) => arrow(at.get(before), at.get(step.name), true)),
  ]);
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" font-family="ui-sans-serif, system-ui, sans-serif">`,
    '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto-start-reverse"><path d="M0 0L8 4L0 8z" fill="#6b7280"/></marker></defs>',
    `<rect width="${width}" height="${height}" fill="#ffffff"/>`,
    ...arrows,
    ...placed.map(drawBox),
    '</svg>',
    '',
  ].join('\n');
}

function place(plan: Plan): Placed[] {
  const lanes = new Map(plan.stages.flatMap((stage) => stage.steps.map((name) => [name, stage.lane] as const)));
  const columns = new Map<string, number>();
  const rows: number[] = [];
  return plan.steps.map((step) => {
    const before = [...(step.input ? [step.input] : []), ...step.after];
    const column = before.reduce((most, name) => Math.max(most, (columns.get(name) ?? -1) + 1), 0);
    columns.set(step.name, column);
    const row = rows[column] ?? 0;
    rows[column] = row + 1;
    return {
      step,
      lane: lanes.get(step.name) ?? 'none',
      x: margin + column * (box.width + box.gapX),
      y: margin + row * (box.height + box.gapY),
    };
  });
}

function drawBox({ step, lane, x, y }: Placed): string {
  const colour = laneColour[lane];
  return [
    `<g><title>${escapeXml(`${step.name}: ${step.does}`)}</title>`,
    `<rect x="${x}" y="${y}" width="${box.width}" height="${box.height}" rx="8" fill="#ffffff" stroke="${colour}" stroke-width="1.5"/>`,
    `<rect x="${x}" y="${y}" width="5" height="${box.height}" rx="2" fill="${colour}"/>`,
    `<text x="${x + 16}" y="${y + 22}" font-size="14" font-weight="600" fill="#111827">${escapeXml(fit(step.name, 20))}</text>`,
    `<text x="${x + box.width - 10}" y="${y + 22}" font-size="11" text-anchor="end" fill="${colour}">${lane === 'none' ? '' : lane}</text>`,
    `<text x="${x + 16}" y="${y + 40}" font-size="11" fill="#6b7280">${escapeXml(fit(step.does, 36))}</text></g>`,
  ].join('');
}

function arrow(from: Placed | undefined, to: Placed | undefined, dotted: boolean): string {
  if (!from || !to) return '';
  const [x1, y1, x2, y2] = [from.x + box.width, from.y + box.height / 2, to.x, to.y + box.height / 2];
  const bend = (x2 - x1) / 2;
  const dash = dotted ? ' stroke-dasharray="4 4"' : '';
  return `<path d="M${x1} ${y1}C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2 - 2} ${y2}" fill="none" stroke="#6b7280" stroke-width="1.5"${dash} marker-end="url(#tip)"/>`;
}

const fit = (text: string, length: number): string => (text.length <= length ? text : `${text.slice(0, length - 1)}…`);

function escapeXml(text: string): string {
  // Characters that XML cannot hold at all are shown as a replacement.
  const legal = [...text].map((char) => (/[\t\n\r\x20-\uD7FF\uE000-\uFFFD\u{10000}-\u{10FFFF}]/u.test(char) ? char : '\uFFFD')).join('');
  return legal.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;').replace(/"/g, '&quot;');
}
