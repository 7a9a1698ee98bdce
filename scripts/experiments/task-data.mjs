// Data of tasks.mjs, the same for the same seed, and what their networks are judged by.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { datasetFromArrays, digitScenes, loadDataset, loadSklearnTable, loadTable } from '../../dist/index.js';
import { randomNumbers } from '../fuzz/hostile.mjs';

const SIZE = 40;

/** Digits at random places, of `classes` each pixel. */
export const scenes = (digits, count) => digitScenes({ size: SIZE, digits, count, testCount: 1000 });

/** What is true of a digit: four answers of 0 or 1. */
const PROPERTIES = { even: [0, 2, 4, 6, 8], prime: [2, 3, 5, 7], large: [5, 6, 7, 8, 9], loop: [0, 6, 8, 9] };

export async function digitProperties() {
  const { shape, train, test } = await loadDataset('digits');
  const answered = ({ images, labels }) => {
    const targets = [...labels].flatMap((digit) => Object.values(PROPERTIES).map((digits) => Number(digits.includes(digit))));
    return { images, targets: Float32Array.from(targets) };
  };
  const about = { name: 'digit-properties', task: 'multiLabel', classNames: Object.keys(PROPERTIES) };
  return datasetFromArrays({ ...about, shape, train: answered(train), test: answered(test) });
}

/** Column and row of the middle of an image's ink, −1..1 over the image. @param labels of its pixels */
function middleOf(labels) {
  const inked = [...labels.keys()].filter((i) => labels[i] > 0);
  const middle = (of) => (Math.min(...inked.map(of)) + Math.max(...inked.map(of)) + 1) / SIZE - 1;
  return [middle((i) => i % SIZE), middle((i) => Math.floor(i / SIZE))];
}

/** Where the one digit is. */
export async function digitPlace() {
  const { shape, train, test } = await scenes([1, 1], 4000);
  const pixels = SIZE * SIZE;
  const answered = ({ images, labels, count }) => {
    const targets = Array.from({ length: count }, (_, i) => middleOf(labels.subarray(i * pixels, (i + 1) * pixels)));
    return { images, targets: Float32Array.from(targets.flat()) };
  };
  return datasetFromArrays({ name: 'digit-place', shape, train: answered(train), test: answered(test) });
}

/**
 * Friedman's first function (Friedman 1991): 10 sin(π x₁ x₂) + 20 (x₃ − ½)² + 10 x₄ + 5 x₅ of ten uniform inputs, in units of its
 * standard deviation, 4.9. Training targets have normal noise of deviation 1, and the share `outliers` of them noise of 20; test targets have none.
 */
export function friedman(outliers) {
  const random = randomNumbers(1);
  const normal = () => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
  const split = (count, noisy) => {
    const images = Float32Array.from({ length: 10 * count }, random);
    const targets = Float32Array.from({ length: count }, (_, i) => {
      const x = images.subarray(10 * i, 10 * i + 10);
      const noise = noisy ? normal() * (random() < outliers ? 20 : 1) : 0;
      return (10 * Math.sin(Math.PI * x[0] * x[1]) + 20 * (x[2] - 0.5) ** 2 + 10 * x[3] + 5 * x[4] - 14.4 + noise) / 4.9;
    });
    return { images, targets };
  };
  return datasetFromArrays({ name: 'friedman', shape: [10], train: split(4000, true), test: split(2000, false) });
}

/** Rows of scikit-learn's table of tumours; three tenths to test with, which ones the seed says. */
export const tumours = (seed, { tables }) => loadSklearnTable('breast-cancer', { dataDir: tables, seed, holdOut: 0.3 });

