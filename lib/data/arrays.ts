/** Data sets from typed arrays. */
import { checkInteger, wrongType, wrongValue } from '../errors.js';
import { channelStatistics, type Dataset, type Split } from './dataset.js';

export interface ArraySplit {
  images: Uint8Array | Float32Array;
  labels?: ArrayLike<number>;
  targets?: Float32Array;
}

export interface ArrayDataset {
  name?: string;
  shape: [number, number, number];
  classes?: number;
  classNames?: string[];
  mean?: number[];
  std?: number[];
  train: ArraySplit;
  test: ArraySplit;
}

function checkArrays(split: ArraySplit, argument: string, elements: number): Split {
  const { images, labels, targets } = split;
  if (!(images instanceof Uint8Array || images instanceof Float32Array)) throw wrongType('Uint8Array or Float32Array', `${argument}.images`, images);
  const count = images.length / elements;
  if (count < 1 || !Number.isInteger(count)) throw wrongValue(`whole images of ${elements} values, at least one,`, `${argument}.images`, images);
  if (!labels === !targets) throw wrongType('either labels or targets', argument, labels ? 'both' : 'neither');
  if (labels && labels.length !== count) throw wrongValue(`${count} labels`, `${argument}.labels`, `${labels.length}`);
  return { images, labels: labels && Int32Array.from(labels), targets, count };
}

/** Images in memory, with labels 0..classes−1 or with targets. @throws TypeError or RangeError naming what is wrong */
export function datasetFromArrays({
  name = 'arrays',
  shape,
  classNames,
  classes = classNames?.length ?? 0,
  train,
  test,
  ...rest
}: ArrayDataset): Dataset {
  if (!Array.isArray(shape) || shape.length !== 3) throw wrongType('[channels, height, width]', 'shape', shape);
  shape.forEach((size, i) => {
    checkInteger(size, `shape[${i}]`, 1);
  });
  const elements = shape[0] * shape[1] * shape[2];
  const splits = { train: checkArrays(train, 'train', elements), test: checkArrays(test, 'test', elements) };
  if (splits.train.labels) checkInteger(classes, 'classes', 1);
  for (const [which, { labels }] of Object.entries(splits)) {
    const wrong = labels?.findIndex((label) => label < 0 || label >= classes) ?? -1;
    if (wrong >= 0) throw wrongValue(`0..${classes - 1}`, `${which}.labels[${wrong}]`, labels?.[wrong]);
  }
  const statistics = channelStatistics(train.images, shape);
  return {
    name,
    shape,
    classes: splits.train.labels ? classes : 0,
    classNames,
    mean: rest.mean ?? statistics.mean,
    std: rest.std ?? statistics.std,
    ...splits,
  };
}
