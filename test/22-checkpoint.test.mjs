// Checkpoints: kill a run anywhere, resume it, and what follows is what would have followed. Damage is noticed.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { cli, readCheckpoint, Trainer, temporaryFolder, toyDataset, toyNetwork, withoutTimes, writeCheckpoint } from './support.mjs';

const quick = {
  epochs: 6,
  batchSize: 64,
  learningRate: 0.01,
  gamma: 1,
  bits: { initial: 5, learningRate: 0.3, freezeAt: 0.7 },
  seed: 4,
  augmentation: { shift: 1 },
};

t.test('a resumed run goes on exactly, through removals and the freeze', async (t) => {
  const whole = Trainer.create({ network: toyNetwork(), data: toyDataset(), ...quick });
  await whole.run();
  for (const after of [1, 3, 4, 5]) {
    const path = join(temporaryFolder(t), 'checkpoint');
    const first = Trainer.create({ network: toyNetwork(), data: toyDataset(), ...quick });
    first.on('epoch', (m) => m.epoch === after && first.stop());
    await first.run();
    await first.saveCheckpoint(path);
    const second = await Trainer.resume(path, toyDataset());
    t.equal(second.epoch, after);
    await second.run();
    t.same(second.history.map(withoutTimes), whole.history.map(withoutTimes), `stopped after epoch ${after}`);
    t.same(await second.state(), await whole.state());
  }
});

t.test('a killed program resumes from its folder', { timeout: 120000 }, async (t) => {
  const folder = temporaryFolder(t);
  const args = ['--limit', '1500', '--epochs', '4', '--batch-size', '128', '--model', 'lenet300', '--gamma', '0.5', '--seed', '3'];
  const lines = (dir) =>
    existsSync(join(dir, 'metrics.jsonl'))
      ? readFileSync(join(dir, 'metrics.jsonl'), 'utf8')
          .split('\n')
          .filter(Boolean)
          .map((line) => JSON.parse(line))
      : [];
  const whole = join(folder, 'whole');
  t.equal(spawnSync(process.execPath, [cli, 'train', ...args, '--out', whole], { encoding: 'utf8' }).status, 0);
  const killed = join(folder, 'killed');
  const child = spawn(process.execPath, [cli, 'train', ...args, '--out', killed], { stdio: 'ignore' });
  while (lines(killed).length < 2) await new Promise((resolve) => setTimeout(resolve, 20));
  child.kill('SIGKILL');
  await new Promise((resolve) => child.on('exit', resolve));
  t.ok(lines(killed).length < 4, 'it was killed before its end');
  const resumed = spawnSync(process.execPath, [cli, 'train', '--resume', killed], { encoding: 'utf8' });
  t.equal(resumed.status, 0, resumed.stderr);
  t.same(lines(killed).map(withoutTimes), lines(whole).map(withoutTimes));
  t.same(readFileSync(join(killed, 'model.scnn')), readFileSync(join(whole, 'model.scnn')));
});

async function smallCheckpoint() {
  const trainer = Trainer.create({ network: toyNetwork(), data: toyDataset(), ...quick, epochs: 1 });
  await trainer.run();
  return trainer.checkpoint();
}

t.test('a full disk is a clear error, and the previous checkpoint stays', async (t) => {
  if (!existsSync('/dev/full')) return t.skip('this system has no /dev/full');
  const folder = temporaryFolder(t);
  const path = join(folder, 'checkpoint');
  const checkpoint = await smallCheckpoint();
  await writeCheckpoint(path, checkpoint);
  const before = readFileSync(path);
  symlinkSync('/dev/full', `${path}.${process.pid}.tmp`); // where the new one is written aside
  await t.rejects(writeCheckpoint(path, checkpoint), { name: 'CheckpointError', message: /the disk is full.*untouched/ });
  t.same(readFileSync(path), before);
  t.same(readdirSync(folder), ['checkpoint'], 'nothing is left behind');
});

