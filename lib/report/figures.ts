/**
 * Figures of runs as SVG: curves over epochs, accuracy against size, histograms, and the heat map of bits per channel. Every
 * function makes its elements in the document that it is given: one of its own for the report, the browser's for the dashboard.
 */
import * as Plot from '@observablehq/plot';
import type { EpochMetrics } from '../training/epoch-metrics.js';

/** A DOM document. */
export type Page = unknown;
interface Drawing {
  readonly outerHTML: string;
}

/** Okabe & Ito's colours: told apart by colour-blind readers too. */
const colors = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9'];

export interface Series {
  name: string;
  /** One value per epoch, of epoch 1 first. */
  values: number[];
}

export interface LineChartOptions {
  label: string;
  logarithmic?: boolean;
  /** Shown as percent. */
  percent?: boolean;
  from?: number;
  /** A line across the chart at this epoch. */
  mark?: { epoch: number; text: string } | undefined;
  /** Values appear where the pointer is. */
  hover?: boolean;
}

/** Curves over the epochs 1, 2, … with their names at the right end. */
export function lineChart(
  document: Page,
  series: Series[],
  { label, logarithmic = false, percent = false, from, mark, hover = false }: LineChartOptions,
): Drawing {
  const rows = series.flatMap(({ name, values }) => values.map((value, i) => ({ name, epoch: i + 1, value: percent ? value * 100 : value })));
  const shown = logarithmic ? rows.filter((row) => row.value > 0) : rows;
  const last = series.flatMap(({ name }) => shown.filter((row) => row.name === name).slice(-1));
  return Plot.plot({
    document: document as never,
    width: 560,
    height: 260,
    marginRight: 110,
    marginLeft: 52,
    x: { label: 'epoch', ticks: Math.min(10, Math.max(1, shown.length / series.length)), tickFormat: 'd', interval: 1 },
    y: {
      label: percent ? `${label} (%)` : label,
      grid: true,
      type: logarithmic ? 'log' : 'linear',
      ...(logarithmic ? { tickFormat: '~f' } : {}),
      ...(from !== undefined && !logarithmic ? { domain: [from, Math.max(from, ...shown.map((r) => r.value))], nice: true } : {}),
    },
    color: { domain: series.map((s) => s.name), range: colors },
    marks: [
      Plot.lineY(shown, { x: 'epoch', y: 'value', z: 'name', stroke: 'name', strokeWidth: 2 }),
      Plot.dot(shown, { x: 'epoch', y: 'value', fill: 'name', r: 2.5 }),
      Plot.text(last, { x: 'epoch', y: 'value', text: 'name', fill: 'name', textAnchor: 'start', dx: 8 }),
      ...(mark
        ? [
            Plot.ruleX([mark.epoch], { stroke: '#888', strokeDasharray: '4 3' }),
            Plot.text([mark.text], { x: mark.epoch, frameAnchor: 'top', textAnchor: 'start', dx: 4, fill: '#666' }),
          ]
        : []),
      ...(hover ? [Plot.tip(shown, Plot.pointer({ x: 'epoch', y: 'value', stroke: 'name' }))] : []),
    ],
  });
}

export interface Outcome {
  run: string;
  epoch: number;
  accuracy: number;
  /** Of the model file. */
  bytes: number;
}

/** Accuracy against the size of the model file, a path of points for each run. */
export function sizeChart(document: Page, outcomes: Outcome[], runs: string[]): Drawing {
  const rows = outcomes.map((o) => ({ ...o, kilobytes: o.bytes / 1000, percent: o.accuracy * 100 }));
  return Plot.plot({
    document: document as never,
    width: 560,
    height: 300,
    marginLeft: 52,
    x: { label: 'model file (kB)', type: 'log', grid: true, tickFormat: '~f' },
    y: { label: 'test accuracy (%)', grid: true },
    color: { domain: runs, range: colors, legend: false },
    marks: [
      Plot.line(rows, { x: 'kilobytes', y: 'percent', z: 'run', stroke: 'run', strokeOpacity: 0.4 }),
      Plot.dot(rows, { x: 'kilobytes', y: 'percent', fill: 'run', r: 3 }),
      Plot.tip(
        rows,
        Plot.pointer({
          x: 'kilobytes',
          y: 'percent',
          stroke: 'run',
          title: (d) => `${d.run}, epoch ${d.epoch}\n${d.percent.toFixed(2)} % in ${d.kilobytes.toFixed(1)} kB`,
        }),
      ),
    ],
  });
}

