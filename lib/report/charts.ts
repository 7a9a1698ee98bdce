/** Figures of a run as SVG text, for pages without scripts. */
import { parseHTML } from 'linkedom';
import type { EpochMetrics } from '../training/epoch-metrics.js';
import * as figures from './figures.js';

const { document } = parseHTML('<!doctype html><html><body></body></html>');

export { depthColor, type LineChartOptions, type Series } from './figures.js';

export const lineChart = (series: figures.Series[], options: figures.LineChartOptions): string =>
  figures.lineChart(document, series, options).outerHTML;

export const bitsHeatMap = (history: EpochMetrics[], layer: string): string => figures.bitsHeatMap(document, history, layer).outerHTML;

export const depthHistogram = (metrics: EpochMetrics): string => figures.depthHistogram(document, metrics).outerHTML;

export const paretoChart = (points: figures.ParetoPoint[]): string => figures.paretoChart(document, points).outerHTML;
