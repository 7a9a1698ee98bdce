/** report.html: one self-contained page about a run. */

import type { NetworkDescription } from '../binding.js';
import { bytesText } from '../bytes-text.js';
import { item } from '../indexing.js';
import type { EpochMetrics } from '../training/epoch-metrics.js';
import { bitsHeatMap, depthColor, depthHistogram, lineChart } from './charts.js';
import { confusionTable, networkGraph } from './network.js';
import { escapeHtml, layerTable, percentText } from './text.js';

export interface ReportInput {
  title: string;
  /** What the run was started with, shown at the end of the page. */
  config: unknown;
  history: EpochMetrics[];
  /** What was asked for and what was reached. */
  outcome?: string | undefined;
  /** As it is after the last epoch. */
  network?: NetworkDescription | undefined;
  /** The last epoch whose bit depths are learnt. */
  freezeEpoch?: number | undefined;
  /** Test images by right and predicted class. */
  confusion?: number[][] | undefined;
  classNames?: string[] | undefined;
  /** What the run was made with and when: names and texts. */
  about?: Record<string, string> | undefined;
}

const style = `
  :root { color-scheme: light; }
  body { font: 15px/1.5 system-ui, sans-serif; max-width: 1180px; margin: 2rem auto; padding: 0 1rem; color: #222; background: #fff; }
  h1 { font-size: 1.5rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
  .row { display: flex; flex-wrap: wrap; gap: 1rem 2rem; align-items: flex-start; }
  .fact { min-width: 9rem; } .fact b { display: block; font-size: 1.5rem; font-weight: 600; }
  table { border-collapse: collapse; } td, th { padding: .15rem .8rem; text-align: right; border-bottom: 1px solid #ddd; } td:first-child, th:first-child { text-align: left; }
  .swatch { display: inline-block; width: 1.1em; height: 1.1em; vertical-align: -0.2em; border: 1px solid #999; margin: 0 .2em 0 .7em; }
  td.text { text-align: left; }
  pre { background: #f5f5f5; padding: 1rem; overflow: auto; font-size: 12px; }`;

function facts(last: EpochMetrics): string {
  const fact = (value: string, label: string) => `<div class="fact"><b>${value}</b>${label}</div>`;
  return `<div class="row">${[
    fact(percentText(last.testAccuracy), 'test accuracy'),
    ...(last.validationAccuracy === undefined ? [] : [fact(percentText(last.validationAccuracy), 'validation accuracy')]),
    fact(percentText(last.bitsFraction), 'of the bits'),
    fact(percentText(last.weightsFraction), 'of the weights'),
    fact(`${last.channels}`, 'channels left'),
    fact(bytesText(last.modelBytes), 'model file'),
  ].join('')}</div>`;
}

function table(last: EpochMetrics): string {
  const [head = [], ...rows] = layerTable(last);
  const line = (cells: string[], tag: string) => `<tr>${cells.map((cell) => `<${tag}>${escapeHtml(cell)}</${tag}>`).join('')}</tr>`;
  return `<table>${line(head, 'th')}${rows.map((row) => line(row, 'td')).join('')}</table>`;
}

function factsTable(about: Record<string, string>): string {
  const rows = Object.entries(about).map(
    ([name, text]) => `<tr><th scope="row">${escapeHtml(name)}</th><td class="text">${escapeHtml(text)}</td></tr>`,
  );
  return `<table>${rows.join('')}</table>`;
}

/** HTML without scripts or links: figures are SVG inside the page. */
export function renderReport(input: ReportInput): string {
  const { title, config, history, outcome, about, network, freezeEpoch, confusion, classNames = [] } = input;
  const last = item(history, history.length - 1);
  const of = (pick: (metrics: EpochMetrics) => number) => history.map(pick);
  const validated = (pick: (metrics: EpochMetrics) => number | undefined) =>
    history.every((m) => pick(m) !== undefined) ? [{ name: 'validation', values: of((m) => pick(m) as number) }] : [];
  const mark = freezeEpoch !== undefined && freezeEpoch < history.length ? { epoch: freezeEpoch, text: 'depths frozen' } : undefined;
  const depths = [0, 1, 2, 3, 4, 5, 6, 8].map(
    (bits) => `<span class="swatch" style="background:${depthColor(bits)}"></span>${bits === 0 ? 'dead' : bits === 8 ? '8+' : bits}`,
  );
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${escapeHtml(title)}</title><style>${style}</style></head><body>
<h1>${escapeHtml(title)}</h1>
${facts(last)}${outcome ? `\n<p>${escapeHtml(outcome)}</p>` : ''}
<h2>Accuracy and loss</h2>
<div class="row">
${lineChart(
  [
    { name: 'train', values: of((m) => m.trainAccuracy) },
    { name: 'test', values: of((m) => m.testAccuracy) },
    ...validated((m) => m.validationAccuracy),
  ],
  { label: 'accuracy', percent: true },
)}
${lineChart(
  [{ name: 'train', values: of((m) => m.trainLoss) }, { name: 'test', values: of((m) => m.testLoss) }, ...validated((m) => m.validationLoss)],
  { label: 'loss', logarithmic: true },
)}
</div>
<h2>Size</h2>
<div class="row">
${lineChart(
  [
    { name: 'bits', values: of((m) => m.bitsFraction) },
    { name: 'weights', values: of((m) => m.weightsFraction) },
    { name: 'channels', values: of((m) => m.channelsFraction) },
  ],
  { label: 'left of the original network', percent: true, from: 0, mark },
)}
${lineChart([{ name: 'model file', values: of((m) => m.modelBytes / 1000) }], { label: 'kilobytes', from: 0 })}
</div>
<h2>Speed: seconds per epoch fall as channels are removed</h2>
<div class="row">
${lineChart([{ name: 'seconds', values: of((m) => m.epochSeconds) }], { label: 'seconds of training per epoch', from: 0 })}
${lineChart([{ name: 'images/s', values: of((m) => m.imagesPerSecond) }], { label: 'images per second', from: 0 })}
</div>
<h2>Rates</h2>
<div class="row">
${lineChart([{ name: 'learning rate', values: of((m) => m.learningRate) }], { label: 'learning rate of weights at the end of the epoch', from: 0 })}
${lineChart([{ name: 'γ', values: of((m) => m.gamma) }], { label: 'factor γ of the size penalty', from: 0, mark })}
</div>
<h2>Bit depths after the last epoch</h2>
<div class="row">${depthHistogram(last)}</div>
<h2>Bits per channel, epoch by epoch</h2>
<p>Each row is an output channel of the original network.${depths.join('')}</p>
<div class="row">${last.layers.map((layer) => bitsHeatMap(history, layer.name)).join('\n')}</div>
<h2>Layers</h2>
${table(last)}
${network ? `<h2>Network</h2>\n${networkGraph(network, last.layers)}` : ''}
${confusion ? `<h2>Which test images are taken for what</h2>\n${confusionTable(confusion, classNames)}` : ''}
${about ? `<h2>Made by</h2>\n${factsTable(about)}` : ''}
<h2>Configuration</h2>
<pre>${escapeHtml(JSON.stringify(config, undefined, 2))}</pre>
</body></html>
`;
}
