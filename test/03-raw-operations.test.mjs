// Raw operations on plain arrays, for other tools: against the definitions written out in JavaScript.
import t from 'tap';
import { binding, difference, floats, randomNumbers } from './support.mjs';

const roundHalfToEven = (x) => {
  const r = Math.round(x);
  return Math.abs(x % 1) === 0.5 && r % 2 !== 0 ? r - 1 : r;
};

t.test('quantizer: values and gradients follow the equations', async (t) => {
  const random = randomNumbers(1);
  const channels = 5;
  const perChannel = 23;
  const weight = floats(random, channels * perChannel, -2, 2);
  const bitDepth = Float32Array.of(3, 0, 2.4, 6, -1);
  const exponent = Float32Array.of(-2, -1, -1.3, -4, 0);
  const gradOutput = floats(random, weight.length);
  const penalty = floats(random, channels);
  const output = new Float32Array(weight.length);
  const gradWeight = new Float32Array(weight.length);
  const gradBitDepth = new Float32Array(channels);
  const gradExponent = new Float32Array(channels);
  await binding.quantizeForward({ weight, bitDepth, exponent, output });
  await binding.quantizeBackward({ weight, bitDepth, exponent, gradOutput, penalty, gradWeight, gradBitDepth, gradExponent });
  const expected = { q: [], gw: [], gb: [], ge: [] };
  for (let c = 0; c < channels; c++) {
    const b = Math.max(bitDepth[c], 0);
    const s = 2 ** exponent[c];
    let gb = penalty[c];
    let ge = 0;
    for (let k = 0; k < perChannel; k++) {
      const i = c * perChannel + k;
      const u = weight[i] / s;
      const low = -(2 ** (b - 1));
      const high = 2 ** (b - 1) - 1;
      const q = b > 0 ? s * roundHalfToEven(Math.min(Math.max(u, low), high)) : 0;
      expected.q.push(q);
      const inside = u >= low && u <= high;
      expected.gw.push(b > 0 && inside ? gradOutput[i] : 0);
      gb += gradOutput[i] * (u > high ? 1 : u < low ? -1 : 0) * Math.LN2 * s * 2 ** (b - 1);
      ge += gradOutput[i] * Math.LN2 * (inside ? q - weight[i] : q);
    }
    expected.gb.push(b > 0 ? gb : 0);
    expected.ge.push(b > 0 ? ge : 0);
  }
  t.ok(difference(output, expected.q) < 1e-6);
  t.ok(difference(gradWeight, expected.gw) < 1e-6);
  t.ok(difference(gradBitDepth, expected.gb) < 1e-5);
  t.ok(difference(gradExponent, expected.ge) < 1e-5);
  t.ok(
    output.subarray(perChannel, 2 * perChannel).every((x) => Object.is(x, 0)),
    'b = 0 gives +0',
  );
});

t.test('quantizer: exponents that floats have no power of, and bit depths that are no numbers', async (t) => {
  const weight = Float32Array.of(0, 1e-40, -1, 0.3);
  for (const exponent of [-1e30, -200, -140, -128, -127, -101, 101, 128, 1e30]) {
    const output = new Float32Array(4);
    await binding.quantizeForward({ weight, bitDepth: Float32Array.of(8), exponent: Float32Array.of(exponent), output });
    const s = 2 ** exponent;
    const expected = [...weight].map((w) => (exponent < -1000 || exponent > 1000 ? 0 : s * roundHalfToEven(Math.min(Math.max(w / s, -128), 127))));
    for (const [k, q] of expected.entries())
      t.ok(Math.abs(output[k] - q) <= 1e-6 * Math.abs(q) + 1e-45, `e = ${exponent}, w = ${weight[k]}: ${output[k]}`);
  }
  const output = new Float32Array(4);
  await binding.quantizeForward({ weight, bitDepth: Float32Array.of(Number.NaN), exponent: Float32Array.of(-3), output });
  t.ok(output.every(Number.isNaN), 'not dead');
});

