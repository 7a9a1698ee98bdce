/** Figures of a run as SVG text: curves over epochs, and the heat map of bits per channel. */
import * as Plot from '@observablehq/plot';
import { parseHTML } from 'linkedom';
import type { EpochMetrics } from '../training/epoch-metrics.js';

const { document } = parseHTML('<!doctype html><html><body></body></html>');
/** Okabe & Ito's colours: told apart by colour-blind readers too. */
const colors = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9'];

export interface Series {
  name: string;
  /** One value per epoch. */
  values: number[];
}

export interface LineChartOptions {
  label: string;
  logarithmic?: boolean;
  /** Shown as percent. */
  percent?: boolean;
  from?: number;
}

/** SVG of curves over the epochs 1, 2, … with their names at the right end. */
export function lineChart(series: Series[], { label, logarithmic = false, percent = false, from }: LineChartOptions): string {
  const rows = series.flatMap(({ name, values }) => values.map((value, i) => ({ name, epoch: i + 1, value: percent ? value * 100 : value })));
  const shown = logarithmic ? rows.filter((row) => row.value > 0) : rows;
  const last = series.flatMap(({ name }) => shown.filter((row) => row.name === name).slice(-1));
  const svg = Plot.plot({
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
    ],
  });
  return svg.outerHTML;
}

/** Colour of a depth: white for a removed channel, then from light to dark. */
export const depthColor = (bits: number): string => (bits === 0 ? '#ffffff' : `hsl(215 75% ${Math.round(88 - 9 * Math.min(bits, 8))}%)`);

/** One heat map per layer: a row per channel of the original network, a column per epoch. */
export function bitsHeatMap(history: EpochMetrics[], layer: string): string {
  const cells = history.flatMap(({ epoch, layers }) =>
    (layers.find((l) => l.name === layer)?.channelBits ?? []).map((bits, channel) => ({ epoch, channel, bits })),
  );
  const channels = Math.max(...cells.map((cell) => cell.channel)) + 1;
  const svg = Plot.plot({
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
  return svg.outerHTML;
}
