// Tensors in files: every type, order and layout against the numbers that went in, against NumPy itself, and what is damaged.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import t from 'tap';
import { crc32, elementsOf, npy, npz, safetensors } from './data-support.mjs';
import { loadNpy, loadNpz, loadSafetensors, temporaryFolder } from './support.mjs';

function file(t, name, contents) {
  const path = join(mkdtempSync(join(temporaryFolder(t), 'tensors-')), name);
  writeFileSync(path, contents);
  return path;
}

const range = (count) => Array.from({ length: count }, (_, i) => i);
const labels = npy('<i8', [4], [0, 1, 2, 1]);
const testLabels = npy('|u1', [2], [0, 2]);
const archive = (images, testImages, more = {}) =>
  npz({ train_images: images, train_labels: labels, test_images: testImages, test_labels: testLabels, ...more });

t.test('every type of numbers, both byte orders, C and Fortran order', async (t) => {
  const values = range(24).map((i) => (i * 5) % 24);
  const fortran = new Array(24);
  for (let n = 0; n < 4; n++) for (let y = 0; y < 2; y++) for (let x = 0; x < 3; x++) fortran[n + 4 * y + 8 * x] = values[(n * 2 + y) * 3 + x];
  for (const kind of ['b1', 'u1', 'i1', 'u2', 'i2', 'u4', 'i4', 'u8', 'i8', 'f4', 'f8']) {
    for (const order of kind[1] === '1' ? ['|'] : ['<', '>', '=']) {
      for (const [isFortran, version] of [
        [false, 1],
        [true, 2],
        [true, 3],
      ]) {
        const images = npy(order + kind, [4, 2, 3], isFortran ? fortran : values, { fortran: isFortran, version });
        const testImages = npy(order + kind, [2, 2, 3], values.slice(0, 12));
        const data = await loadNpz(file(t, 'a.npz', archive(images, testImages)));
        const expected = kind === 'b1' ? values.map((v) => (v ? 1 : 0)) : values;
        t.same([...data.train.images], expected, `${order}${kind} ${isFortran ? 'Fortran' : 'C'}`);
        t.equal(data.train.images.constructor, kind === 'u1' ? Uint8Array : Float32Array, 'bytes stay bytes');
        t.same([[...data.train.labels], [...data.test.labels], data.shape, data.classes], [[0, 1, 2, 1], [0, 2], [1, 2, 3], 3]);
      }
    }
  }
});

t.test('halves and bfloat16 with zeros, subnormals and the largest', async (t) => {
  const halves = [0, 0x8000, 0x3c00, 0xbc00, 1, 0x03ff, 0x0400, 0x7bff];
  const expected = [0, -0, 1, -1, 2 ** -24, 1023 * 2 ** -24, 2 ** -14, 65504];
  const bytes = elementsOf('u2', halves);
  const f2 = npz({
    x_train: npy('<f2', [2, 4], bytes),
    y_train: npy('<i4', [2], [0, 1]),
    x_test: npy('>f2', [1, 4], elementsOf('u2', halves.slice(0, 4), true)),
    y_test: npy('<i4', [1], [0]),
  });
  const data = await loadNpz(file(t, 'a.npz', f2));
  t.same([...data.train.images], expected);
  t.same([...data.test.images], expected.slice(0, 4));
  t.same([data.input, data.shape], ['vector', [4, 1, 1]]);
  const b = elementsOf('u2', [0x3f80, 0xc040, 0x0001, 0x7f7f]);
  const tensors = { x: { dtype: 'BF16', shape: [2, 2], data: b }, y: { dtype: 'I64', shape: [2], data: elementsOf('i8', [1, 0]) } };
  const bf = await loadSafetensors(file(t, 'a.safetensors', safetensors(tensors)), { holdOut: 0.5 });
  t.same([...bf.train.images, ...bf.test.images].sort(), [1, -3, 2 ** -133, 255 * 2 ** 120].sort());
  const nan = { x: { ...tensors.x, data: elementsOf('u2', [0x3f80, 0x7fc0, 1, 1]) }, y: tensors.y };
  await t.rejects(loadSafetensors(file(t, 'a.safetensors', safetensors(nan))), {
    name: 'DataError',
    message: /a finite number for (train|test)\.images\[1\].*NaN/,
  });
});

