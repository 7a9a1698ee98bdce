// The raw operations in synchronous form, on images with channels last, with other padding at the end, and products of matrices.
import t from 'tap';
import { binding, difference, floats, randomNumbers } from './support.mjs';

const pick = (random, list) => list[Math.floor(random() * list.length)];
const product = (sizes) => sizes.reduce((a, b) => a * b, 1);

/** [n, c, h, w] → [n, h, w, c], and with the sizes of a filter [o, c, h, w] → [h, w, c, o] by another order. */
function permuted(values, sizes, order) {
  const strides = sizes.map((_, i) => product(sizes.slice(i + 1)));
  const result = new Float32Array(values.length);
  const target = order.map((axis) => sizes[axis]);
  for (let i = 0; i < result.length; i++) {
    let rest = i;
    let at = 0;
    for (let k = order.length - 1; k >= 0; k--) {
      at += (rest % target[k]) * strides[order[k]];
      rest = Math.floor(rest / target[k]);
    }
    result[i] = values[at];
  }
  return result;
}
const channelsLast = (values, [n, c, h, w]) => permuted(values, [n, c, h, w], [0, 2, 3, 1]);
const filterLast = (values, [o, c, h, w]) => permuted(values, [o, c, h, w], [2, 3, 1, 0]);

/** Zeros, or another value, around images [n, c, h, w]. */
function padded(values, [n, c, h, w], [top, left], [bottom, right], value = 0) {
  const [height, width] = [h + top + bottom, w + left + right];
  const result = new Float32Array(n * c * height * width).fill(value);
  for (let p = 0; p < n * c; p++)
    for (let y = 0; y < h; y++) result.set(values.subarray((p * h + y) * w, (p * h + y) * w + w), (p * height + y + top) * width + left);
  return result;
}
/** What lies inside them. */
function cropped(values, [n, c, h, w], [top, left], [bottom, right]) {
  const [height, width] = [h + top + bottom, w + left + right];
  const result = new Float32Array(n * c * h * w);
  for (let p = 0; p < n * c; p++)
    for (let y = 0; y < h; y++) {
      const from = (p * height + y + top) * width + left;
      result.set(values.subarray(from, from + w), (p * h + y) * w);
    }
  return result;
}

function randomWindow(random, h, w, most = (kernel) => kernel - 1) {
  const kernel = [1 + Math.floor(random() * Math.min(3, h)), 1 + Math.floor(random() * Math.min(3, w))];
  const side = (i) => Math.floor(random() * (most(kernel[i]) + 1));
  return {
    kernel,
    stride: [1 + Math.floor(random() * 2), 1 + Math.floor(random() * 2)],
    padding: [side(0), side(1)],
    paddingEnd: [side(0), side(1)],
  };
}
const outSize = (size, i, { kernel, stride, padding, paddingEnd }) => Math.floor((size + padding[i] + paddingEnd[i] - kernel[i]) / stride[i]) + 1;