t.test('damaged, foreign and missing checkpoints are told apart', async (t) => {
  const folder = temporaryFolder(t);
  const path = join(folder, 'checkpoint');
  const checkpoint = await smallCheckpoint();
  await writeCheckpoint(path, checkpoint);
  t.same(await readCheckpoint(folder), await readCheckpoint(path), 'a folder stands for its checkpoint');
  t.same((await readCheckpoint(path)).state, checkpoint.state);
  const bytes = readFileSync(path);
  const read = (contents) => {
    writeFileSync(join(folder, 'other'), contents);
    return readCheckpoint(join(folder, 'other'));
  };
  await t.rejects(readCheckpoint(join(folder, 'none')), { name: 'CheckpointError', message: /There is no checkpoint/ });
  await t.rejects(read(''), { name: 'CheckpointError', message: /0 bytes/ });
  await t.rejects(read('hello world, this is no checkpoint'), { name: 'CheckpointError' });
  await t.rejects(read(Buffer.concat([Buffer.from([2, 0, 0, 0, 0, 0, 0, 0]), Buffer.from('{}')])), {
    name: 'CheckpointError',
    message: /not a checkpoint/,
  });
  for (const length of [8, 100, bytes.length - 4, bytes.length - 1])
    await t.rejects(read(bytes.subarray(0, length)), { name: 'CheckpointError', message: /damaged/ });
  for (let i = 0; i < 40; i++) {
    const changed = Buffer.from(bytes);
    changed[Math.floor((i / 40) * bytes.length)] ^= 4;
    await t.rejects(read(changed), { name: 'CheckpointError' }, `byte ${Math.floor((i / 40) * bytes.length)}`);
  }
  await t.rejects(Trainer.resume(path, toyDataset({ count: 100 })), { name: 'RangeError', message: /256 training images/ });
});

t.test('a checkpoint of version 1 is read; one of the future is not', async (t) => {
  const path = join(temporaryFolder(t), 'checkpoint');
  const trainer = Trainer.create({ network: toyNetwork(), data: toyDataset(), ...quick });
  trainer.on('epoch', () => trainer.stop());
  await trainer.run();
  const { fingerprint, ...data } = (await trainer.checkpoint()).data;
  await writeCheckpoint(path, { ...(await trainer.checkpoint()), data }); // version 1 had no fingerprint
  const versioned = (version) => {
    const bytes = readFileSync(path);
    bytes[bytes.indexOf('"version":"') + 11] = version.charCodeAt(0);
    writeFileSync(path, bytes);
    return path;
  };
  const resumed = await Trainer.resume(versioned('1'), toyDataset());
  await resumed.run();
  await trainer.run();
  while (trainer.epoch < 6) await trainer.run();
  t.same(resumed.history.map(withoutTimes), trainer.history.map(withoutTimes));
  await t.rejects(Trainer.resume(versioned('5'), toyDataset()), {
    name: 'CheckpointError',
    message: /version 5; this program reads versions 1 to 4/,
  });
});

t.test('other tools can read the tensors: the layout is that of safetensors', async (t) => {
  const path = join(temporaryFolder(t), 'checkpoint');
  const checkpoint = await smallCheckpoint();
  await writeCheckpoint(path, checkpoint);
  const bytes = readFileSync(path);
  const length = Number(bytes.readBigUInt64LE());
  const header = JSON.parse(bytes.toString('utf8', 8, 8 + length));
  t.equal(length % 8, 0);
  const {
    dtype,
    shape,
    data_offsets: [from, to],
  } = header['conv1.weight'];
  t.equal(dtype, 'F32');
  t.same(shape, [72]);
  t.same(
    new Float32Array(bytes.buffer.slice(bytes.byteOffset + 8 + length + from, bytes.byteOffset + 8 + length + to)),
    checkpoint.state['conv1.weight'],
  );
});

t.test('a header of other types than training writes is refused, whatever its checksum', async (t) => {
  const path = join(temporaryFolder(t), 'checkpoint');
  const good = await smallCheckpoint();
  await writeCheckpoint(path, good);
  await readCheckpoint(path);
  const wrong = [null, true, -1, 0.5, 'x', [], {}, [null], 2 ** 60];
  const places = ['description', 'options', 'origin', 'data', 'epoch', 'step', 'history'];
  for (const place of places) {
    for (const value of wrong) {
      if (place === 'step' && value === 2 ** 60) continue; // it is a number of steps, if a strange one
      if (place === 'options' && JSON.stringify(value) === '{}') continue; // all of their defaults
      await writeCheckpoint(path, { ...good, [place]: value });
      await t.rejects(readCheckpoint(path), { name: 'CheckpointError', message: / is damaged: Expected / }, `${place}: ${JSON.stringify(value)}`);
    }
  }
  await writeCheckpoint(path, { ...good, progress: { steps: 'many' } });
  await t.rejects(readCheckpoint(path), { name: 'CheckpointError', message: /for progress\.steps but received "many"/ });
  await writeCheckpoint(path, { ...good, origin: { ...good.origin, present: {} } });
  await t.rejects(readCheckpoint(path), { name: 'CheckpointError', message: /for origin\.present/ });
});