t.test('layouts of images and sequences', async (t) => {
  const value = (n, c, y, x) => n * 100 + c * 20 + y * 5 + x;
  const build = (axes, sizes) => {
    const total = axes.map((a) => sizes[a]).reduce((a, b) => a * b, 1);
    return range(total).map((i) => {
      const place = { n: 0, c: 0, y: 0, x: 0 };
      let rest = i;
      for (const axis of [...axes].reverse()) {
        place[axis] = rest % sizes[axis];
        rest = Math.floor(rest / sizes[axis]);
      }
      return value(place.n, place.c, place.y, place.x);
    });
  };
  const sizes = { n: 4, c: 3, y: 2, x: 5 };
  const expected = build(['n', 'c', 'y', 'x'], sizes);
  for (const [layout, axes] of [
    ['NCHW', ['n', 'c', 'y', 'x']],
    ['NHWC', ['n', 'y', 'x', 'c']],
  ]) {
    const array = (count) =>
      npy(
        '<f4',
        axes.map((a) => (a === 'n' ? count : sizes[a])),
        build(axes, { ...sizes, n: count }),
      );
    for (const options of [{}, { layout }]) {
      const data = await loadNpz(file(t, 'a.npz', archive(array(4), array(2))), options);
      t.same(data.shape, [3, 2, 5], layout);
      t.same([...data.train.images], expected, layout);
    }
  }
  const sequences = (count) => npy('<f4', [count, 5, 3], build(['n', 'x', 'c'], { n: count, x: 5, c: 3 }));
  const data = await loadNpz(file(t, 'a.npz', archive(sequences(4), sequences(2))), { layout: 'NLC' });
  t.same([data.input, data.shape], ['sequence', [3, 1, 5]]);
  t.same([...data.train.images], build(['n', 'c', 'x'], { n: 4, c: 3, x: 5 }));
  const unclear = (count) => npy('<f4', [count, 3, 4, 3], range(count * 36));
  await t.rejects(loadNpz(file(t, 'a.npz', archive(unclear(4), unclear(2)))), { name: 'DataError', message: /channels is not clear/ });
  await t.rejects(loadNpz(file(t, 'a.npz', archive(unclear(4), unclear(2))), { layout: 'NHW' }), { message: /NHW does not fit/ });
});

t.test('names, tasks and splits', async (t) => {
  const images = npy('|u1', [10, 2, 2], range(40));
  const classes = npy(
    '<i4',
    [10],
    range(10).map((i) => i % 3),
  );
  const whole = await loadNpz(file(t, 'a.npz', npz({ images, labels: classes })), { holdOut: 0.3, validation: 2, seed: 4 });
  t.same([whole.train.count, whole.validation.count, whole.test.count], [5, 2, 3]);
  const seen = [whole.train, whole.validation, whole.test].flatMap(({ images, labels }) => [...labels].map((label, i) => [images[4 * i] / 4, label]));
  t.same(
    seen.sort((a, b) => a[0] - b[0]),
    range(10).map((i) => [i, i % 3]),
    'every example once, with its label',
  );
  const named = await loadNpz(file(t, 'a.npz', npz({ pictures: images, kinds: classes, extra: classes })), {
    names: { images: 'pictures', labels: 'kinds' },
  });
  t.same([named.train.count, named.test.count], [8, 2]);
  const masks = npy(
    '<i8',
    [10, 2, 2],
    range(40).map((i) => (i % 5 === 4 ? 255 : i % 5)),
  );
  const segmentation = await loadNpz(file(t, 'a.npz', npz({ images, labels: masks })), { ignoreLabel: 255 });
  t.same([segmentation.task, segmentation.classes, [...segmentation.train.labels].filter((v) => v === -1).length > 0], ['perPosition', 4, true]);
  const regression = await loadNpz(file(t, 'a.npz', npz({ X: images, y: npy('<f8', [10, 2], range(20)) })));
  t.same([regression.task, regression.train.targets.length], ['regression', 16]);
  const tokens = npy(
    '<i2',
    [10, 3],
    range(30).map((i) => i % 7),
  );
  const text = await loadNpz(
    file(
      t,
      'a.npz',
      npz({
        tokens,
        labels: npy(
          '<i2',
          [10, 3],
          range(30).map((i) => i % 7),
        ),
      }),
    ),
  );
  t.same([text.input, text.length, text.vocabulary, text.task], ['tokens', 3, 7, 'perPosition']);
  const folder = mkdtempSync(join(temporaryFolder(t), 'npy-'));
  writeFileSync(join(folder, 'x.npy'), images);
  writeFileSync(join(folder, 'y.npy.gz'), gzipSync(classes));
  t.equal((await loadNpy(folder)).train.count, 8);
  for (const [arrays, options, message] of [
    [{ images, labels: classes, extra: classes }, {}, /what "extra" is for does not follow from its name.*"images", "labels", "extra"/],
    [{ images }, {}, /either labels or targets/],
    [{ labels: classes }, {}, /either images or tokens of train but found neither/],
    [{ images, labels: labels }, {}, /its tensors have 10, 4 examples/],
    [{ train_x: images, train_y: classes, test_x: images, test_y: labels }, {}, /10 examples of test but 4 labels/],
    [{ train_x: images, train_y: classes, test_x: npy('|u1', [10, 4], range(40)), test_y: classes }, {}, /of train are 1×2×2 but of test 4/],
    [{ train_x: images, train_y: classes, test_x: npy('<f4', [10, 2, 2], range(40)), test_y: classes }, {}, /different types/],
    [{ images, image: images, labels: classes }, {}, /"image" is a second tensor for all\.images/],
    [
      {
        images,
        labels: npy(
          '<i4',
          [10],
          range(10).map((i) => i - 1),
        ),
      },
      { classes: 9 },
      /from 0 to 8 for .*labels\[\d\] but received -1/,
    ],
    [
      {
        images,
        labels: npy(
          '<f4',
          [10],
          range(10).map((i) => i / 2),
        ),
      },
      {},
      /labels\[\d\] but received \d\.5/,
    ],
    [{ images, labels: classes }, { names: { pictures: 'images' } }, /names\["pictures"\]/],
    [{ images, labels: classes }, { names: { images: 'x' } }, /there is no tensor "x"/],
    [{ images, labels: classes }, { holdOut: 1 }, /holdOut/],
    [{ images, labels: classes }, { validation: 8 }, /^Expected fewer than the 8 training examples for validation/],
    [{ images, labels: classes }, { layouts: 1 }, /"layouts"/],
  ]) {
    await t.rejects(loadNpz(file(t, 'a.npz', npz(arrays)), options), { message }, String(message));
  }
});

