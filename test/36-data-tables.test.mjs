// Tables and JSON lines: how columns become numbers, what is missing, and where a fault is: line and column.
import { mkdtempSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import t from 'tap';
import { encodeRow, loadJsonLines, loadTable, NetworkBuilder, randomNumbers, Trainer, temporaryFolder } from './support.mjs';

function file(t, name, contents) {
  const path = join(mkdtempSync(join(temporaryFolder(t), 'table-')), name);
  writeFileSync(path, contents);
  return path;
}

const rows = (data, which = 'train') => {
  const width = data.shape[0];
  return Array.from({ length: data[which].count }, (_, i) => [...data[which].images.subarray(i * width, (i + 1) * width)]);
};

/** Training rows in the order of the file: the test rows come from a file of their own. */
const load = (t, text, testText, options) => loadTable(file(t, 'train.csv', text), { testPath: file(t, 'test.csv', testText), ...options });

t.test('numbers, names, missing values, classes', async (t) => {
  const data = await load(
    t,
    'size,colour,weight,kind\n1,red,10,cat\n2,blue,,dog\nNA,red,30,cat\n6,?,20,bird\n',
    'size,colour,weight,kind\n,green,5,dog\n4,blue,NaN,cat\n',
    { target: 'kind' },
  );
  t.same(data.featureNames, ['size', 'colour=blue', 'colour=red', 'weight']);
  t.same(
    [data.input, data.shape, data.task, data.classNames, data.targetNames],
    ['vector', [4, 1, 1], 'classification', ['bird', 'cat', 'dog'], ['kind']],
  );
  t.same(rows(data), [
    [1, 0, 1, 10],
    [2, 1, 0, 20],
    [3, 0, 1, 30],
    [6, 0, 0, 20],
  ]);
  t.same(rows(data, 'test'), [
    [3, 0, 0, 5],
    [4, 1, 0, 20],
  ]);
  t.same(
    [[...data.train.labels], [...data.test.labels]],
    [
      [1, 2, 1, 0],
      [2, 1],
    ],
  );
  t.same(data.mean, [3, 0, 0, 20]);
  t.ok(Math.abs(data.std[0] - Math.sqrt(14 / 4)) < 1e-9);
  t.same(data.std.slice(1, 3), [1, 1], 'names stay 0 and 1');
  t.same([...encodeRow(data.columns, { size: 7, colour: 'red', weight: '' })], [7, 0, 1, 20]);
  t.throws(() => encodeRow(data.columns, { size: 7, colour: 'red' }), { message: /row\["weight"\]/ });
  const pretends = { get [Symbol.toStringTag]() { throw new Error('no tag'); } }; // biome-ignore format: one line
  for (const missing of [pretends, new Proxy(new Set(), {}), Object.create(Set.prototype), new Map()])
    t.throws(() => encodeRow([{ ...data.columns[0], missing }], { size: 7 }), {
      code: 'ERR_SELFCOMPRESS_ARGUMENT',
      message: /columns\[0\]\.missing/,
    });
  t.throws(() => encodeRow(data.columns, { size: 'x', colour: 'red', weight: 1 }), { message: /row\["size"\]/ });
});

t.test('regression, several targets, tasks, columns by number', async (t) => {
  const text = 'a,b,c\n1,2,3\n4,5,6\n7,8,9\n1,1,1\n';
  const one = await load(t, text, text, { target: 'c' });
  t.same([one.task, one.classes, [...one.train.targets]], ['regression', 0, [3, 6, 9, 1]]);
  const two = await load(t, text, text, { target: ['b', 2] });
  t.same(
    [[...two.train.targets], rows(two)],
    [
      [2, 3, 5, 6, 8, 9, 1, 1],
      [[1], [4], [7], [1]],
    ],
  );
  const classes = await load(t, 'a,b\n1,10\n2,9\n3,10\n', 'a,b\n1,9\n', { target: 'b', task: 'classification' });
  t.same(
    [classes.classNames, [...classes.train.labels]],
    [
      ['9', '10'],
      [1, 0, 1],
    ],
  );
  const bare = await load(t, '1,2\n3,4\n', '5,6\n', { target: 1, header: false });
  t.same([bare.targetNames, rows(bare), [...bare.train.targets]], [['column2'], [[1], [3]], [2, 4]]);
  const named = await load(t, 'zip,x,y\n100,1,2\n200,2,3\n', 'zip,x,y\n200,1,2\n', { target: 'y', categorical: ['zip'], ignore: ['x'] });
  t.same(
    [named.featureNames, rows(named), rows(named, 'test')],
    [
      ['zip=100', 'zip=200'],
      [
        [1, 0],
        [0, 1],
      ],
      [[0, 1]],
    ],
  );
});

t.test('quotes, line ends, delimiters, byte order mark, gzip', async (t) => {
  const quoted = '"a","b ""b""","c,d"\r\n"1","x\r\ny","2"\r\n 3 ,"",4\r\n\r\n5,"z","6"';
  const data = await load(t, quoted, quoted, { target: 'c,d' });
  t.same(data.featureNames, ['a', 'b "b"=x\r\ny', 'b "b"=z']);
  t.same(rows(data), [
    [1, 1, 0],
    [3, 0, 0],
    [5, 0, 1],
  ]);
  t.same([...data.train.targets], [2, 4, 6]);
  for (const [text, options] of [
    ['a,b\n1,2\n3,4', {}],
    ['a,b\r1,2\r3,4\r', {}],
    ['a,b\r\n1,2\r\n3,4\r\n', {}],
    ['\ufeffa,b\n\n1,2\n\n3,4\n\n', {}],
    ['a;b\n1;2\n3;4\n', { delimiter: ';' }],
    ['a\tb\n1\t2\n3\t4\n', { delimiter: '\t' }],
    [gzipSync('a,b\n1,2\n3,4\n'), {}],
  ]) {
    const same = await load(t, text, text, { target: 'b', ...options });
    t.same(
      [rows(same), [...same.train.targets]],
      [
        [[1], [3]],
        [2, 4],
      ],
      JSON.stringify(text).slice(0, 60),
    );
  }
  const tsv = file(t, 'a.tsv', 'a\tb\n1\t2\n3\t4\n5,5\t1\n');
  await t.rejects(loadTable(tsv, { target: 'b' }), { message: /line \d, column "a": expected a number/ }, 'tabs by the name of the file');
});

t.test('quotes wherever a piece of the file ends, against rows made by hand', async (t) => {
  const random = randomNumbers(6);
  const values = ['', 'plain', 'with,comma', 'with "quotes"', 'line\nbreak', 'both\r\n"', '"', 'é€😀'];
  const table = Array.from({ length: 40_000 }, () => [
    values[Math.floor(random() * 8)],
    values[Math.floor(random() * 8)],
    String(Math.floor(random() * 100)),
  ]);
  const quote = (value) => (/[",\r\n]/.test(value) || random() < 0.3 ? `"${value.replaceAll('"', '""')}"` : value);
  const text = `a,b,y\n${table.map((row) => row.map(quote).join(',')).join('\n')}\n`;
  const data = await load(t, text, text, { target: 'y' });
  t.same(data.featureNames.length, 14);
  let wrong = 0;
  for (const [i, [a, b, y]] of table.entries()) {
    const row = data.train.images.subarray(i * 14, (i + 1) * 14);
    const on = data.featureNames.filter((_, k) => row[k] === 1).sort();
    const expected = [a && `a=${a.trim()}`, b && `b=${b.trim()}`].filter(Boolean).sort();
    if (on.join('|') !== expected.join('|') || data.train.targets[i] !== Number(y)) wrong++;
  }
  t.equal(wrong, 0);
});

t.test('splits by seed', async (t) => {
  const text = `x,y\n${Array.from({ length: 100 }, (_, i) => `${i},${2 * i}`).join('\n')}\n`;
  const path = file(t, 'a.csv', text);
  const data = await loadTable(path, { target: 'y', holdOut: 0.25, validation: 15, seed: 3 });
  t.same([data.train.count, data.validation.count, data.test.count], [60, 15, 25]);
  const all = ['train', 'validation', 'test'].flatMap((which) => rows(data, which).map(([x], i) => [x, data[which].targets[i]]));
  t.same(
    all.sort((a, b) => a[0] - b[0]),
    Array.from({ length: 100 }, (_, i) => [i, 2 * i]),
  );
  t.same(data.test, (await loadTable(path, { target: 'y', holdOut: 0.25, validation: 15, seed: 3 })).test);
  t.notSame(data.test, (await loadTable(path, { target: 'y', holdOut: 0.25, validation: 15, seed: 4 })).test);
  const mean = data.train.images.reduce((a, b) => a + b, 0) / 60;
  t.ok(Math.abs(data.mean[0] - mean) < 1e-5, 'statistics of the training rows alone');
});

t.test('faults in tables are named with line and column', async (t) => {
  const good = 'a,b,y\n1,x,1\n2,z,2\n3,x,3\n';
  for (const [text, options, message, testText = good] of [
    ['', {}, /the file is empty/],
    ['a,b,y\n', {}, /it holds no rows/],
    ['\n\n\n', {}, /it holds no rows/],
    ['a,b,y\n1,x,1\n2,z\n', {}, /train\.csv: line 3: expected 3 columns but found 2/],
    ['a,b,y\n1,x,1\n\n2,z,1,5\n', {}, /line 4: expected 3 columns but found 4/],
    ['a,b,a\n1,x,1\n', {}, /line 1: there are two columns of the name "a"/],
    ['a,b,y\n1,x,1\ntwo,z,2\n3,x,3\n', {}, /line 3, column "a": expected a number, as in other rows, but found "two"; .*categorical/],
    ['a,b,y\n1,x,1\n1e39,z,2\n', {}, /line 3, column "a": expected a number/],
    ['a,b,y\n1,x,1\nInfinity,z,2\n', {}, /line 3, column "a"/],
    ['a,b,y\n1,x,1\n2,z,\n', {}, /line 3, column "y": the value to predict is missing/],
    ['a,b,y\n1,x,1\n2,z,three\n3,z,4\n', {}, /line 3, column "y": "three" among 2 numbers and 1 names; say the task/],
    ['a,b,y\n1,x,1\n2,z,three\n3,z,4\n', { task: 'regression' }, /line 3, column "y": expected a number to predict but found "three"/],
    ['a,b,y\n1,"x,1\n2,z,2\n', {}, /line 2, column 2: a quote that is never closed/],
    ['a,b,y\n1,"x"x,1\n2,z,2\n', {}, /line 2, column 2: expected the end of the field behind its quote but found "x"/],
    ['a,b,y\n1,,1\n2,,2\n', {}, /column "b" has no values/],
    [Buffer.from('a,b,y\n1,\xff,1\n', 'latin1'), {}, /not a text in UTF-8/],
    [good, {}, /test\.csv: its columns are not those/, 'a,c,y\n1,x,1\n'],
    [good, {}, /test\.csv: line 2, column "a": expected a number but found "q"/, 'a,b,y\nq,x,1\n'],
    [good, { task: 'classification' }, /test\.csv: line 3, column "y": the class "9" is in no training row/, 'a,b,y\n1,x,1\n1,x,9\n'],
    [`a,b,y\n${Array.from({ length: 1100 }, (_, i) => `1,name${i},2`).join('\n')}`, {}, /column "b" holds more than 1000 different texts/],
  ]) {
    await t.rejects(load(t, text, testText, { target: 'y', ...options }), { name: 'DataError', message }, String(message));
  }
  for (const [options, message] of [
    [{}, /name or number of a column for target but received undefined/],
    [{ target: 'z' }, /train\.csv: Expected one of the columns "a", "b", "y" for target but received "z"/],
    [{ target: 3 }, /for target but received 3/],
    [{ target: ['y', 'y'] }, /different columns for target/],
    [{ target: 'y', ignore: ['q'] }, /ignore\[0\] but received "q"/],
    [{ target: 'y', categorical: 'b' }, /categorical but received "b"/],
    [{ target: 'y', ignore: ['a', 'b'] }, /no columns are left/],
    [{ target: 'y', delimiter: ',,' }, /delimiter/],
    [{ target: 'y', taget: 1 }, /"taget"/],
    [{ target: 'y', holdOut: 0 }, /holdOut/],
    [{ target: 'y', validation: 3 }, /^Expected fewer than the 3 training rows for validation/],
    [{ target: 'y', skip: -1 }, /skip/],
    [{ target: 'y', header: 1 }, /header/],
  ]) {
    await t.rejects(load(t, good, good, options), { message }, String(message));
  }
});

const lines = (examples) => `${examples.map((e) => (typeof e === 'string' ? e : JSON.stringify(e))).join('\n')}\n`;
const loadLines = (t, examples, testExamples, options) =>
  loadJsonLines(file(t, 'a.jsonl', lines(examples)), { testPath: file(t, 'test.jsonl', lines(testExamples)), ...options });

t.test('JSON lines: vectors, sequences, images, texts, tokens; every task', async (t) => {
  const vector = await loadLines(t, [{ input: [1, 2], target: 'a' }, '', { input: [3, 4], target: 'b', more: 1 }], [{ input: [5, 6], target: 'b' }]);
  t.same(
    [vector.input, vector.shape, vector.classNames, [...vector.train.labels], [...vector.test.labels]],
    ['vector', [2, 1, 1], ['a', 'b'], [0, 1], [1]],
  );
  const image = await loadLines(
    t,
    [
      {
        x: [
          [
            [1, 2],
            [3, 4],
          ],
        ],
        y: 0.5,
      },
    ],
    [
      {
        x: [
          [
            [5, 6],
            [7, 8],
          ],
        ],
        y: 1,
      },
    ],
    { input: 'x', target: 'y' },
  );
  t.same([image.shape, [...image.train.images], [...image.test.targets], image.task], [[1, 2, 2], [1, 2, 3, 4], [1], 'regression']);
  const sequence = await loadLines(
    t,
    [
      {
        input: [
          [1, 2, 3],
          [4, 5, 6],
        ],
        target: [0, -1, 2],
      },
    ],
    [
      {
        input: [
          [1, 2, 3],
          [4, 5, 6],
        ],
        target: [1, 1, 1],
      },
    ],
    { task: 'perPosition' },
  );
  t.same([sequence.input, sequence.shape, sequence.classes, [...sequence.train.labels]], ['sequence', [2, 1, 3], 3, [0, -1, 2]]);
  const integers = await loadLines(
    t,
    [
      { input: [1], target: 2 },
      { input: [2], target: 0 },
    ],
    [{ input: [1], target: 1 }],
    { task: 'classification' },
  );
  t.same([integers.classes, [...integers.train.labels]], [3, [2, 0]]);
  const several = await loadLines(t, [{ input: [1], target: [1, 0, 1] }], [{ input: [1], target: [0, 0, 0] }], { task: 'multiLabel' });
  t.same([several.task, several.classes, [...several.train.targets]], ['multiLabel', 3, [1, 0, 1]]);
  const text = await loadLines(
    t,
    [
      { input: 'bad', target: false },
      { input: 'ab😀da', target: true },
    ],
    [{ input: 'xa', target: true }],
  );
  t.same([text.input, text.length, text.vocabulary, text.classNames], ['tokens', 5, 6, ['false', 'true']]);
  t.same([...text.train.tokens], [3, 2, 4, 0, 0, 2, 3, 5, 4, 2]);
  t.same([...text.test.tokens], [1, 2, 0, 0, 0], 'an unknown character, padding');
  t.equal(text.tokenizer.decode(text.train.tokens.subarray(5)), 'ab😀da');
  const tokens = await loadLines(
    t,
    [
      { input: [1, 2, 3], target: 'a' },
      { input: [0, 0, 0], target: 'b' },
    ],
    [{ input: [4, 4, 4], target: 'a' }],
    { vocabulary: 5 },
  );
  t.same([tokens.input, tokens.length, tokens.vocabulary, [...tokens.train.tokens]], ['tokens', 3, 5, [1, 2, 3, 0, 0, 0]]);
  const whole = await loadJsonLines(file(t, 'b.jsonl.gz', gzipSync(lines(Array.from({ length: 20 }, (_, i) => ({ input: [i], target: i }))))), {
    holdOut: 0.2,
    validation: 4,
  });
  t.same([whole.train.count, whole.validation.count, whole.test.count], [12, 4, 4]);
});

t.test('faults in JSON lines are named with the line', async (t) => {
  const good = { input: [1, 2], target: 'a' };
  for (const [examples, options, message, testExamples = [good]] of [
    [[good, '{"input": [1'], {}, /a\.jsonl: line 2: no JSON/],
    [[good, '', '[1]'], {}, /line 3: expected an object/],
    [[good, 'null'], {}, /line 2: expected an object/],
    [[good, { input: [1, 2] }], {}, /line 2: there is no field "target"/],
    [['{"__proto__": {"input": [1], "target": 1}}'], {}, /line 1: there is no field "input"/],
    [[good, { input: [1], target: 'a' }], {}, /line 2: expected the input of 2, as in the first example/],
    [[good, { input: [1, null], target: 'a' }], {}, /line 2: expected numbers in the input but found null/],
    [[good, { input: [1, 1e40], target: 'a' }], {}, /line 2: expected numbers in the input/],
    [[good, { input: 'text', target: 'a' }], {}, /line 2: expected the input of 2/],
    [[{ input: 'text', target: 'a' }, good], {}, /line 2: expected a text as input/],
    [[good, { input: [1, 2], target: 1 }], {}, /line 2: expected a string as target/],
    [[good], {}, /test\.jsonl: line 1: the class "z" is in no training example/, [{ input: [1, 2], target: 'z' }]],
    [[{ input: [1, 2], target: 1.5 }], { task: 'classification' }, /line 1: 1\.5 is no class/, [{ input: [1, 2], target: 1 }]],
    [[{ input: [1, 2], target: 2 }], { task: 'classification', classes: 2 }, /line 1: 2 is no class/, [{ input: [1, 2], target: 1 }]],
    [[{ input: [1, 2], target: null }], {}, /line 1: the target is neither/],
    [[{ input: {}, target: 1 }], {}, /line 1: the input is neither/],
    [[{ input: [[]], target: 1 }], {}, /line 1: the input is neither/, [{ input: [[]], target: 1 }]],
    [[{ input: [5], target: 'a' }], { vocabulary: 5 }, /from 0 to 4 for train\.tokens\[0\] but received 5/, [{ input: [1], target: 'a' }]],
    [['', ''], {}, /it holds no examples/],
    [[good], { inputs: 'x' }, /"inputs"/],
    [[good], { task: 'cluster' }, /task/],
  ]) {
    await t.rejects(loadLines(t, examples, testExamples, options), { message }, String(message));
  }
});

t.test('a table and sequences from JSON lines train a network', async (t) => {
  const random = randomNumbers(2);
  const people = Array.from({ length: 600 }, () => {
    const [size, weight, city] = [150 + 40 * random(), 40 + 60 * random(), ['Bern', 'Rom'][Math.floor(2 * random())]];
    return { size, weight, city, kind: size - weight + (city === 'Rom' ? 20 : 0) > 110 ? 'light' : 'heavy' };
  });
  const text = people.map((p) => [p.size.toFixed(1), p.weight.toFixed(1), p.city, p.kind].join(','));
  const data = await loadTable(file(t, 'a.csv', `size,weight,city,kind\n${text.join('\n')}\n`), { target: 'kind' });
  const net = new NetworkBuilder(data.shape);
  const hidden = net.relu(net.linear(net.flatten('input'), { outFeatures: 16 }));
  const trainer = Trainer.create({
    network: net.build(net.linear(hidden, { outFeatures: 2 })),
    data,
    epochs: 12,
    batchSize: 32,
    learningRate: 0.02,
    gamma: 0,
  });
  await trainer.run();
  const { accuracy } = await trainer.evaluate();
  t.ok(accuracy > 0.9, `accuracy ${accuracy}`);
  await trainer.dispose();

  const waves = Array.from({ length: 300 }, () => {
    const frequency = random() < 0.5 ? 1 : 3;
    const phase = 6.28 * random();
    return JSON.stringify({
      input: [Array.from({ length: 24 }, (_, i) => Math.round(1000 * Math.sin((6.28 * frequency * i) / 24 + phase)) / 1000)],
      target: frequency,
    });
  });
  const series = await loadJsonLines(file(t, 'a.jsonl', waves.join('\n')), { task: 'classification' });
  t.same([series.input, series.shape, series.classes], ['sequence', [1, 1, 24], 4]);
  const wave = new NetworkBuilder(series.shape);
  const filtered = wave.relu(wave.conv2d('input', { outChannels: 8, kernel: [1, 7], padding: [0, 3] }));
  const second = Trainer.create({
    network: wave.build(wave.linear(wave.globalAveragePool(filtered), { outFeatures: 4 })),
    data: series,
    epochs: 15,
    batchSize: 16,
    learningRate: 0.02,
    gamma: 0,
  });
  await second.run();
  t.ok((await second.evaluate()).accuracy > 0.9);
  await second.dispose();
});
