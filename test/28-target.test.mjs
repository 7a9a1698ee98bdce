// A validation split, and runs that are steered to a target: where they end, what is said, and that they resume exactly.
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import {
  cli,
  createModel,
  datasetNow,
  floats,
  loadDataset,
  NetworkBuilder,
  randomNumbers,
  readCheckpoint,
  Trainer,
  temporaryFolder,
  toyDataset,
  toyNetwork,
  writeCheckpoint,
} from './support.mjs';

t.setTimeout(600_000);
const quick = { epochs: 3, batchSize: 32, seed: 2, penalty: 'rate' };

/** The toy data with the first of its training images held back. */
function toyWithValidation(held = 64) {
  const { shape, classes, train, test } = toyDataset();
  const part = (from, to) => ({ images: train.images.slice(from * 144, to * 144), labels: train.labels.slice(from, to) });
  return datasetNow({
    name: 'toy',
    shape,
    classes,
    train: part(held, train.count),
    validation: part(0, held),
    test: { images: test.images, labels: test.labels },
  });
}
const create = (more) => Trainer.create({ network: toyNetwork(), data: toyWithValidation(), ...quick, ...more });

/** The two are the same to the bit: state, metrics without times. */
async function sameEnd(t, a, b) {
  const [x, y] = [await a.state(), await b.state()];
  t.same(Object.keys(x), Object.keys(y));
  for (const name of Object.keys(x)) t.ok(Buffer.from(x[name].buffer).equals(Buffer.from(y[name].buffer)), name);
  const bare = ({ history }) => history.map(({ epochSeconds, imagesPerSecond, ...rest }) => rest);
  t.same(bare(a), bare(b));
}

t.test('the validation split is measured after every epoch, and the same images whoever asks', async (t) => {
  const trainer = create();
  await trainer.run();
  const { loss, accuracy } = await trainer.evaluate('validation');
  t.match(trainer.history.at(-1), { validationLoss: loss, validationAccuracy: accuracy });
  t.not((await trainer.evaluate()).loss, loss);
  const without = Trainer.create({ network: toyNetwork(), data: toyDataset(), ...quick, epochs: 1 });
  await without.run();
  t.notOk('validationAccuracy' in without.history[0]);
  await t.rejects(without.evaluate('validation'), { name: 'RangeError', message: /a split that the data have for split but received "validation"/ });
  await t.rejects(without.evaluate('train'), { message: /for split/ });
  const data = await loadDataset('digits', { validation: 500 });
  t.same([data.train.count, data.validation.count], [7996 - 500, 500]);
  t.same((await loadDataset('digits', { validation: 500 })).validation, data.validation);
  t.notSame((await loadDataset('digits', { validation: 500, seed: 2 })).validation.labels, data.validation.labels);
  const checkpoint = await trainer.checkpoint();
  const changed = toyWithValidation();
  changed.validation.labels = changed.validation.labels.map((label, i) => (i === 5 ? (label + 1) % 4 : label));
  await t.rejects(Trainer.resume(checkpoint, changed), { name: 'RangeError', message: /other validation\.labels/ });
  await t.rejects(Trainer.resume(checkpoint, { ...toyWithValidation(), validation: undefined }), { message: /other validation\./ });
  t.throws(() => Trainer.create({ network: toyNetwork(), data: { ...toyDataset(), validation: 5 } }), { name: 'TypeError', message: /for data/ });
  await Promise.all([trainer.dispose(), without.dispose()]);
});

t.test('stopAt asks the validation split where there is one', async (t) => {
  const data = toyWithValidation();
  data.test = { ...data.test, labels: data.test.labels.map((label) => (label + 1) % 4) }; // nothing on them is ever right
  const run = async (stopAt) => {
    const trainer = Trainer.create({ network: toyNetwork(), data, ...quick, epochs: 8, learningRate: 0.01, stopAt });
    const reason = await trainer.run();
    await trainer.dispose();
    return [reason, trainer];
  };
  const [reason, trainer] = await run({ accuracy: 0.9 });
  t.equal(reason, 'early');
  t.ok(trainer.history.at(-1).testAccuracy < 0.5 && trainer.history.at(-1).validationAccuracy >= 0.9);
  t.equal((await run({ accuracy: 0.9, bitsFraction: 0 }))[0], 'epochs');
});

t.test('what cannot be steered is refused by name', async (t) => {
  const refused = (more, message) => t.throws(() => create(more), { message }, String(message));
  refused(
    { target: { bytes: 1000, bitsFraction: 0.1 } },
    /one of bytes, bitsFraction, drop for options\.target but received "bytes and bitsFraction"/,
  );
  refused({ target: { bytes: 0 } }, /options\.target\.bytes/);
  refused({ target: { bitsFraction: 2 } }, /options\.target\.bitsFraction/);
  refused({ target: { drop: 1 } }, /the accuracy that options\.target\.drop is below for options\.target\.reference but received undefined/);
  refused({ target: { bytes: 1000, reference: 0.9 } }, /options\.target\.reference/);
  refused({ target: { drop: 1, reference: 90 } }, /options\.target\.reference/);
  refused({ target: { bytes: 1000 }, gamma: 0 }, /above 0 to start steering from for options\.gamma but received 0/);
  refused({ target: { size: 5 } }, /"size"/);
  refused({ target: { bytes: 1000 }, network: toyNetwork({ compress: false }) }, /no value for a network of plain weights for options\.target/);
  refused({ target: { drop: 1, reference: 0.9 }, data: toyDataset() }, /data with a validation split, which options\.target\.drop needs, for data/);
});