t.test('damaged .npy files', async (t) => {
  const good = npy('<f4', [4, 3], range(12));
  const load = async (contents) => {
    const folder = mkdtempSync(join(temporaryFolder(t), 'npy-'));
    writeFileSync(join(folder, 'x.npy'), contents);
    writeFileSync(join(folder, 'y.npy'), labels);
    return loadNpy(folder);
  };
  t.equal((await load(good)).train.count, 3);
  const text = (from, to) => Buffer.from(good.toString('latin1').replace(from, to.padEnd(from.length)), 'latin1');
  for (const [contents, message] of [
    [Buffer.alloc(0), /the file is empty/],
    ...range(Math.floor(good.length / 3)).map((i) => [good.subarray(0, 3 * i + 1), /cut off/]),
    [Buffer.concat([good, Buffer.alloc(1)]), /too long/],
    [text("'<f4'", "'<c8'"), /expected numbers .* but found c8/],
    [text("'<f4'", "'|O'"), /found O/],
    [text("'<f4'", '[1,2]'), /named columns or objects/],
    [text('(4, 3)', '4     '), /not that of an array/],
    [text('False', 'Maybe'), /not that of an array/],
    [Buffer.concat([Buffer.from('\x93NUMPY\x04\x00\x10\x00', 'latin1'), Buffer.alloc(100)]), /version 4\.0/],
    [Buffer.concat([Buffer.from('\x93NUMPY\x02\x00\xff\xff\xff\x7f', 'latin1'), Buffer.alloc(100)]), /a header of 2147483647 bytes/],
    [npy('<f4', [2 ** 31, 2 ** 31], []), /shape of|cut off/],
    [npy('<f8', [2 ** 40], []), /cut off/],
    [npy('<f8', [1, 1, 1, 1, 1, 1, 1, 1, 1], [1]), /9 dimensions/],
    [npy('<f4', [], [1]), /4 examples|examples/],
    [gzipSync(npy('<f4', [2 ** 29], [1])), /cut off/],
  ]) {
    await t.rejects(load(contents), { name: 'DataError', message }, String(message));
  }
});

