/** What the terminal shows while training: a line that moves, or plain lines where there is no terminal. */

import { bytesText } from '../bytes-text.js';
import type { EpochMetrics } from '../training/epoch-metrics.js';
import type { StepEvent, Trainer } from '../training/trainer.js';
import { durationText, percentText } from './text.js';

/** Columns of the table in their order; of those that do not fit, the one with the largest `rank` goes first. */
type Column = { head: string; width: number; rank: number; cell: (m: EpochMetrics, epochs: number) => string };
const imageTable: Column[] = [
  { head: 'epoch', width: 9, rank: 0, cell: (m, epochs) => `${m.epoch}/${epochs}` },
  { head: 'train loss', width: 10, rank: 5, cell: (m) => m.trainLoss.toFixed(4) },
  { head: 'test loss', width: 10, rank: 4, cell: (m) => m.testLoss.toFixed(4) },
  { head: 'accuracy', width: 9, rank: 1, cell: (m) => percentText(m.testAccuracy) },
  { head: 'validation', width: 10, rank: 1.5, cell: (m) => (m.validationAccuracy === undefined ? '' : percentText(m.validationAccuracy)) },
  { head: 'bits', width: 8, rank: 2, cell: (m) => percentText(m.bitsFraction) },
  { head: 'weights', width: 8, rank: 7, cell: (m) => percentText(m.weightsFraction) },
  { head: 'channels', width: 8, rank: 6, cell: (m) => `${m.channels}` },
  { head: 'file', width: 11, rank: 3, cell: (m) => bytesText(m.modelBytes) },
  { head: 'images/s', width: 9, rank: 8, cell: (m) => m.imagesPerSecond.toFixed(0) },
];

/** Of classes at every pixel: their overlap as well. */
const pixelTable: Column[] = imageTable.flatMap((column) =>
  column.head === 'accuracy' ? [column, { head: 'mean IoU', width: 8, rank: 1.5, cell: (m) => percentText(m.meanIoU ?? Number.NaN) }] : [column],
);

/** Of texts: bits of a token and perplexity in place of the accuracy. */
const textTable: Column[] = imageTable.flatMap((column): Column[] => {
  if (column.head === 'images/s') return [{ ...column, head: 'windows/s' }];
  if (column.head !== 'accuracy') return [column];
  return [
    { head: 'bits/token', width: 10, rank: 1, cell: (m) => (m.bitsPerToken ?? Number.NaN).toFixed(4) },
    { head: 'perplexity', width: 10, rank: 6.5, cell: (m) => (m.perplexity ?? Number.NaN).toFixed(3) },
  ];
});

/** The items that fit into `columns` with `gap` columns between them, in their order. */
function fitting<T extends { rank: number }>(items: T[], width: (item: T) => number, gap: number, columns: number): T[] {
  const kept = [...items];
  const total = () => kept.reduce((sum, item) => sum + width(item), gap * (kept.length - 1));
  while (kept.length > 1 && total() > columns) kept.splice(kept.indexOf(kept.reduce((a, b) => (b.rank > a.rank ? b : a))), 1);
  return kept;
}

function tableLine(shown: Column[], columns: number, text: (column: Column) => string): string {
  const fit = fitting(shown, (c) => c.width, 1, columns);
  const line = fit.map((c) => text(c).padStart(c.width)).join(' ');
  return columns === Number.POSITIVE_INFINITY ? line : line.slice(0, columns);
}

const BAR = { most: 24, least: 5 };

interface Course {
  epochs: number;
  batchSize: number;
  channels: string;
}