const digits = loadDataset('digits', { validation: 800 });
async function steered(more) {
  const data = await digits;
  return Trainer.create({
    network: createModel('mlp', { input: data.shape, classes: data.classes }),
    data,
    batchSize: 64,
    epochs: 8,
    seed: 1,
    ...more,
  });
}

t.test('a run ends at the size that was asked for, with either penalty', async (t) => {
  for (const [options, unit, asked] of [
    [{ penalty: 'rate', target: { bytes: 2500 } }, 'modelBytes', 2500],
    [{ penalty: 'rate', target: { bytes: 6000 } }, 'modelBytes', 6000],
    [{ penalty: 'own', epochs: 12, target: { bitsFraction: 0.05 } }, 'bitsFraction', 0.05],
    [{ penalty: 'coupled', epochs: 12, target: { bytes: 9000 } }, 'modelBytes', 9000],
  ]) {
    const trainer = await steered(options);
    await trainer.run();
    const reached = trainer.history.at(-1)[unit];
    t.ok(reached <= 1.02 * asked && reached > 0.9 * asked, `${unit} ${asked}: ${reached}`);
    t.equal(trainer.outcome.met, reached <= asked);
    t.match(trainer.outcome.text, /^Target: .*; reached .*, γ ended at [\d.e-]+/);
    t.ok(new Set(trainer.history.map(({ gamma }) => gamma)).size > 3, 'gamma moves');
    await trainer.dispose();
  }
});

t.test('a loss of small numbers is no reason to end far below the target', async (t) => {
  const random = randomNumbers(7);
  const split = (count) => {
    const images = floats(random, 6 * count);
    const of = (x) => (x[0] * x[1] + Math.sin(2 * x[2]) + x[3]) / 5;
    return { images, targets: Float32Array.from({ length: count }, (_, i) => of(images.subarray(6 * i, 6 * i + 6))) };
  };
  const data = datasetNow({ shape: [6], train: split(512), test: split(128) });
  const net = new NetworkBuilder([6]);
  const hidden = (x) => net.relu(net.linear(x, { outFeatures: 32 }));
  const network = net.build(net.linear(hidden(hidden('input')), { outFeatures: 1 }));
  const run = async (options) => {
    const trainer = Trainer.create({ network, data, loss: { kind: 'meanSquaredError' }, epochs: 24, batchSize: 16, ...options });
    await trainer.run();
    await trainer.dispose();
    return trainer.history.at(-1);
  };
  for (const [penalty, target, unit] of [
    ['rate', { bitsFraction: 0.06 }, 'bitsFraction'],
    ['rate', { bytes: 700 }, 'modelBytes'],
    ['coupled', { bitsFraction: 0.06 }, 'bitsFraction'],
    ['own', { bitsFraction: 0.06 }, 'bitsFraction'],
  ]) {
    const { [unit]: reached, testLoss } = await run({ penalty, target });
    const asked = target.bitsFraction ?? target.bytes;
    t.ok(reached > 0.3 * asked && reached < 1.1 * asked, `${penalty}, ${asked}: ${reached}`);
    t.ok(testLoss < 0.01, `a tenth of the variance: ${testLoss}`);
  }
});

t.test('a size that cannot be reached is missed with a reason', async (t) => {
  const trainer = await steered({ penalty: 'rate', epochs: 2, target: { bytes: 100 } });
  t.equal(trainer.outcome, undefined);
  await trainer.run();
  t.equal(trainer.outcome.met, false);
  t.match(trainer.outcome.text, /Target: 100 bytes; reached .* Missed: .*more epochs/);
  await trainer.dispose();
});

t.test('a run steered by accuracy: a lax target gives a smaller file than a strict one', async (t) => {
  const run = async (drop) => {
    const trainer = await steered({ penalty: 'rate', target: { drop, reference: 0.95 } });
    await trainer.run();
    await trainer.dispose();
    return trainer;
  };
  const [strict, lax] = [await run(-4), await run(8)];
  t.ok(lax.history.at(-1).modelBytes < strict.history.at(-1).modelBytes);
  t.ok(Math.abs(lax.history.at(-1).validationAccuracy - 0.87) < 0.03, `${lax.history.at(-1).validationAccuracy}`);
  t.equal(lax.outcome.met, lax.history.at(-1).validationAccuracy >= 0.87);
  t.match(lax.outcome.text, /at least 87\.00 % on the validation split \(8 points below 95\.00 %\); reached/);
  t.notOk(strict.outcome.met);
  t.match(strict.outcome.text, /at least 99\.00 %.*Missed: /);
});