t.test('convolution with lists of live channels', async (t) => {
  const random = randomNumbers(2);
  const g = { batch: 3, inChannels: 4, height: 7, width: 6, outChannels: 6, kernel: [3, 2], stride: [2, 1], padding: [1, 1], groups: 2 };
  const outHeight = 4;
  const outWidth = 7;
  const input = floats(random, 3 * 4 * 42);
  const weight = floats(random, 6 * 2 * 6);
  const bias = floats(random, 6);
  const liveIn = Int32Array.of(0, 2, 3);
  const liveOut = Int32Array.of(1, 2, 5);
  const output = new Float32Array(3 * 6 * outHeight * outWidth).fill(9);
  await binding.conv2dForward({ ...g, input, weight, bias, liveIn, liveOut, output });
  const expected = new Float32Array(output.length);
  for (let n = 0; n < 3; n++)
    for (const o of liveOut)
      for (let y = 0; y < outHeight; y++)
        for (let x = 0; x < outWidth; x++) {
          let sum = bias[o];
          for (let c = 0; c < 2; c++) {
            const channel = Math.floor(o / 3) * 2 + c;
            if (!liveIn.includes(channel)) continue;
            for (let i = 0; i < 3; i++)
              for (let j = 0; j < 2; j++) {
                const iy = y * 2 + i - 1;
                const ix = x + j - 1;
                if (iy >= 0 && iy < 7 && ix >= 0 && ix < 6)
                  sum += weight[((o * 2 + c) * 3 + i) * 2 + j] * input[((n * 4 + channel) * 7 + iy) * 6 + ix];
              }
          }
          expected[((n * 6 + o) * outHeight + y) * outWidth + x] = sum;
        }
  t.ok(difference(output, expected) < 1e-6);
  // The gradients are the adjoints: <g, conv(x)> = <gradInput, x> = <gradWeight, w> for linear maps.
  const gradOutput = floats(random, output.length);
  const gradInput = new Float32Array(input.length);
  const gradWeight = new Float32Array(weight.length);
  const gradBias = new Float32Array(6);
  await binding.conv2dGradInput({ ...g, gradOutput, weight, liveIn, liveOut, gradInput });
  await binding.conv2dGradWeight({ ...g, input, gradOutput, liveIn, liveOut, gradWeight, gradBias });
  const dot = (a, b) => a.reduce((sum, x, i) => sum + x * b[i], 0);
  const plain = new Float32Array(output.length);
  await binding.conv2dForward({ ...g, input, weight, liveIn, liveOut, output: plain });
  const total = dot(gradOutput, plain);
  t.ok(Math.abs(dot(gradInput, input) - total) < 1e-3);
  t.ok(Math.abs(dot(gradWeight, weight) - total) < 1e-3);
  t.ok(
    Math.abs(
      gradBias[1] - [0, 1, 2].reduce((sum, n) => sum + dot(gradOutput.subarray((n * 6 + 1) * 28, (n * 6 + 2) * 28), new Float32Array(28).fill(1)), 0),
    ) < 1e-4,
  );
});

t.test('losses, optimizer, norm, activations, pooling', async (t) => {
  const gradLogits = new Float32Array(6);
  const { loss, correct } = await binding.crossEntropy({
    batch: 2,
    classes: 3,
    logits: Float32Array.of(0, 0, 0, 0, 5, 0),
    labels: Int32Array.of(0, 1),
    gradLogits,
  });
  const p = Math.exp(5) / (Math.exp(5) + 2);
  t.ok(Math.abs(loss - (Math.log(3) - Math.log(p)) / 2) < 1e-5);
  t.equal(correct, 2);
  t.ok(difference(gradLogits, [-1 / 3, 1 / 6, 1 / 6, (1 - p) / 4, (p - 1) / 2, (1 - p) / 4]) < 1e-5);
  const mse = await binding.meanSquaredError({ batch: 1, features: 2, output: Float32Array.of(1, 2), target: Float32Array.of(0, 0) });
  t.equal(mse.loss, 2.5);
  const parameter = Float32Array.of(1);
  await binding.optimizerStep({
    kind: 'sgd',
    parameter,
    gradient: Float32Array.of(0.5),
    moment1: new Float32Array(1),
    step: 1,
    learningRate: 0.1,
    momentum: 0,
  });
  t.ok(Math.abs(parameter[0] - 0.95) < 1e-6);
  const image = { batch: 1, channels: 1, height: 2, width: 2 };
  const input = Float32Array.of(1, 2, 3, 6);
  const output = new Float32Array(4);
  const stats = {
    runningMean: new Float32Array(1),
    runningVar: new Float32Array(1).fill(1),
    savedMean: new Float32Array(1),
    savedInvStd: new Float32Array(1),
  };
  await binding.batchNormForward({ ...image, training: true, input, ...stats, output });
  t.ok(
    difference(
      output,
      [-2, -1, 0, 3].map((x) => x / Math.sqrt(3.5)),
    ) < 1e-4,
  );
  t.ok(difference(stats.runningMean, [0.3]) < 1e-5);
  await binding.activationForward({ ...image, kind: 'silu', input, output });
  t.ok(
    difference(
      output,
      [...input].map((x) => x / (1 + Math.exp(-x))),
    ) < 1e-6,
  );
  const pooled = new Float32Array(1);
  await binding.poolForward({ ...image, kind: 'max', kernel: [2, 2], input, output: pooled });
  t.equal(pooled[0], 6);
  const gradInput = new Float32Array(4);
  await binding.poolBackward({ ...image, kind: 'average', kernel: [2, 2], input, gradOutput: Float32Array.of(4), gradInput });
  t.same([...gradInput], [1, 1, 1, 1]);
});

t.test('operations run in the order of their calls', async (t) => {
  const weight = new Float32Array(1000).fill(0.3);
  const bitDepth = Float32Array.of(8);
  const middle = new Float32Array(1000);
  const output = new Float32Array(1000);
  await Promise.all([
    binding.quantizeForward({ weight, bitDepth, exponent: Float32Array.of(-2), output: middle }),
    binding.quantizeForward({ weight: middle, bitDepth, exponent: Float32Array.of(0), output }),
  ]);
  t.ok(middle.every((x) => x === 0.25));
  t.ok(output.every((x) => x === 0));
});
