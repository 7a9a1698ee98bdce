/**
 * The engine as WebAssembly and onnxruntime-web in turn, on the thread that calls it; the same text in node and in a page. A subject is
 * called as often as it takes for 2 ms before the clock is read, which pages are given in steps.
 */

/** Least microseconds of a call of each subject. clock(): microseconds. */
async function time(subjects, clock, seconds) {
  const calls = [];
  for (const subject of subjects) {
    let spent = 0;
    for (let round = 0; round < 20; round++) {
      const begin = clock();
      await subject();
      spent = clock() - begin;
    }
    calls.push(Math.max(1, Math.ceil(2000 / Math.max(spent, 20))));
  }
  const least = subjects.map(() => Number.POSITIVE_INFINITY);
  const end = performance.now() + 1000 * seconds;
  for (let round = 0; round < 8 || (round < 3000 && performance.now() < end); round++)
    for (const [s, subject] of subjects.entries()) {
      const begin = clock();
      for (let call = 0; call < calls[s]; call++) await subject();
      least[s] = Math.min(least[s], (clock() - begin) / calls[s]);
    }
  return least;
}

/**
 * Microseconds an image of one network at some numbers of images.
 * @param surroundings - { loadModel, ort, wasm, clock, seconds }
 * @param network - { name, input, scnn, original, exported }: the file, and ONNX of what it was cut from (or undefined) and of itself
 * @returns [{ batch, own, original, exported }]
 */
export async function compare({ loadModel, ort, wasm, clock, seconds }, { name, input, scnn, original, exported }) {
  const size = input.reduce((a, b) => a * b);
  const model = await loadModel(scnn, { wasm });
  const sessionOf = (onnx) => ort.InferenceSession.create(onnx, { executionProviders: ['wasm'] });
  const [same, whole] = [await sessionOf(exported), original && (await sessionOf(original))];
  const rows = [];
  for (const batch of [1, 16]) {
    const images = Float32Array.from({ length: batch * size }, (_, i) => Math.sin(i));
    const inputs = Array.from({ length: batch }, (_, i) => images.subarray(i * size, (i + 1) * size));
    const run = (session) => session.run({ [session.inputNames[0]]: new ort.Tensor('float32', images, [batch, ...input]) });
    const ours = (await model.predict(inputs)).flatMap((prediction) => [...prediction.scores]);
    const theirs = (await run(same))[same.outputNames[0]].data;
    const worst = ours.reduce((most, value, i) => Math.max(most, Math.abs(value - theirs[i])), 0);
    if (!(worst < 1e-3)) throw new Error(`${name}: results differ by ${worst}`);
    const subjects = [() => model.predict(inputs), () => run(same), whole && (() => run(whole))].filter(Boolean);
    const [own, other, first] = (await time(subjects, clock, seconds)).map((least) => least / batch);
    rows.push({ batch, own, exported: other, original: first });
  }
  model.dispose();
  await same.release();
  if (whole) await whole.release();
  return rows;
}
