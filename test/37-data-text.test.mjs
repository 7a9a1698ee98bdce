// Texts: vocabularies, windows with their next tokens, what is held out; and digits placed on larger images.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import t from 'tap';
import {
  allWindows,
  CharacterVocabulary,
  cli,
  datasetCatalog,
  datasetFromText,
  datasetNames,
  digitScenes,
  loadDataset,
  loadSklearnTable,
  loadText,
  loadTokenizer,
  randomWindows,
  root,
  temporaryFolder,
} from './support.mjs';

const shared = process.env.SELFCOMPRESS_SHARED ?? join(root, '..', 'shared');
const shakespeare = join(shared, 'data', 'tinyshakespeare.txt');

function file(t, name, contents) {
  const path = join(mkdtempSync(join(temporaryFolder(t), 'text-')), name);
  writeFileSync(path, contents);
  return path;
}

t.test('a vocabulary of characters', (t) => {
  const vocabulary = new CharacterVocabulary(['\n', 'a', 'é', '😀']);
  t.same([...vocabulary.encode('a😀é\na')], [1, 3, 2, 0, 1]);
  t.equal(vocabulary.decode([1, 3, 2, 0, 1]), 'a😀é\na');
  t.equal(vocabulary.size, 4);
  t.throws(() => vocabulary.encode('abc'), { name: 'RangeError', message: /characters of the vocabulary for text\[1\] but received "b"/ });
  t.throws(() => vocabulary.encode(5), { name: 'TypeError', message: /text/ });
  for (const token of [4, -1, 0.5, Number.NaN]) t.throws(() => vocabulary.decode([0, token]), { message: /0 to 3 for tokens\[1\]/ });
  t.throws(() => new CharacterVocabulary(['a', 'a']), { message: /all different/ });
  t.end();
});

t.test('windows, next tokens, and what is held out', async (t) => {
  const text = Array.from({ length: 1003 }, (_, i) => 'abcdefghij'[(i * i + (i >> 2)) % 10]).join('');
  const data = await datasetFromText(text, { length: 10 });
  const tokens = data.tokenizer.encode(text);
  t.same([data.input, data.task, data.length, data.vocabulary, data.classes], ['tokens', 'perPosition', 10, 10, 10]);
  t.same([[...data.tokens.train], [...data.tokens.test]], [[...tokens.subarray(0, 902)], [...tokens.subarray(902)]]);
  t.same([data.train.count, data.test.count], [90, 10]);
  t.same([...data.train.tokens], [...tokens.subarray(0, 900)]);
  t.same([...data.train.labels], [...tokens.subarray(1, 901)]);
  t.same([...data.test.tokens], [...tokens.subarray(902, 1002)]);
  t.same([...data.test.labels], [...tokens.subarray(903, 1003)]);
  t.equal(data.tokenizer.decode(tokens), text);

  const batches = [...allWindows(data.tokens.test, 10, 4)];
  t.same(
    batches.map(({ count }) => count),
    [4, 4, 2],
  );
  t.same(
    batches.flatMap(({ tokens }) => [...tokens]),
    [...data.test.tokens],
  );
  t.same(
    batches.flatMap(({ labels }) => [...labels]),
    [...data.test.labels],
  );

  const draw = (seed, n) => {
    const windows = randomWindows(data.tokens.train, 10, 5, seed);
    return Array.from({ length: n }, () => windows.next().value);
  };
  const drawn = draw(3, 400);
  const starts = new Set();
  for (const { count, tokens: inputs, labels } of drawn) {
    if (count !== 5 || inputs.length !== 50 || labels.length !== 50) t.fail('shape of a batch');
    for (let i = 0; i < 5; i++) {
      const row = inputs.subarray(i * 10, i * 10 + 10).join();
      starts.add(row);
      if (inputs.subarray(i * 10 + 1, i * 10 + 10).join() !== labels.subarray(i * 10, i * 10 + 9).join()) t.fail('labels are the next tokens');
    }
  }
  const possible = new Set(Array.from({ length: 892 }, (_, i) => data.tokens.train.subarray(i, i + 10).join()));
  t.ok([...starts].every((row) => possible.has(row)));
  t.ok(starts.size > 0.8 * possible.size, `${starts.size} of ${possible.size} different windows`);
  t.same(draw(3, 5), draw(3, 5), 'the same seed');
  t.notSame(draw(3, 5), draw(4, 5), 'another seed');
  const last = randomWindows(Int32Array.of(1, 2, 3), 2, 50, 0).next().value;
  t.same(
    [...last.tokens].every((v, i) => v === 1 + (i % 2)),
    true,
    'a window that is all there is',
  );

  const three = await datasetFromText(text, { length: 10, holdOut: 0.2, validation: 0.1 });
  t.same([three.tokens.train.length, three.tokens.validation.length, three.tokens.test.length], [702, 100, 201]);
  t.same(three.validation.count, 9);
});

