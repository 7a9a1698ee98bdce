/** A data set in memory, as every reader returns it. */
import { DataError } from '../errors.js';

export interface Split {
  /** [count × channels × height × width]; bytes stand for 0..1. */
  images: Uint8Array | Float32Array;
  labels?: Int32Array;
  /** [count × features], for the mean squared error. */
  targets?: Float32Array;
  count: number;
}

export interface Dataset {
  name: string;
  /** [channels, height, width] of an image. */
  shape: [number, number, number];
  /** 0 for data with targets instead of labels. */
  classes: number;
  classNames?: string[];
  /** Per channel, of the training images after the division by 255: images are normalised with them. */
  mean: number[];
  std: number[];
  train: Split;
  test: Split;
}

/** Mean and standard deviation per channel. */
export function channelStatistics(images: Uint8Array | Float32Array, [channels, height, width]: [number, number, number]) {
  const pixels = height * width;
  const scale = images instanceof Uint8Array ? 1 / 255 : 1;
  const sum = new Array<number>(channels).fill(0);
  const squares = new Array<number>(channels).fill(0);
  for (let at = 0, c = 0; at < images.length; at += pixels, c = (c + 1) % channels) {
    let s = 0;
    let q = 0;
    for (let i = at; i < at + pixels; i++) {
      s += images[i];
      q += images[i] * images[i];
    }
    sum[c] += s * scale;
    squares[c] += q * scale * scale;
  }
  const count = images.length / channels;
  const mean = sum.map((s) => s / count);
  const std = squares.map((q, c) => Math.sqrt(Math.max(q / count - mean[c] ** 2, 0)) || 1);
  return { mean, std };
}

/** The first `limit` training images. */
export function limitTraining(data: Dataset, limit: number | undefined): Dataset {
  if (limit === undefined || limit >= data.train.count) return data;
  const { images, labels, targets, count } = data.train;
  const first = <T extends Uint8Array | Float32Array | Int32Array>(values: T): T => values.slice(0, (values.length / count) * limit) as T;
  return { ...data, train: { images: first(images), labels: labels && first(labels), targets: targets && first(targets), count: limit } };
}

/** Checks what every data set must be: not empty, of one length, labels in range. */
export function checkSplit(split: Split, elements: number, classes: number, path: string): Split {
  if (split.count === 0) throw new DataError('it holds no images', path);
  if (split.images.length !== split.count * elements)
    throw new DataError(`expected ${split.count} images of ${elements} values but found ${split.images.length} values`, path);
  if (split.labels) {
    if (split.labels.length !== split.count) throw new DataError(`there are ${split.count} images but ${split.labels.length} labels`, path);
    const wrong = split.labels.findIndex((label) => label < 0 || label >= classes);
    if (wrong >= 0) throw new DataError(`image ${wrong} has label ${split.labels[wrong]}, outside of 0..${classes - 1}`, path);
  }
  return split;
}