t.test('convolutions with channels last and unequal padding are those of the padded image with channels first', (t) => {
  const random = randomNumbers(7);
  for (let round = 0; round < 40; round++) {
    const groups = pick(random, [1, 1, 2, 3]);
    const [c, o] = [groups * (1 + Math.floor(random() * 6)), groups * (1 + Math.floor(random() * 9))];
    const [n, h, w] = [1 + Math.floor(random() * 35), 1 + Math.floor(random() * 9), 1 + Math.floor(random() * 9)];
    const window = randomWindow(random, h, w);
    const { padding, paddingEnd, kernel, stride } = window;
    const [oh, ow] = [outSize(h, 0, window), outSize(w, 1, window)];
    const input = floats(random, n * c * h * w);
    const weight = floats(random, (o * c * kernel[0] * kernel[1]) / groups);
    const bias = floats(random, o);
    const gradOutput = floats(random, n * o * oh * ow);
    const wide = [n, c, h + padding[0] + paddingEnd[0], w + padding[1] + paddingEnd[1]];
    const plain = { batch: n, inChannels: c, height: wide[2], width: wide[3], outChannels: o, kernel, stride, groups };
    const image = padded(input, [n, c, h, w], padding, paddingEnd);
    const output = new Float32Array(gradOutput.length);
    const gradInput = new Float32Array(image.length);
    const gradWeight = new Float32Array(weight.length);
    const relu = random() < 0.5;
    binding.conv2dForwardSync({ ...plain, input: image, weight, bias, relu, output });
    binding.conv2dGradInputSync({ ...plain, gradOutput, weight, gradInput });
    binding.conv2dGradWeightSync({ ...plain, input: image, gradOutput, gradWeight });
    const filter = [o, c / groups, ...kernel];
    const last = { layout: 'nhwc', batch: n, inChannels: c, height: h, width: w, outChannels: o, groups, ...window };
    const x = channelsLast(input, [n, c, h, w]);
    const f = filterLast(weight, filter);
    const dy = channelsLast(gradOutput, [n, o, oh, ow]);
    const mine = { output: new Float32Array(output.length), dx: new Float32Array(input.length), df: new Float32Array(weight.length) };
    binding.conv2dForwardSync({ ...last, input: x, weight: f, bias, relu, output: mine.output });
    binding.conv2dGradInputSync({ ...last, gradOutput: dy, weight: f, gradInput: mine.dx });
    binding.conv2dGradWeightSync({ ...last, input: x, gradOutput: dy, gradWeight: mine.df });
    const expected = {
      output: channelsLast(output, [n, o, oh, ow]),
      dx: channelsLast(cropped(gradInput, [n, c, h, w], padding, paddingEnd), [n, c, h, w]),
      df: filterLast(gradWeight, filter),
    };
    for (const key of Object.keys(mine))
      if (!(difference(mine[key], expected[key]) < 2e-5)) t.fail(`${key} of ${JSON.stringify(last)}: ${difference(mine[key], expected[key])}`);
  }
  t.pass('all of them');
  t.end();
});

t.test('poolings with channels last and unequal padding', (t) => {
  const random = randomNumbers(8);
  for (let round = 0; round < 40; round++) {
    const kind = pick(random, ['max', 'average']);
    const [n, c, h, w] = [1 + Math.floor(random() * 35), 1 + Math.floor(random() * 5), 1 + Math.floor(random() * 9), 1 + Math.floor(random() * 9)];
    const window = randomWindow(random, h, w, (kernel) => Math.floor(kernel / 2));
    if (kind === 'average') window.paddingEnd = window.padding;
    const { padding, paddingEnd } = window;
    const [oh, ow] = [outSize(h, 0, window), outSize(w, 1, window)];
    const input = floats(random, n * c * h * w);
    const gradOutput = floats(random, n * c * oh * ow);
    const isMax = kind === 'max';
    // A maximum over the image with -Infinity around it; an average by the operation's own padding.
    const image = isMax ? padded(input, [n, c, h, w], padding, paddingEnd, -Infinity) : input;
    const { kernel, stride } = window;
    const plain = isMax
      ? { batch: n, channels: c, height: h + padding[0] + paddingEnd[0], width: w + padding[1] + paddingEnd[1], kind, kernel, stride }
      : { batch: n, channels: c, height: h, width: w, kind, kernel, stride, padding };
    const output = new Float32Array(gradOutput.length);
    const gradInput = new Float32Array(image.length);
    binding.poolForwardSync({ ...plain, input: image, output });
    binding.poolBackwardSync({ ...plain, input: image, gradOutput, gradInput });
    const last = { layout: 'nhwc', batch: n, channels: c, height: h, width: w, kind, ...window };
    const mine = new Float32Array(output.length);
    const dx = new Float32Array(input.length);
    const x = channelsLast(input, [n, c, h, w]);
    binding.poolForwardSync({ ...last, input: x, output: mine });
    binding.poolBackwardSync({ ...last, input: x, gradOutput: channelsLast(gradOutput, [n, c, oh, ow]), gradInput: dx });
    const inside = isMax ? cropped(gradInput, [n, c, h, w], padding, paddingEnd) : gradInput;
    if (!(difference(mine, channelsLast(output, [n, c, oh, ow])) < 1e-6)) t.fail(`output of ${JSON.stringify(last)}`);
    if (!(difference(dx, channelsLast(inside, [n, c, h, w])) < 1e-6)) t.fail(`gradient of ${JSON.stringify(last)}`);
  }
  t.throws(
    () =>
      binding.poolForwardSync({
        ...{ batch: 1, channels: 1, height: 2, width: 2, kind: 'average', kernel: [2, 2], paddingEnd: [1, 1] },
        ...{ input: new Float32Array(4), output: new Float32Array(4) },
      }),
    { message: /Expected the same as padding.* for paddingEnd but received \[1, 1\]/ },
  );
  t.end();
});

