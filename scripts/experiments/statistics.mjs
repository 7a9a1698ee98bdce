// Figures of several seeds, as the experiments' pages show them.
export const mean = (values) => values.reduce((a, b) => a + b, 0) / values.length;
/** Standard deviation of the population that the values are drawn from; 0 of one value. */
export const deviation = (values) =>
  values.length > 1 ? Math.sqrt(values.reduce((sum, x) => sum + (x - mean(values)) ** 2, 0) / (values.length - 1)) : 0;
export const percent = (x, digits = 2) => `${(100 * x).toFixed(digits)} %`;

/** @param rows [{ name, what, runs }], `runs` having the figures of each seed */
export function comparisonTable(rows) {
  const line = ({ name, what, runs }) => {
    const of = (field) => runs.map((run) => run[field]);
    const cells = [
      ...[name, what, percent(mean(of('testAccuracy'))), (100 * deviation(of('testAccuracy'))).toFixed(2)],
      ...[Math.round(mean(of('modelBytes'))), percent(mean(of('bitsFraction'))), percent(mean(of('weightsFraction')))],
    ];
    return `| ${cells.join(' | ')} |`;
  };
  return ['| | | test accuracy | ± | whole file | bits left | weights left |', '| --- | --- | --- | --- | --- | --- | --- |', ...rows.map(line)].join(
    '\n',
  );
}