t.test('text files', async (t) => {
  const text = 'Zürich 😀\n'.repeat(40_000);
  const tokens = (await loadText(file(t, 'a.txt', text), { length: 16 })).tokens;
  t.equal(tokens.train.length + tokens.test.length, 9 * 40_000, 'characters, not bytes, wherever the file is cut');
  const zipped = await loadText(file(t, 'a.txt', gzipSync(`\ufeff${text}`)), { length: 16 });
  t.same(zipped.tokenizer.characters, ['\n', ' ', 'Z', 'c', 'h', 'i', 'r', 'ü', '😀']);
  t.equal(zipped.name, 'a.txt');
  for (const [contents, options, message] of [
    ['', {}, /the file is empty/],
    [Buffer.from([0xff, 0xfe, 0x41]), {}, /not a text in UTF-8/],
    [Buffer.from([0x41, 0xc3]), {}, /not a text in UTF-8/],
    ['too short', {}, /its 9 tokens are too few: 8 for train, and a window needs 129/],
    [text, { length: 0 }, /length/],
    [text, { holdOut: 1 }, /holdOut/],
    [text, { holdOut: 0.6, validation: 0.4 }, /holdOut/],
    [text, { block: 5 }, /"block"/],
    [text, { tokenizer: {} }, /a path or a tokenizer for tokenizer/],
    [text, { tokenizer: '/no/such/tokenizer.json' }, /tokenizer\.json: not found/],
    [text, { tokenizer: new CharacterVocabulary(['a']) }, /characters of the vocabulary for text\[0\] but received "Z"/],
  ]) {
    await t.rejects(loadText(file(t, 'a.txt', contents), options), { message }, String(message));
  }
});

t.test('Tiny Shakespeare', { skip: existsSync(shakespeare) ? false : 'shared/data/tinyshakespeare.txt is absent' }, async (t) => {
  const data = await loadText(shakespeare, { length: 256 });
  t.equal(data.vocabulary, 65);
  t.equal(data.tokens.train.length + data.tokens.test.length, 1_115_394);
  t.equal(data.tokens.train.length, 1_003_854);
  t.equal(data.tokenizer.decode(data.tokens.train.subarray(0, 14)), 'First Citizen:');
});

const tiny = {
  version: '1.0',
  added_tokens: [{ id: 6, content: '<end>', special: true, single_word: false, lstrip: false, rstrip: false, normalized: false }],
  normalizer: null,
  pre_tokenizer: null,
  post_processor: null,
  decoder: { type: 'Fuse' },
  model: {
    type: 'BPE',
    vocab: { a: 0, b: 1, '\n': 2, ab: 3, abab: 4, '<u>': 5 },
    merges: ['a b', 'ab ab'],
    unk_token: '<u>',
    fuse_unk: false,
    byte_fallback: false,
  },
};

t.test('a tokenizer.json by the optional package', async (t) => {
  const path = file(t, 'tokenizer.json', JSON.stringify(tiny));
  const isThere = await import('@huggingface/tokenizers').then(
    () => true,
    () => false,
  );
  if (!isThere) {
    await t.rejects(loadTokenizer(path), { name: 'DataError', message: /needs the optional package @huggingface\/tokenizers\. Run: npm install/ });
  } else {
    const tokenizer = await loadTokenizer(path);
    t.equal(tokenizer.size, 7);
    t.same([...tokenizer.encode('ababab\nb')], [4, 3, 2, 1]);
    t.equal(tokenizer.decode([4, 3, 2, 1]), 'ababab\nb');
    const text = 'abab\nab\n'.repeat(2000);
    const data = await datasetFromText(text, { tokenizer: path, length: 8 });
    t.same([data.vocabulary, data.tokens.train.length + data.tokens.test.length], [7, 8000]);
    t.same([...data.tokens.train.subarray(0, 4)], [4, 2, 3, 2]);
  }
  for (const [contents, message] of [
    ['{', /no JSON/],
    ['[]', /no vocabulary/],
    ['null', /no JSON object/],
    ['{"model":{"vocab":{"a":-1}}}', /a token has the number -1/],
    ['{"model":{"vocab":{"a":1e9}}}', /a token has the number 1000000000/],
    ['{"model":{"vocab":{"a":0}},"added_tokens":[null]}', /a token has the number/],
  ]) {
    await t.rejects(loadTokenizer(file(t, 'tokenizer.json', contents)), { name: 'DataError', message }, contents);
  }
});

