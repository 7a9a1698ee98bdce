// Text from model files: one position after another, against windows that are seen anew for every token.
import t from 'tap';
import {
  binding,
  CharacterVocabulary,
  createModel,
  difference,
  encodeModel,
  floats,
  generateText,
  initialState,
  inspectNetwork,
  languageModelNames,
  loadModel,
  NetworkBuilder,
  randomNumbers,
} from './support.mjs';

const length = 16;
const characters = [...'abcdefghijklmnopqrstuvwxyz .'];
const tokenizer = new CharacterVocabulary(characters);
const info = { name: 'letters', classes: characters.length, mean: [0], std: [1] };

async function fileOf(network, seed = 1) {
  const state = initialState(inspectNetwork(network).parameters, seed, { bitDepth: 6, headroom: 0 });
  const random = randomNumbers(seed);
  for (const [name, values] of Object.entries(state)) {
    if (name.endsWith('.bitDepth')) values.set(values.map((b) => (random() < 0.1 ? 0 : b)));
    if (name.endsWith('.bias')) values.set(floats(random, values.length, -0.3, 0.3));
  }
  return encodeModel(network, state, info);
}
const named = (name) => createModel(name, { input: { tokens: length }, classes: characters.length, width: 0.25 });
async function textOf(model, prompt, options) {
  let text = '';
  for await (const piece of generateText(model, tokenizer, prompt, options)) text += piece;
  return text;
}
/** Without what makes it quick. */
const plain = (model) => ({ length, vocabulary: characters.length, predict: async (window) => (await model.predict(window)).scores });

t.test('the same text with and without what was seen before, beyond the window as well', async (t) => {
  for (const name of languageModelNames)
    for (const weights of ['unpacked', 'packed']) {
      const model = await loadModel(await fileOf(named(name)), { weights });
      t.equal(model.vocabulary, characters.length);
      for (const [prompt, options] of [
        ['a', { tokens: 40, seed: 3 }],
        ['the king', { tokens: 8, temperature: 0 }],
        ['a longer prompt than the window has places for', { tokens: 5, seed: 2, temperature: 0.7 }],
      ])
        t.equal(await textOf(model, prompt, options), await textOf(plain(model), prompt, options), `${name} ${weights} ${prompt}`);
      model.dispose();
    }
});

t.test('logits behind every position; tokens as Int32Array', async (t) => {
  for (const name of languageModelNames) {
    const bytes = await fileOf(named(name), 2);
    const native = await binding.loadModelFile({ bytes });
    const decoder = await native.decoder();
    t.equal(decoder.length, length);
    t.equal(decoder.outputs, characters.length);
    const tokens = Int32Array.from({ length }, (_, i) => (i * 7) % characters.length);
    const model = await loadModel(bytes);
    const { scores } = await model.predict(tokens);
    t.same(model.predictSync(tokens).scores, scores);
    t.same((await model.predict([Float32Array.from(tokens), tokens])).length, 2);
    const at = (position) => Float32Array.from(characters, (_, token) => scores[token * length + position]);
    for (let i = 0; i < length; i++) t.ok(difference(await decoder.next(tokens.subarray(i, i + 1)), at(i)) < 1e-5);
    await t.rejects(decoder.next(Int32Array.of(1)), { name: 'RangeError', message: /1 to 0 tokens/ });
    await decoder.reset();
    const first = decoder.next(tokens.subarray(0, 5)); // both are queued before one has run
    const [behindFive, behindAll] = await Promise.all([first, decoder.next(tokens.subarray(5))]);
    t.ok(difference(behindFive, at(4)) < 1e-5);
    t.ok(difference(behindAll, at(length - 1)) < 1e-5);
    await decoder.reset();
    native.dispose();
    t.ok(difference(await decoder.next(tokens), at(length - 1)) < 1e-5, 'it does not end with the model');
    await t.rejects(async () => native.decoder(), { code: 'ERR_SELFCOMPRESS_DISPOSED' });
  }
});

t.test('what is refused', async (t) => {
  const model = await loadModel(await fileOf(named('char-lm')));
  await t.rejects(model.predict(new Int32Array(length).fill(-1)), {
    name: 'RangeError',
    message: /whole number below 28 for token 0 but received -1/,
  });
  await t.rejects(model.predict(new Int32Array(length - 1)), { name: 'RangeError', message: /16 elements.* for input/ });
  const native = await binding.loadModelFile({ bytes: await fileOf(named('char-lm')) });
  const decoder = await native.decoder();
  const wrong = (tokens, error) => t.rejects(async () => decoder.next(tokens), error);
  await wrong(new Int32Array(0), { name: 'RangeError', message: /1 to 16 for the number of tokens but received 0/ });
  await wrong(new Int32Array(17), { name: 'RangeError' });
  await wrong(Int32Array.of(28), { name: 'RangeError', message: /whole number below 28 for token 0 but received 28/ });
  await wrong(Float32Array.of(1), { name: 'TypeError', message: /for tokens/ });
  t.throws(() => new binding.Decoder(), { name: 'TypeError' });
  t.throws(() => decoder.next.call(native, Int32Array.of(1)), { name: 'TypeError', message: /a Decoder for this/ });

  const net = new NetworkBuilder([1, 4, 4]);
  const images = await fileOf(net.build(net.linear(net.flatten('input'), { outFeatures: 3 })));
  const ofNumbers = await loadModel(images);
  await t.rejects(ofNumbers.predict(new Int32Array(16)), { name: 'TypeError', message: /for input/ });
  await t.rejects(textOf(ofNumbers, 'a', {}), { name: 'TypeError', message: /a language model for model/ });
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  await t.rejects(textOf(proxy, 'a', {}), { name: 'TypeError', code: 'ERR_SELFCOMPRESS_ARGUMENT', message: /for model/ });
  await t.rejects(async () => (await binding.loadModelFile({ bytes: images })).decoder(), { message: /a network of tokens/ });
});

t.test('a network that sees the whole window generates without', async (t) => {
  const net = new NetworkBuilder({ tokens: length });
  const stream = net.embedding('input', { dimensions: 8, vocabulary: characters.length });
  const heads = net.attention(stream, stream, stream, { heads: 2, causal: false });
  const bytes = await fileOf(net.build(net.linear(heads, { outFeatures: characters.length, perPosition: true })));
  await t.rejects((await binding.loadModelFile({ bytes })).decoder(), { code: 'ERR_SELFCOMPRESS_MODEL_FILE', message: /attention "/ });
  const model = await loadModel(bytes);
  t.equal(await textOf(model, 'ab', { tokens: 9 }), await textOf(plain(model), 'ab', { tokens: 9 }));
});
