// A network of one's own on 8,000 handwritten digits, which come with the package.
//   node train-own-network.mjs [digits.scnn] [epochs]
import { writeFile } from 'node:fs/promises';
import { inspectNetwork, loadDataset, loadModel, NetworkBuilder, Trainer } from 'selfcompress';

const [path = 'digits.scnn', epochs = '5'] = process.argv.slice(2);

// Layers are calls that return names; what they give is checked when the network is built.
const net = new NetworkBuilder([1, 28, 28]);
const layer = (input, outChannels, stride) => net.relu(net.batchNorm(net.conv2d(input, { outChannels, kernel: 3, padding: 1, stride })));
const a = layer('input', 16, 2);
const b = net.add(a, layer(a, 16, 1));
const c = layer(b, 32, 2);
const network = net.build(net.linear(net.flatten(net.globalAveragePool(c)), { outFeatures: 10 }));
console.log(`${inspectNetwork(network).weights} weights`);

const data = await loadDataset('digits');
const trainer = Trainer.create({ network, data, epochs: Number(epochs), batchSize: 64, gamma: 0.05, learningRate: 0.005 });
trainer.on('epoch', ({ epoch, testAccuracy, modelBytes }) =>
  console.log(`epoch ${epoch}: ${(100 * testAccuracy).toFixed(1)} %, ${modelBytes} bytes`),
);
await trainer.run();
await writeFile(path, await trainer.encodeModel());
await trainer.dispose();

const model = await loadModel(path);
const prediction = await model.predict(data.test.images.subarray(0, 28 * 28));
console.log(`The first test digit is a ${prediction.label} (${(100 * prediction.probability).toFixed(0)} %); its label is ${data.test.labels[0]}.`);