t.test('digits on larger images', async (t) => {
  const options = { size: 48, digits: [1, 3], count: 60, testCount: 20, seed: 5 };
  const data = await digitScenes(options);
  t.same([data.task, data.shape, data.classes, data.train.count, data.test.count], ['perPosition', [1, 48, 48], 11, 60, 20]);
  t.same([data.train.images.length, data.train.labels.length], [60 * 48 * 48, 60 * 48 * 48]);
  let wrong = 0;
  for (let i = 0; i < data.train.labels.length; i++) {
    if (data.train.labels[i] > 0 !== data.train.images[i] >= 64) wrong++;
  }
  t.equal(wrong, 0, 'where there is ink there is a class');
  const counts = Array.from({ length: 60 }, (_, n) => new Set(data.train.labels.subarray(n * 2304, (n + 1) * 2304)).size - 1);
  t.ok(counts.every((count) => count >= 1 && count <= 3));
  t.equal(new Set(data.train.labels).size, 11);
  const again = await digitScenes(options);
  t.ok(Buffer.compare(data.train.images, again.train.images) === 0);
  t.notOk(Buffer.compare(data.train.images, (await digitScenes({ ...options, seed: 6 })).train.images) === 0);
  const one = await digitScenes({ size: 28, digits: [1, 1], count: 5, testCount: 1 });
  const { train } = await loadDataset('digits');
  const known = new Set(Array.from({ length: train.count }, (_, i) => Buffer.from(train.images.subarray(i * 784, (i + 1) * 784)).toString('base64')));
  for (let i = 0; i < 5; i++)
    t.ok(known.has(Buffer.from(one.train.images.subarray(i * 784, (i + 1) * 784)).toString('base64')), 'a digit that fills the image');
  for (const [wrongOptions, message] of [
    [{ size: 27 }, /size/],
    [{ digits: [3, 1] }, /digits\[1\]/],
    [{ digits: 3 }, /digits/],
    [{ count: 0 }, /count/],
    [{ sizes: 64 }, /"sizes"/],
  ]) {
    await t.rejects(digitScenes(wrongOptions), { message });
  }
});

t.test("scikit-learn's tables", async (t) => {
  const folder = temporaryFolder(t);
  const table = Array.from({ length: 30 }, (_, i) => `${i / 10},${i},${i % 3}`);
  writeFileSync(join(folder, 'iris.csv'), `30,2,setosa,versicolor,virginica\n${table.join('\n')}\n`);
  const data = await loadSklearnTable('iris', { dataDir: folder, holdOut: 0.5 });
  t.same([data.name, data.shape, data.classes, data.classNames, data.train.count], ['iris', [2, 1, 1], 3, ['setosa', 'versicolor', 'virginica'], 15]);
  for (const [i, label] of data.train.labels.entries()) t.equal(data.train.images[2 * i + 1] % 3, label);
  await t.rejects(loadSklearnTable('wine', { dataDir: folder }), { name: 'DataError', message: /wine_data\.csv was not found/ });
  await t.rejects(loadSklearnTable('boston'), { name: 'TypeError', message: /table/ });
  const installed = await loadSklearnTable('iris').catch((error) => error);
  if (installed instanceof Error) return t.match(installed, { name: 'DataError', message: /was not found/ });
  t.same([installed.train.count + installed.test.count, installed.shape, installed.classes], [150, [4, 1, 1], 3]);
});

t.test('the catalog of data sets says what is there', async (t) => {
  t.same(datasetCatalog.map(({ name }) => name).slice(0, datasetNames.length), [...datasetNames]);
  const digits = await loadDataset('digits');
  const { shape, classes, train, test } = datasetCatalog[0];
  t.same([shape, classes, train, test], [digits.shape, digits.classes, digits.train.count, digits.test.count]);
  const library = await import('./support.mjs');
  for (const { name } of datasetCatalog.slice(datasetNames.length)) {
    for (const [, called] of name.matchAll(/(\w+)\(\)/g)) t.type(library[called], 'function', called);
  }
  const { stdout, status } = spawnSync(process.execPath, [cli, 'datasets'], { encoding: 'utf8' });
  t.equal(status, 0);
  for (const { name, source } of datasetCatalog) t.ok(stdout.includes(name) && stdout.includes(source), name);
  t.same(JSON.parse(spawnSync(process.execPath, [cli, 'datasets', '--json'], { encoding: 'utf8' }).stdout), datasetCatalog);
  t.ok(readFileSync(join(root, 'docs', 'data.md'), 'utf8').length > 0);
});
