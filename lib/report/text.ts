/** Numbers and tables as text. */

import type { NetworkSize } from '../training/metrics.js';

export const percentText = (share: number): string => `${(share * 100).toFixed(share < 0.1 ? 2 : 1)} %`;

export function durationText(seconds: number): string {
  if (!Number.isFinite(seconds)) return '–';
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
  return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
}

/** Rows of cells, the first one the head: channels, mean bits, weights and bytes of every layer, and their sum. */
export function layerTable({ layers, channels, weights, bits, bitsFraction, weightsFraction }: NetworkSize): string[][] {
  const mean = (b: number, w: number) => (w ? (b / w).toFixed(2) : '–');
  const bytes = (b: number) => `${Math.ceil(b / 8)}`;
  return [
    ['layer', 'channels', 'mean bits', 'weights', 'of original', 'bytes'],
    ...layers.map((l) => [
      l.name,
      `${l.channels}/${l.originalChannels}`,
      mean(l.bits, l.weights),
      `${l.weights}`,
      percentText(l.weights / l.originalWeights),
      bytes(l.bits),
    ]),
    ['all', `${channels}`, mean(bits, weights), `${weights}`, percentText(weightsFraction), `${bytes(bits)} (${percentText(bitsFraction)})`],
  ];
}

/** Columns padded to one width: the first to the left and those whose heads are in `left`, the others to the right. */
export function alignTable(rows: string[][], left: ReadonlySet<string> = new Set()): string {
  const head = rows[0] ?? [];
  const widths = head.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const padded = (cell: string, i: number) => {
    const width = widths[i] ?? 0;
    return i === 0 || left.has(head[i] ?? '') ? cell.padEnd(width) : cell.padStart(width);
  };
  return rows.map((row) => row.map(padded).join('  ').trimEnd()).join('\n');
}

export const escapeHtml = (text: string): string =>
  text.replace(/[&<>"]/g, (c) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[c] as string);