export interface ParetoPoint {
  name: string;
  bytes: number;
  /** 0..1 */
  accuracy: number;
  front: boolean;
}

/** Accuracy against bytes (logarithmic), the front filled and joined. */
export function paretoChart(document: Page, points: ParetoPoint[]): Drawing {
  const rows = points.map((point) => ({ ...point, percent: 100 * point.accuracy }));
  const front = rows.filter((point) => point.front).sort((a, b) => a.bytes - b.bytes);
  return Plot.plot({
    document: document as never,
    width: 900,
    height: 460,
    marginRight: 180,
    x: { type: 'log', label: 'bytes of the model file', tickFormat: '~s', grid: true },
    y: { label: 'accuracy (%)', grid: true },
    marks: [
      Plot.lineY(front, { x: 'bytes', y: 'percent', stroke: '#0072b2', curve: 'step-after' }),
      Plot.dot(rows, { x: 'bytes', y: 'percent', stroke: '#0072b2', fill: (d: (typeof rows)[number]) => (d.front ? '#0072b2' : '#ffffff'), r: 4 }),
      Plot.text(rows, { x: 'bytes', y: 'percent', text: 'name', textAnchor: 'start', dx: 8, fontSize: 10 }),
    ],
  });
}

/** How many channels of the layers have which bit depth, rounded up to whole bits; removed ones have 0. */
export function depthHistogram(document: Page, { layers }: Pick<EpochMetrics, 'layers'>): Drawing {
  const counts = new Map<number, number>();
  for (const bits of layers.flatMap(({ channelBits }) => channelBits)) counts.set(Math.ceil(bits), (counts.get(Math.ceil(bits)) ?? 0) + 1);
  const rows = [...counts].map(([bits, channels]) => ({ bits, channels }));
  return Plot.plot({
    document: document as never,
    width: 560,
    height: 260,
    marginLeft: 52,
    x: { label: 'bits of a channel (0: removed)', tickFormat: 'd', interval: 1 },
    y: { label: 'channels', grid: true },
    marks: [Plot.rectY(rows, { x: 'bits', y: 'channels', interval: 1, fill: '#0072b2', insetLeft: 1, insetRight: 1 }), Plot.ruleY([0])],
  });
}

/** Colour of a depth: white for a removed channel, then from light to dark. */
export const depthColor = (bits: number): string => (bits === 0 ? '#ffffff' : `hsl(215 75% ${Math.round(88 - 9 * Math.min(bits, 8))}%)`);

/** One heat map per layer: a row per channel of the original network, a column per epoch. */
export function bitsHeatMap(document: Page, history: EpochMetrics[], layer: string): Drawing {
  const cells = history.flatMap(({ epoch, layers }) =>
    (layers.find((l) => l.name === layer)?.channelBits ?? []).map((bits, channel) => ({ epoch, channel, bits })),
  );
  const channels = Math.max(...cells.map((cell) => cell.channel)) + 1;
  return Plot.plot({
    document: document as never,
    width: 260,
    height: Math.min(460, 60 + channels * 6),
    marginLeft: 40,
    x: { label: 'epoch', ticks: 5 },
    y: { label: `${layer}: channel`, reverse: false, ticks: 6 },
    marks: [
      Plot.rect(cells, {
        x1: (d: (typeof cells)[number]) => d.epoch - 0.5,
        x2: (d: (typeof cells)[number]) => d.epoch + 0.5,
        y1: 'channel',
        y2: (d: (typeof cells)[number]) => d.channel + 1,
        fill: (d: (typeof cells)[number]) => depthColor(d.bits),
      }),
      Plot.frame({ stroke: '#999' }),
    ],
  });
}