t.test('steered runs that are resumed inside an epoch end with the same numbers', async (t) => {
  const folder = temporaryFolder(t);
  for (const [kind, target] of Object.entries({ bytes: { bytes: 900 }, bits: { bitsFraction: 0.08 }, drop: { drop: 2, reference: 0.99 } })) {
    const input = { epochs: 8, learningRate: 0.02, target };
    const whole = create(input);
    const saves = [];
    whole.on('step', ({ step }) => {
      if ([1, 11, 20, 35].includes(step)) saves.push(whole.saveCheckpoint(join(folder, `${kind}-${step}`)));
    });
    await whole.run();
    await Promise.all(saves);
    for (const step of [1, 11, 20, 35]) {
      const later = await Trainer.resume(join(folder, `${kind}-${step}`), toyWithValidation());
      await later.run();
      await sameEnd(t, whole, later);
      t.same(later.outcome, whole.outcome);
      await later.dispose();
    }
    await whole.dispose();
  }
});

t.test('another target on resume, and checkpoints from before there were targets', async (t) => {
  const first = create({ target: { bytes: 2000 } });
  first.on('epoch', () => first.stop());
  await first.run();
  const checkpoint = await first.checkpoint();
  const other = await Trainer.resume(checkpoint, first.data, { target: { bytes: 700 }, epochs: 10 });
  t.same(other.options.target, { bytes: 700 });
  await other.run();
  t.match(other.outcome.text, /Target: 700 bytes/);
  const none = await Trainer.resume(checkpoint, first.data, { target: {} });
  await none.run();
  t.equal(none.outcome, undefined);
  t.equal(none.history.at(-1).gamma, 1);
  await t.rejects(Trainer.resume(checkpoint, first.data, { target: { bytes: -1 } }), { message: /options\.target\.bytes/ });
  const path = join(temporaryFolder(t), 'checkpoint');
  const { options, steering, ...rest } = await none.checkpoint();
  t.equal(steering, undefined);
  const { stopAt, ...old } = options;
  await writeCheckpoint(path, { ...rest, options: { ...old, target: { accuracy: 0.5 } } });
  const bytes = readFileSync(path);
  const at = bytes.indexOf('"version":"3"');
  t.ok(at > 0);
  bytes[at + 11] = '2'.charCodeAt(0);
  writeFileSync(path, bytes);
  t.match((await readCheckpoint(path)).options, { target: {}, stopAt: { accuracy: 0.5 } });
  const file = join(temporaryFolder(t), 'checkpoint');
  for (const broken of [undefined, {}, { ...checkpoint.steering, gammas: [1] }, { ...checkpoint.steering, begin: { progress: 7, size: 1 } }]) {
    await writeCheckpoint(file, { ...checkpoint, steering: broken });
    await t.rejects(readCheckpoint(file), { name: 'CheckpointError', message: /steering/ });
  }
  await Promise.all([first.dispose(), other.dispose(), none.dispose()]);
});

t.test('from the command line', async (t) => {
  const folder = temporaryFolder(t);
  const run = (...args) => spawnSync(process.execPath, [cli, 'train', ...args], { encoding: 'utf8' });
  const common = ['--dataset', 'digits', '--model', 'mlp', '--limit', '1500', '--batch-size', '64', '--threads', '1'];
  const plain = run(...common, '--plain', '--epochs', '3', '--validation', '400', '--out', join(folder, 'plain'));
  t.equal(plain.status, 0, plain.stderr);
  t.match(plain.stderr, /1100 training, 400 validation and 2004 test images/);
  t.match(plain.stderr, /accuracy validation/);
  t.match(readFileSync(join(folder, 'plain', 'report.html'), 'utf8'), /validation accuracy/);
  const small = [...common, '--validation', '400', '--penalty', 'rate', '--start', join(folder, 'plain'), '--epochs', '4'];
  const drop = run(...small, '--target-drop', '3', '--out', join(folder, 'drop'));
  t.equal(drop.status, 0, drop.stderr);
  t.match(drop.stderr, /The network as it comes: [\d.]+ % on the 400 validation images/);
  t.match(drop.stdout, /Target: at least [\d.]+ % on the validation split \(3 points below/);
  const { run: kept, options } = JSON.parse(readFileSync(join(folder, 'drop', 'config.json'), 'utf8'));
  t.match(kept, { validation: 400, limit: 1500 });
  t.ok(options.target.reference > 0.5);
  const size = run('--resume', join(folder, 'drop'), '--target-size', '1.5kB', '--epochs', '6');
  t.equal(size.status, 0, size.stderr);
  t.match(size.stdout, /Target: 1500 bytes; reached/);
  t.match(readFileSync(join(folder, 'drop', 'report.html'), 'utf8'), /Target: 1500 bytes/);
  for (const [args, message] of [
    [['--target-drop', '3', '--penalty', 'rate'], /--validation N with --target-drop/],
    [['--target-drop', '3', '--validation', '100'], /--reference ACCURACY, RUN or FILE/],
    [['--target-size', 'big'], /a size such as 20kB/],
  ]) {
    const { status, stderr } = run(...common, ...args, '--out', join(folder, 'none'));
    t.ok(status > 0, args.join(' '));
    t.match(stderr, message);
  }
});