t.test('batch norm with channels last, training and not', (t) => {
  const random = randomNumbers(9);
  for (const [n, c, h, w] of [
    [1, 3, 2, 2],
    [5, 1, 3, 1],
    [17, 7, 3, 2],
    [2, 20, 1, 1],
  ]) {
    for (const training of [true, false]) {
      const sizes = [n, c, h, w];
      const input = floats(random, product(sizes));
      const gradOutput = floats(random, input.length);
      const run = (layout, x, dy) => {
        const vectors = () => Float32Array.from({ length: c }, (_, i) => 1 + i / 8);
        const result = { runningMean: vectors(), runningVar: vectors(), savedMean: vectors(), savedInvStd: vectors() };
        const output = new Float32Array(x.length);
        const gradInput = new Float32Array(x.length);
        const [gradWeight, gradBias] = [vectors(), vectors()];
        const shape = { layout, batch: n, channels: c, height: h, width: w };
        binding.batchNormForwardSync({ ...shape, training, input: x, weight: vectors(), bias: vectors(), ...result, output });
        const { savedMean, savedInvStd } = result;
        binding.batchNormBackwardSync({
          ...shape,
          input: x,
          gradOutput: dy,
          weight: vectors(),
          savedMean,
          savedInvStd,
          gradInput,
          gradWeight,
          gradBias,
        });
        return { ...result, gradWeight, gradBias, output, gradInput };
      };
      const first = run('nchw', input, gradOutput);
      const last = run('nhwc', channelsLast(input, sizes), channelsLast(gradOutput, sizes));
      for (const key of Object.keys(first)) {
        const image = key === 'output' || key === 'gradInput';
        const expected = image ? channelsLast(first[key], sizes) : first[key];
        if (!(difference(last[key], expected) < 2e-5)) t.fail(`${key} of ${sizes}, training ${training}: ${difference(last[key], expected)}`);
      }
    }
  }
  t.pass('all of them');
  t.end();
});

t.test('functions of single elements, any number of them', (t) => {
  const random = randomNumbers(10);
  const of = {
    relu: (x) => Math.max(x, 0),
    sigmoid: (x) => 1 / (1 + Math.exp(-x)),
    tanh: Math.tanh,
    exp: Math.exp,
    square: (x) => x * x,
    clip: (x) => Math.min(Math.max(x, -0.25), 0.5),
    leakyRelu: (x) => (x > 0 ? x : -0.25 * x),
  };
  for (const [kind, f] of Object.entries(of))
    for (const count of [1, 15, 16, 17, 1024, 1041, 20000]) {
      const input = floats(random, count, -3, 3);
      const output = new Float32Array(count);
      binding.activationForwardSync({ batch: 1, channels: count, height: 1, width: 1, kind, alpha: -0.25, beta: 0.5, input, output });
      if (!(difference(output, Array.from(input, f)) < 1e-6)) t.fail(`${kind} of ${count}`);
      binding.activationForwardSync({ batch: 1, channels: count, height: 1, width: 1, kind, alpha: -0.25, beta: 0.5, input, output: input });
      if (!input.every((x, i) => Object.is(x, output[i]))) t.fail(`${kind} of ${count} in place`);
    }
  t.pass('all of them');
  t.end();
});