/** scikit-learn's diabetes patients as one CSV file: ten measures and the disease's progress a year later, in units of its deviation, 77. */
export async function diabetes(seed, { tables, runs }) {
  const lines = (name) =>
    gunzipSync(readFileSync(join(tables, name)))
      .toString()
      .trim()
      .split('\n');
  const progress = lines('diabetes_target.csv.gz');
  const rows = lines('diabetes_data_raw.csv.gz').map((line, i) => [...line.trim().split(/\s+/), (Number(progress[i]) - 152) / 77].join(','));
  const path = join(runs, 'diabetes.csv');
  mkdirSync(runs, { recursive: true });
  writeFileSync(path, `age,sex,bmi,pressure,s1,s2,s3,s4,s5,s6,progress\n${rows.join('\n')}\n`);
  return loadTable(path, { target: 'progress', seed, holdOut: 0.3 });
}

export const haveTables = ({ tables }) => existsSync(join(tables, 'breast_cancer.csv'));

/** The last fifth of the training examples in the place of the test examples: to find out what learns at all, without looking at these. */
export function pilot(data) {
  const { train } = data;
  const keep = Math.floor(0.8 * train.count);
  const part = (from, to) => {
    const of = (values) => values?.slice((values.length / train.count) * from, (values.length / train.count) * to);
    const [labels, targets] = [of(train.labels), of(train.targets)];
    return { images: of(train.images), ...(labels && { labels }), ...(targets && { targets }), count: to - from };
  };
  return { ...data, train: part(0, keep), test: part(keep, train.count) };
}

/** What a model file is judged by: `of(scores of all test examples, test split)`. */
export const metrics = {
  accuracy: {
    name: 'accuracy',
    percent: true,
    higher: true,
    of: (scores, { labels, count }) => scores.filter((own, i) => own.indexOf(Math.max(...own)) === labels[i]).length / count,
  },
  /** Of all answers together: 2 × those of yes in both ÷ those of yes in each: an answer is yes where its logit is above 0. */
  f1: {
    name: 'F1',
    percent: true,
    higher: true,
    of: (scores, { targets }) => {
      let [both, either] = [0, 0];
      scores.forEach((own, i) => {
        own.forEach((logit, k) => {
          const [named, there] = [Number(logit > 0), targets[i * own.length + k]];
          both += named * there;
          either += named + there;
        });
      });
      return (2 * both) / either;
    },
  },
  /** 1 − squared error ÷ squared deviation of the targets. */
  r2: {
    name: 'R²',
    higher: true,
    of: (scores, { targets }) => {
      const mean = targets.reduce((a, b) => a + b, 0) / targets.length;
      const error = scores.reduce((sum, [y], i) => sum + (y - targets[i]) ** 2, 0);
      return 1 - error / targets.reduce((sum, y) => sum + (y - mean) ** 2, 0);
    },
  },
  pixels: {
    name: 'mean error in pixels',
    higher: false,
    of: (scores, { targets }) => {
      const off = scores.map(([x, y], i) => (SIZE / 2) * (Math.abs(x - targets[2 * i]) + Math.abs(y - targets[2 * i + 1])));
      return off.reduce((a, b) => a + b, 0) / (2 * off.length);
    },
  },
  /** Over the classes that occur: pixels of a class in both, labels and prediction, ÷ those in either. */
  meanIoU: {
    name: 'mean IoU',
    percent: true,
    higher: true,
    of: (scores, { labels }) => {
      const pixels = SIZE * SIZE;
      const classes = scores[0].length / pixels;
      const [both, sum] = [new Float64Array(classes), new Float64Array(classes)];
      scores.forEach((own, i) => {
        for (let p = 0; p < pixels; p++) {
          let best = 0;
          for (let k = 1; k < classes; k++) if (own[k * pixels + p] > own[best * pixels + p]) best = k;
          const right = labels[i * pixels + p];
          sum[right]++;
          sum[best]++;
          if (best === right) both[best]++;
        }
      });
      const shares = [...both].map((n, k) => n / (sum[k] - n)).filter(Number.isFinite);
      return shares.reduce((a, b) => a + b, 0) / shares.length;
    },
  },
};
