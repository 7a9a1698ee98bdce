/** A network as a picture, and which classes it takes for which: parts of report.html. */
import type { NetworkDescription } from '../binding.js';
import { inspectNetwork } from '../network/description.js';
import type { EpochMetrics } from '../training/epoch-metrics.js';
import { depthColor } from './charts.js';
import { escapeHtml, percentText } from './text.js';

const ROW = 24;
const LEFT = 130;
const WIDTH = 620;

/** An arrow from one row to another: straight to the next one, a bow on the left around those between. */
function arrow(from: number, to: number): string {
  const [y, end] = [(from + 1) * ROW - 4, to * ROW + 1];
  const d = to === from + 1 ? `M${LEFT + 12},${y}V${end}` : `M${LEFT},${y - 7}C${bow(from, to)},${y} ${bow(from, to)},${end} ${LEFT},${end + 7}`;
  return `<path d="${d}" fill="none" stroke="#888" marker-end="url(#arrow)"/>`;
}
const bow = (from: number, to: number) => Math.max(4, LEFT - 14 - 9 * (to - from));

/** Nodes from top to bottom with their outputs, layers coloured by the mean bits of what is left of them; arrows are who reads whom. */
export function networkGraph(network: NetworkDescription, layers: EpochMetrics['layers']): string {
  const { shapes } = inspectNetwork(network);
  const rows = new Map([['input', 0], ...network.nodes.map(({ name }, i): [string, number] => [name, i + 1])]);
  const box = (row: number, text: string, fill: string, ink: string) =>
    `<rect x="${LEFT}" y="${row * ROW + 1}" width="${WIDTH - LEFT}" height="${ROW - 6}" rx="3" fill="${fill}" stroke="#999"/>` +
    `<text x="${LEFT + 22}" y="${row * ROW + 14}" fill="${ink}">${escapeHtml(text)}</text>`;
  const nodes = network.nodes.map(({ name, kind }, i) => {
    const layer = layers.find((one) => one.name === name);
    const bits = layer?.channelBits.filter((depth) => depth > 0) ?? [];
    const mean = bits.length ? bits.reduce((sum, depth) => sum + depth, 0) / bits.length : 0;
    const left = layer ? `, ${layer.channels} of ${layer.originalChannels} channels, ${mean.toFixed(1)} bits` : '';
    return box(i + 1, `${name}: ${kind}, ${shapes[name]?.join('×')}${left}`, layer ? depthColor(mean) : '#f5f5f5', mean > 4 ? '#fff' : '#222');
  });
  const arrows = network.nodes.flatMap(({ inputs }, i) => inputs.map((name) => arrow(rows.get(name) ?? 0, i + 1)));
  const height = (network.nodes.length + 1) * ROW;
  return `<svg class="network" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" font-size="11" role="img" aria-label="network">
<defs><marker id="arrow" viewBox="0 0 6 6" refX="6" refY="3" markerWidth="6" markerHeight="6" orient="auto"><path d="M0,0L6,3L0,6z" fill="#888"/></marker></defs>
${box(0, `input, ${network.input.join('×')}`, '#fff', '#222')}
${nodes.join('\n')}
${arrows.join('\n')}
</svg>`;
}

/** More classes than these are no table that anybody reads: the most frequent mistakes are listed. */
const MOST_CLASSES = 20;

/** @param counts [right class][predicted class] */
export function confusionTable(counts: number[][], names: string[]): string {
  const label = (k: number) => escapeHtml(names[k] ?? String(k));
  const total = (row: number[]) => row.reduce((sum, count) => sum + count, 0);
  if (counts.length > MOST_CLASSES) {
    const mistakes = counts.flatMap((row, right) => row.flatMap((count, taken) => (taken !== right && count > 0 ? [{ right, taken, count }] : [])));
    const rows = mistakes
      .sort((a, b) => b.count - a.count)
      .slice(0, MOST_CLASSES)
      .map(({ right, taken, count }) => `<tr><td>${label(right)}</td><td class="text">${label(taken)}</td><td>${count}</td></tr>`);
    return `<table class="confusion"><tr><th>right</th><th>taken for</th><th>images</th></tr>${rows.join('')}</table>`;
  }
  const cell = (count: number, row: number[], same: boolean) => {
    const share = count / Math.max(1, total(row));
    return `<td style="background:rgba(${same ? '0,158,115' : '213,94,0'},${share.toFixed(3)})">${count}</td>`;
  };
  const head = counts.map((_, k) => `<th scope="col">${label(k)}</th>`).join('');
  const rows = counts.map(
    (row, right) =>
      `<tr><th scope="row">${label(right)}</th>${row.map((count, k) => cell(count, row, k === right)).join('')}` +
      `<td>${percentText((row[right] ?? 0) / Math.max(1, total(row)))}</td></tr>`,
  );
  return `<table class="confusion"><tr><th>right \\ predicted</th>${head}<th>right</th></tr>${rows.join('')}</table>`;
}
