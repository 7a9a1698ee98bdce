/** Results of a sweep: means over seeds, the Pareto front, a table and a page. */
import { bytesText } from '../bytes-text.js';
import type { EpochMetrics } from '../training/epoch-metrics.js';
import { paretoChart } from './charts.js';
import { alignTable, durationText, percentText } from './text.js';

/** A run of the sweep and its last epoch. */
export interface SweepResult {
  name: string;
  group: string;
  last: EpochMetrics;
  /** Of all epochs' training steps. */
  seconds: number;
}

/** Runs that differ in their seeds alone. */
export interface SweepGroup {
  group: string;
  runs: number;
  /** Means over the runs; accuracy on the validation split if the runs have one, else on the test examples. */
  accuracy: number;
  /** Half the distance between the best and the worst run. */
  spread: number;
  testAccuracy: number;
  modelBytes: number;
  bitsFraction: number;
  weightsFraction: number;
  seconds: number;
  /** No other group is as accurate and smaller, or as small and more accurate. */
  front: boolean;
}

const mean = (values: number[]) => values.reduce((sum, x) => sum + x, 0) / values.length;

export function groupsOf(results: SweepResult[]): SweepGroup[] {
  const validated = results.every(({ last }) => last.validationAccuracy !== undefined);
  const accuracyOf = ({ last }: SweepResult) => (validated ? (last.validationAccuracy as number) : last.testAccuracy);
  const groups = [...new Set(results.map(({ group }) => group))].map((group) => {
    const own = results.filter((result) => result.group === group);
    const of = (pick: (last: EpochMetrics) => number) => mean(own.map(({ last }) => pick(last)));
    const accuracies = own.map(accuracyOf);
    return {
      group,
      runs: own.length,
      accuracy: mean(accuracies),
      spread: (Math.max(...accuracies) - Math.min(...accuracies)) / 2,
      testAccuracy: of((m) => m.testAccuracy),
      modelBytes: Math.round(of((m) => m.modelBytes)),
      bitsFraction: of((m) => m.bitsFraction),
      weightsFraction: of((m) => m.weightsFraction),
      seconds: mean(own.map(({ seconds }) => seconds)),
    };
  });
  const better = (a: (typeof groups)[number], b: (typeof groups)[number]) =>
    a.accuracy >= b.accuracy && a.modelBytes <= b.modelBytes && (a.accuracy > b.accuracy || a.modelBytes < b.modelBytes);
  return groups
    .map((one) => ({ ...one, front: !groups.some((other) => better(other, one)) }))
    .sort((a, b) => a.modelBytes - b.modelBytes || b.accuracy - a.accuracy);
}

const head = ['', 'runs', 'accuracy', '±', 'test', 'file', 'bits', 'weights', 'time', 'front'];
const row = (g: SweepGroup) => [
  g.group,
  `${g.runs}`,
  `${(100 * g.accuracy).toFixed(2)} %`,
  g.runs > 1 ? (100 * g.spread).toFixed(2) : '',
  `${(100 * g.testAccuracy).toFixed(2)} %`,
  bytesText(g.modelBytes),
  percentText(g.bitsFraction),
  percentText(g.weightsFraction),
  durationText(g.seconds),
  g.front ? '*' : '',
];

/** Groups from the smallest file to the largest. "accuracy" is that which choices are made on. */
export const sweepTable = (groups: SweepGroup[]): string => alignTable([head, ...groups.map(row)]);

/** A page without scripts: the plot of accuracy against bytes, and the table. */
export function sweepPage(title: string, groups: SweepGroup[], validated: boolean): string {
  const escapeHtml = (text: string) => text.replace(/[&<>"]/g, (c) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[c] as string);
  const cells = (list: string[], tag: string) => `<tr>${list.map((cell) => `<${tag}>${escapeHtml(cell)}</${tag}>`).join('')}</tr>`;
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>${escapeHtml(title)}</title>
<style>body { font: 15px/1.5 system-ui, sans-serif; max-width: 1100px; margin: 2rem auto; padding: 0 1rem; color: #222; background: #fff; }
table { border-collapse: collapse; } td, th { padding: .15rem .8rem; text-align: right; border-bottom: 1px solid #ddd; } td:first-child, th:first-child { text-align: left; }</style></head><body>
<h1>${escapeHtml(title)}</h1>
<p>Accuracy on the ${validated ? 'validation split' : 'test examples'} against the size of the model file, means over seeds; filled: no other is smaller and as accurate.</p>
${paretoChart(groups.map(({ group, modelBytes, accuracy, front }) => ({ name: group, bytes: modelBytes, accuracy, front })))}
<table>${cells(head, 'th')}${groups.map((g) => cells(row(g), 'td')).join('')}</table>
</body></html>
`;
}
