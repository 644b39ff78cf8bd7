/** @param {number} value */
const count = (value) => value.toLocaleString('en');

/**
 * What the stages of the runs have moved, how fast and in which lane.
 * @param {any[]} runs as `millrace runs show --json` has them
 */
export function report(runs) {
  const rows = runs.flatMap((run, index) =>
    run.stages.map((/** @type {any} */ stage, /** @type {number} */ place) => line(place === 0 ? String(index + 1) : '', stage)),
  );
  const table = [['run', 'stage', 'lane', 'attempts', 'rows', 'MB', 'seconds', 'rows/s'], ...rows];
  const widths = table[0].map((_, column) => Math.max(...table.map((row) => row[column].length)));
  return table
    .map((row) => row.map((cell, column) => (column < 3 ? cell.padEnd(widths[column]) : cell.padStart(widths[column]))).join('  '))
    .join('\n');
}

/** @param {string} run @param {any} stage */
function line(run, stage) {
  const { output } = stage.state;
  const attempt = stage.attempts.at(-1);
  const seconds = (Date.parse(attempt.ended) - Date.parse(attempt.started)) / 1000;
  const moved = output.kind === 'load' ? output.receipt : { rows: 0, bytes: 0 };
  return [
    run,
    stage.id,
    stage.lane,
    String(stage.attempts.length),
    moved.rows > 0 ? count(moved.rows) : '',
    moved.bytes > 0 ? (moved.bytes / 1e6).toFixed(1) : '',
    seconds.toFixed(1),
    moved.rows > 0 && seconds > 0 ? count(Math.round(moved.rows / seconds)) : '',
  ];
}