/** Where training is, in at most `columns` columns where they are enough for the epoch. */
function stepText(s: StepEvent, { epochs, batchSize, channels }: Course, columns: number): string {
  const stepsLeft = (epochs - s.epoch) * s.stepsPerEpoch + s.stepsPerEpoch - s.stepInEpoch;
  const texts = [
    { rank: 0, text: `epoch ${s.epoch}/${epochs}` },
    { rank: 2, text: `loss ${s.loss.toFixed(4)}` },
    { rank: 3, text: `accuracy ${percentText(s.accuracy)}` },
    { rank: 4, text: `${s.bitsPerWeight.toFixed(2)} bits/weight` },
    { rank: 6, text: `${channels} channels` },
    { rank: 5, text: `${s.imagesPerSecond.toFixed(0)} images/s` },
    { rank: 1, text: `${durationText((stepsLeft * batchSize) / s.imagesPerSecond)} left` },
  ];
  return fitting(texts, (t) => t.text.length, 3, columns)
    .map((t) => t.text)
    .join(' | ');
}

/** The moving line, in at most `columns` columns. */
export function stepLine(s: StepEvent, course: Course, columns: number) {
  const text = stepText(s, course, columns - BAR.least - 2);
  const size = Math.min(BAR.most, columns - text.length - 2);
  if (size < BAR.least) return text.slice(0, Math.max(0, columns));
  const full = Math.round((size * s.stepInEpoch) / s.stepsPerEpoch);
  return ` ${'█'.repeat(full)}${'░'.repeat(size - full)} ${text}`;
}

/** Time between two drawings of the line. */
const DRAW_MS = 80;
/** Longest silence where no line can move. */
const SILENCE_MS = 30_000;

/**
 * Follows `trainer` on `output` until the function that it returns is called. Cursor and line wrapping of the terminal are
 * left as they are, so that no ending can leave them changed.
 */
export function showProgress(trainer: Trainer, output: NodeJS.WriteStream): () => void {
  const { epochs, batchSize } = trainer.options;
  const table = trainer.data.input === 'tokens' ? textTable : trainer.data.task === 'perPosition' ? pixelTable : imageTable;
  // One column less: a line that fills the last one wraps in some terminals.
  const columns = () => (output.isTTY ? (output.columns || 80) - 1 : Number.POSITIVE_INFINITY);
  const shownColumns = trainer.data.validation ? table : table.filter(({ head }) => head !== 'validation');
  const moves = Boolean(output.isTTY) && process.env.TERM !== 'dumb';
  let written = performance.now();
  const write = (text: string) => {
    output.write(text);
    written = performance.now();
  };
  write(`${tableLine(shownColumns, columns(), (c) => c.head)}\n`);
  const epochLine = (m: EpochMetrics) => `${tableLine(shownColumns, columns(), (c) => c.cell(m, epochs))}\n`;
  let shown: { event: StepEvent; length: number; time: number } | undefined;
  let channels = trainer.history.at(-1)?.channels.toString() ?? 'all';
  /** A line that was drawn in a wider terminal takes several rows now. */
  const clear = () => {
    if (!shown) return;
    const rows = Math.max(0, Math.ceil(shown.length / (columns() + 1)) - 1);
    output.write(`${rows > 0 ? `\x1b[${rows}A` : ''}\r\x1b[J`);
    shown = undefined;
  };
  const draw = (event: StepEvent) => {
    const line = stepLine(event, { epochs, batchSize, channels }, columns());
    clear();
    output.write(line);
    shown = { event, length: line.length, time: performance.now() };
  };
  const onStep = (event: StepEvent) => {
    if (!shown || performance.now() - shown.time >= DRAW_MS) draw(event);
  };
  const onPlainStep = (event: StepEvent) => {
    if (performance.now() - written >= SILENCE_MS) write(`${stepText(event, { epochs, batchSize, channels }, Number.POSITIVE_INFINITY)}\n`);
  };
  const onResize = () => {
    if (shown) draw(shown.event);
  };
  const onEpoch = (m: EpochMetrics) => {
    clear();
    channels = `${m.channels}`;
    write(epochLine(m));
  };
  trainer.on('epoch', onEpoch);
  trainer.on('step', moves ? onStep : onPlainStep);
  if (moves) {
    output.on('resize', onResize);
    process.on('exit', clear);
  }
  return () => {
    clear();
    trainer.off('epoch', onEpoch);
    trainer.off('step', moves ? onStep : onPlainStep);
    output.off('resize', onResize);
    process.off('exit', clear);
  };
}
