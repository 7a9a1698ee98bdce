// Figures of several seeds, as the experiments' pages show them.
export const mean = (values) => values.reduce((a, b) => a + b, 0) / values.length;
/** Standard deviation of the population that the values are drawn from; 0 of one value. */
export const deviation = (values) =>
  values.length > 1 ? Math.sqrt(values.reduce((sum, x) => sum + (x - mean(values)) ** 2, 0) / (values.length - 1)) : 0;
export const percent = (x, digits = 2) => `${(100 * x).toFixed(digits)} %`;