t.test('products of matrices', (t) => {
  const random = randomNumbers(11);
  for (let round = 0; round < 60; round++) {
    const size = () => 1 + Math.floor(random() * pick(random, [3, 20, 70]));
    const [batch, rows, inner, columns] = [1 + Math.floor(random() * 3), size(), size(), size()];
    const [transposeA, transposeB, shared, relu, withBias] = Array.from({ length: 5 }, () => random() < 0.5);
    const a = floats(random, batch * rows * inner);
    const b = floats(random, (shared ? 1 : batch) * inner * columns);
    const bias = floats(random, columns);
    const output = new Float32Array(batch * rows * columns);
    binding.matmulSync({ batch, rows, inner, columns, transposeA, transposeB, a, b, ...(withBias ? { bias } : {}), relu, output });
    const expected = new Float64Array(output.length);
    for (let n = 0; n < batch; n++)
      for (let r = 0; r < rows; r++)
        for (let c = 0; c < columns; c++) {
          let sum = withBias ? bias[c] : 0;
          for (let k = 0; k < inner; k++) {
            const left = a[n * rows * inner + (transposeA ? k * rows + r : r * inner + k)];
            const right = b[(shared ? 0 : n) * inner * columns + (transposeB ? c * inner + k : k * columns + c)];
            sum += left * right;
          }
          expected[(n * rows + r) * columns + c] = relu ? Math.max(sum, 0) : sum;
        }
    const off = difference(output, expected);
    if (!(off < 1e-5)) t.fail(`${JSON.stringify({ batch, rows, inner, columns, transposeA, transposeB, shared, relu, withBias })}: ${off}`);
  }
  t.throws(() => binding.matmulSync({ rows: 2, inner: 2, columns: 2, a: new Float32Array(5), b: new Float32Array(4), output: new Float32Array(4) }), {
    name: 'RangeError',
    message: 'Expected 4 elements for a but received 5',
  });
  t.end();
});

t.test('synchronous operations give what the queued ones give, beside queued work', async (t) => {
  const random = randomNumbers(12);
  const shape = { batch: 37, inChannels: 3, height: 9, width: 8, outChannels: 10, kernel: [3, 3], padding: [1, 1] };
  const input = floats(random, 37 * 3 * 72);
  const weight = floats(random, 10 * 27);
  const outputs = Array.from({ length: 8 }, () => new Float32Array(37 * 10 * 72));
  const queued = outputs.slice(0, 4).map((output) => binding.conv2dForward({ ...shape, input, weight, output }));
  for (const output of outputs.slice(4)) t.equal(binding.conv2dForwardSync({ ...shape, input, weight, output }), undefined);
  await Promise.all(queued);
  for (const output of outputs) if (!output.every((x, i) => Object.is(x, outputs[0][i]))) t.fail('differs');
  const logits = { batch: 2, classes: 2, logits: Float32Array.of(1, 2, 3, 1), labels: Int32Array.of(1, 1) };
  t.same(binding.crossEntropySync(logits), await binding.crossEntropy(logits));
});

t.test('arithmetic of arrays, rows and numbers, and sums over rows', (t) => {
  const random = randomNumbers(13);
  const of = { add: (a, b) => a + b, subtract: (a, b) => a - b, multiply: (a, b) => a * b, divide: (a, b) => a / b };
  for (const [kind, f] of Object.entries(of))
    for (const [rows, columns] of [
      [1, 1],
      [1, 7],
      [5, 1],
      [3, 4],
      [700, 130],
    ]) {
      const a = floats(random, rows * columns, 0.5, 2);
      for (const length of new Set([rows * columns, columns, 1]))
        for (const reversed of [false, true]) {
          const b = floats(random, length, 0.5, 2);
          const at = (i) => b[length === rows * columns ? i : length === columns ? i % columns : 0];
          const output = new Float32Array(a.length);
          binding.elementwiseSync({ kind, rows, columns, reversed, a, b, output });
          const expected = Float32Array.from(a, (x, i) => (reversed ? f(at(i), x) : f(x, at(i))));
          if (!output.every((x, i) => x === expected[i])) t.fail(`${kind} ${rows} ${columns} ${length} ${reversed}`);
        }
      const sums = new Float32Array(columns);
      binding.sumOfRowsSync({ rows, columns, input: a, output: sums });
      const expected = Array.from({ length: columns }, (_, c) =>
        Array.from({ length: rows }, (_, r) => a[r * columns + c]).reduce((x, y) => x + y, 0),
      );
      if (!(difference(sums, expected) < 1e-6)) t.fail(`sums of ${rows} ${columns}`);
    }
  t.throws(
    () => binding.elementwiseSync({ kind: 'add', rows: 2, columns: 3, a: new Float32Array(6), b: new Float32Array(2), output: new Float32Array(6) }),
    {
      message: 'Expected 6, 3 or 1 elements for b but received 2',
    },
  );
  t.pass('all of them');
  t.end();
});