t.test('damaged .npz archives', async (t) => {
  for (const deflate of [true, false]) {
    const arrays = { x: npy('<f4', [4, 3], range(12)), y: labels };
    const good = npz(arrays, { deflate });
    t.equal((await loadNpz(file(t, 'a.npz', good))).train.count, 3);
    const patched = (change) => {
      const bytes = Buffer.from(good);
      change(bytes, bytes.length - 22, bytes.readUInt32LE(bytes.length - 6));
      return bytes;
    };
    for (const [contents, message] of [
      ...range(Math.floor(good.length / 7)).map((i) => [good.subarray(0, 7 * i + 1), /cut off|list of contents/]),
      [Buffer.concat([good, Buffer.from('x')]), /list of contents is missing/],
      [patched((b, end) => b.writeUInt16LE(0xffff, end + 10)), /4 GB or more/],
      [patched((b, end) => b.writeUInt16LE(3, end + 10)), /list of contents is damaged/],
      [patched((b, end) => b.writeUInt32LE(1 << 30, end + 12)), /list of contents of/],
      [patched((b, end) => b.writeUInt32LE(1 << 30, end + 16)), /outside of the file/],
      [patched((b, _, at) => b.writeUInt16LE(1, at + 8)), /encrypted/],
      [patched((b, _, at) => b.writeUInt16LE(12, at + 10)), /method 12/],
      [patched((b, _, at) => b.writeUInt32LE(7, at + 16)), /CRC-32/],
      [patched((b, _, at) => b.writeUInt32LE(1e9, at + 20)), /longer than the file|cut off/],
      [patched((b, _, at) => b.writeUInt32LE(4e9, at + 24)), /cut off/],
      [patched((b, _, at) => b.writeUInt32LE(50, at + 24)), /too long|cut off/],
      [patched((b, _, at) => b.writeUInt32LE(1, at + 42)), /not where the list/],
      [patched((b) => b.writeUInt8(b[60] ^ 255, 60)), /CRC-32|damaged|not an \.npy|header|expected numbers/],
      [npz({}), /no arrays/],
    ]) {
      const path = file(t, 'a.npz', contents);
      await t.rejects(loadNpz(path), { name: 'DataError', message, path }, `${deflate} ${message}`);
    }
  }
  // One entry that the list of contents names a thousand times: each would be decompressed anew.
  const one = npz({ x: npy('<f4', [4, 3], Buffer.alloc(48)) });
  const [listed, offset] = [one.readUInt32LE(one.length - 10), one.readUInt32LE(one.length - 6)];
  const end = Buffer.from(one.subarray(one.length - 22));
  end.writeUInt16LE(1000, 8);
  end.writeUInt16LE(1000, 10);
  end.writeUInt32LE(1000 * listed, 12);
  const overlapping = Buffer.concat([one.subarray(0, offset), ...new Array(1000).fill(one.subarray(offset, offset + listed)), end]);
  await t.rejects(loadNpz(file(t, 'a.npz', overlapping)), { name: 'DataError', message: /longer than the file|two arrays of the name/ });
  const bomb = npz({ x: npy('<f4', [4, 3], Buffer.alloc(300_000_000)), y: labels });
  const before = process.memoryUsage().rss;
  await t.rejects(loadNpz(file(t, 'a.npz', bomb)), { name: 'DataError', message: /too long/ });
  t.ok(process.memoryUsage().rss - before < 64 * 2 ** 20);
});

t.test('safetensors and its damages', async (t) => {
  const tensors = {
    train_images: { dtype: 'F32', shape: [4, 3], data: elementsOf('f4', range(12)) },
    train_labels: { dtype: 'I64', shape: [4], data: elementsOf('i8', [0, 1, 2, 1]) },
    test_images: { dtype: 'F32', shape: [2, 3], data: elementsOf('f4', range(6)) },
    test_labels: { dtype: 'U8', shape: [2], data: elementsOf('u1', [0, 2]) },
  };
  const good = safetensors(tensors);
  const data = await loadSafetensors(file(t, 'a.safetensors', good));
  t.same([[...data.train.images], [...data.train.labels], [...data.test.labels]], [range(12), [0, 1, 2, 1], [0, 2]]);
  t.equal((await loadSafetensors(file(t, 'a.safetensors.gz', gzipSync(good)))).train.count, 4);
  const changed = (change) =>
    safetensors(tensors, (header) => {
      change(header);
      return header;
    });
  const long = Buffer.from(good);
  long.writeBigUInt64LE(2n ** 63n, 0);
  for (const [contents, message] of [
    ...range(Math.floor(good.length / 3)).map((i) => [good.subarray(0, 3 * i + 1), /cut off/]),
    [Buffer.concat([good, Buffer.alloc(1)]), /too long/],
    [long, /a header of 9223372036854775808 bytes/],
    [safetensors(tensors, () => []), /no JSON object/],
    [safetensors(tensors, () => null), /no JSON object/],
    [Buffer.concat([good.subarray(0, 8), Buffer.alloc(good.length - 8, 123)]), /no JSON/],
    [changed((h) => Object.assign(h.train_images, { dtype: 'F4' })), /"train_images": expected one of the types .* "F4"/],
    [changed((h) => Object.assign(h.train_images, { dtype: '__proto__' })), /expected one of the types/],
    [changed((h) => Object.assign(h.train_images, { shape: [4, -3] })), /no list of at most 8 sizes/],
    [changed((h) => Object.assign(h.train_images, { shape: [4, 2.5] })), /no list/],
    [changed((h) => Object.assign(h.train_images, { shape: '4' })), /no list/],
    [changed((h) => Object.assign(h.train_images, { shape: [4, 4] })), /4×4 of F32 are 64 bytes but its place has 48/],
    [changed((h) => Object.assign(h.train_images, { shape: [2 ** 52, 2 ** 52] })), /shape of/],
    [changed((h) => Object.assign(h.train_images, { data_offsets: [48, 0] })), /data_offsets/],
    [changed((h) => Object.assign(h.train_labels, { data_offsets: [47, 79] })), /begins at 47 but the one before ends at 48/],
    [changed((h) => Object.assign(h.train_labels, { data_offsets: [56, 88] })), /begins at/],
    [changed((h) => Object.assign(h, { train_images: null })), /expected one of the types/],
  ]) {
    await t.rejects(loadSafetensors(file(t, 'a.safetensors', contents)), { name: 'DataError', message }, String(message));
  }
});

