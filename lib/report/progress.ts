/** What the terminal shows while training: a bar that moves, or plain lines where there is no terminal. */
import { Presets, SingleBar } from 'cli-progress';
import type { EpochMetrics } from '../training/epoch-metrics.js';
import type { StepEvent, Trainer } from '../training/trainer.js';
import { bytesText, durationText, percentText } from './text.js';

const columns = ['epoch', 'train loss', 'test loss', 'accuracy', 'bits', 'weights', 'channels', 'file', 'images/s'];
const widths = [9, 10, 10, 9, 8, 8, 8, 11, 9];
const line = (cells: string[]) => cells.map((cell, i) => cell.padStart(widths[i])).join(' ');

function epochLine(m: EpochMetrics, epochs: number): string {
  return line([
    `${m.epoch}/${epochs}`,
    m.trainLoss.toFixed(4),
    m.testLoss.toFixed(4),
    percentText(m.testAccuracy),
    percentText(m.bitsFraction),
    percentText(m.weightsFraction),
    `${m.channels}`,
    bytesText(m.modelBytes),
    m.imagesPerSecond.toFixed(0),
  ]);
}

/** Follows `trainer` on `output` until the function that it returns is called. */
export function showProgress(trainer: Trainer, output: NodeJS.WriteStream): () => void {
  const { epochs, batchSize } = trainer.options;
  output.write(`${line(columns)}\n`);
  if (!output.isTTY) {
    trainer.on('epoch', (m) => output.write(`${epochLine(m, epochs)}\n`));
    return () => {};
  }
  const format =
    ' {bar} epoch {epoch}/{epochs} | loss {loss} | accuracy {accuracy} | {bits} bits/weight | {channels} channels | {rate} images/s | {left} left';
  const bar = new SingleBar({ format, hideCursor: true, clearOnComplete: true, stream: output, barsize: 24, etaBuffer: 50 }, Presets.shades_classic);
  let channels = trainer.history.at(-1)?.channels.toString() ?? 'all';
  let running = false;
  const onStep = (s: StepEvent) => {
    const stepsLeft = (epochs - s.epoch) * s.stepsPerEpoch + s.stepsPerEpoch - s.stepInEpoch;
    const payload = {
      epoch: s.epoch,
      epochs,
      loss: s.loss.toFixed(4),
      accuracy: percentText(s.accuracy),
      bits: s.bitsPerWeight.toFixed(2),
      channels,
      rate: s.imagesPerSecond.toFixed(0),
      left: durationText((stepsLeft * batchSize) / s.imagesPerSecond),
    };
    if (!running) bar.start(s.stepsPerEpoch, s.stepInEpoch, payload);
    else bar.update(s.stepInEpoch, payload);
    running = true;
  };
  const onEpoch = (m: EpochMetrics) => {
    if (running) bar.stop();
    running = false;
    channels = `${m.channels}`;
    output.write(`${epochLine(m, epochs)}\n`);
  };
  trainer.on('step', onStep);
  trainer.on('epoch', onEpoch);
  return () => {
    if (running) bar.stop();
    trainer.off('step', onStep);
    trainer.off('epoch', onEpoch);
  };
}
