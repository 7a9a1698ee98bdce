// A table of one's own: columns of numbers and names, and one to predict.
//   node train-own-data.mjs TABLE.csv TARGET [epochs]
import { encodeRow, loadModel, loadTable, NetworkBuilder, Trainer } from 'selfcompress';

const [path, target, epochs = '60'] = process.argv.slice(2);
if (!path || !target) {
  console.error('node train-own-data.mjs TABLE.csv TARGET [epochs]');
  process.exit(2);
}

const data = await loadTable(path, { target });
const outputs = data.classes || data.targetNames.length; // names are classes, numbers are predicted as they are
const net = new NetworkBuilder([data.featureNames.length]);
const hidden = net.relu(net.linear('input', { outFeatures: 32 }));
const network = net.build(net.linear(net.relu(net.linear(hidden, { outFeatures: 16 })), { outFeatures: outputs }));

const loss = { kind: data.classes ? 'crossEntropy' : 'meanSquaredError' };
const trainer = Trainer.create({ network, data, loss, epochs: Number(epochs), batchSize: 16, gamma: 0.02, learningRate: 0.02 });
await trainer.run();
const { testLoss, testAccuracy, modelBytes } = trainer.history.at(-1);
console.log(
  data.classes ? `${(100 * testAccuracy).toFixed(1)} % of the test rows` : `mean squared error ${testLoss.toFixed(4)}`,
  `in ${modelBytes} bytes`,
);

// A row that is not in the table, here the average one; inputs are normalised as those of the training rows were.
const row = Object.fromEntries(data.columns.map(({ name, mean, categories }) => [name, categories?.[0] ?? mean]));
const inputs = encodeRow(data.columns, row).map((x, i) => (x - data.mean[i]) / data.std[i]);
const model = await loadModel(await trainer.encodeModel());
const prediction = await model.predict(inputs);
console.log('for', JSON.stringify(row), '→', data.classes ? prediction.label : prediction.scores[0]);
await trainer.dispose();