t.test('shapes in headers of .npy files, whatever stands there', async (t) => {
  const folder = mkdtempSync(join(temporaryFolder(t), 'npy-'));
  const write = (shape) => {
    const text = `{'descr': '|u1', 'fortran_order': False, 'shape': ${shape}, }\n`;
    const start = Buffer.from([0x93, ...Buffer.from('NUMPY'), 1, 0, text.length & 255, text.length >> 8]);
    writeFileSync(join(folder, 'images.npy'), Buffer.concat([start, Buffer.from(text), Buffer.alloc(4)]));
    writeFileSync(join(folder, 'labels.npy'), npy('<i8', [2], [0, 1]));
    return loadNpy(folder);
  };
  for (const shape of ['(2, 2)', '( 2 ,2L,)', '(2,2,)'])
    t.equal((await write(shape)).train.images.length + (await write(shape)).test.images.length, 4, shape);
  const digits = '4'.repeat(1000);
  for (const shape of [`(8, ${digits}`, `(8, ${digits})`, `(${'1,'.repeat(500)}x)`, `(${' '.repeat(5000)}`, '(2; 2)', '(-2, 2)', '(2, (2))'])
    await t.rejects(write(shape), { name: 'DataError', message: /header|dimensions|elements|bytes/ }, shape.slice(0, 20));
});

t.test('what NumPy writes', async (t) => {
  const folder = temporaryFolder(t);
  const script = `
import numpy as np, sys
r = np.random.default_rng(5)
x = r.normal(size=(20, 3, 4, 5)); y = r.integers(0, 4, 20)
for i, (kind, order, save) in enumerate([(k, o, s) for k in ['f2', 'f4', '>f4', 'f8', 'i2', '>i4', 'u1', 'i8'] for o in 'CF' for s in [np.savez, np.savez_compressed]]):
    a = np.asarray(abs(x) * 50, dtype=kind, order=order)
    save(f"{sys.argv[1]}/{i}.npz", x_train=a[:15] if order == 'C' else np.asfortranarray(a[:15]), y_train=y[:15], x_test=a[15:], y_test=y[15:])
    a.astype(np.float32).astype('<f4').tofile(f"{sys.argv[1]}/{i}.bin")
print(i + 1)`;
  const { status, stdout, stderr } = spawnSync('python3', ['-c', script, folder], { encoding: 'utf8' });
  if (status !== 0) {
    t.match(stderr, /No module|ENOENT|^$/, 'Python fails for want of NumPy alone');
    return t.skip('no Python with NumPy');
  }
  for (let i = 0; i < Number(stdout); i++) {
    const bytes = readFileSync(join(folder, `${i}.bin`));
    const expected = new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
    const data = await loadNpz(join(folder, `${i}.npz`));
    t.same(data.shape, [3, 4, 5]);
    t.ok(
      [...data.train.images, ...data.test.images].every((value, k) => Object.is(value, expected[k])),
      `file ${i}`,
    );
  }
  t.equal(crc32(Buffer.from('123456789')), 0xcbf43926, 'the check value of CRC-32');
});
