// State dictionaries of PyTorch: those that PyTorch itself writes, and those that nobody should.
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { readPytorch } from '../dist/data/pytorch.js';
import { elementsOf, pickled, pickledCall, pickledGlobal, pickledTensor, pytorch } from './data-support.mjs';
import { loadWeights, temporaryFolder } from './support.mjs';

const python = '/usr/bin/python3';
const hasTorch = spawnSync(python, ['-c', 'import torch']).status === 0;

const range = (count, from = 0) => Array.from({ length: count }, (_, i) => i + from);
const floats = (count, from) => elementsOf('f4', range(count, from));

/** The file's tensors as plain lists. */
async function read(t, bytes, name = 'a.pth') {
  const path = join(temporaryFolder(t), name);
  writeFileSync(path, bytes);
  const tensors = await readPytorch(path);
  return Object.fromEntries([...tensors].map(([key, { shape, type, data }]) => [key, [type, shape, Array.from(data)]]));
}

t.test('tensors of all types, in any order of their elements', async (t) => {
  const value = {
    rows: pickledTensor({ count: 12, shape: [2, 3] }),
    columns: pickledTensor({ count: 12, shape: [3, 2], strides: [1, 3], offset: 6 }),
    scalar: pickledTensor({ count: 12, shape: [], offset: 11 }),
    none: pickledTensor({ count: 12, shape: [0, 3] }),
    halves: pickledTensor({ type: 'torch.HalfStorage', key: '1', count: 2, shape: [2] }),
    counter: pickledTensor({ type: 'torch.LongStorage', key: '2', count: 1, shape: [] }),
    note: 'no tensor',
  };
  const storages = { 0: floats(12), 1: Buffer.from([0, 0x3c, 0, 0xc0]), 2: elementsOf('i8', [-7]) };
  for (const deflate of [false, true]) {
    t.same(await read(t, pytorch(value, storages, { deflate })), {
      rows: ['f32', [2, 3], range(6)],
      columns: ['f32', [3, 2], [6, 9, 7, 10, 8, 11]],
      scalar: ['f32', [], [11]],
      none: ['f32', [0, 3], []],
      halves: ['f16', [2], [1, -2]],
      counter: ['i64', [], [-7]],
    });
  }
});

t.test('checkpoints that keep the weights under a usual name', async (t) => {
  const weights = { w: pickledTensor({ count: 4, shape: [4] }) };
  for (const name of ['state_dict', 'model', 'model_state_dict'])
    t.same(await read(t, pytorch({ epoch: 3, [name]: weights, optimizer: { state: {} } }, { 0: floats(4) })), { w: ['f32', [4], range(4)] });
});

t.test('what a pickle names is not called', async (t) => {
  const call = pickledCall('os.system', `touch ${join(temporaryFolder(t), 'called')}`);
  t.same(await read(t, pytorch({ w: pickledTensor({ count: 4, shape: [4] }), bad: call }, { 0: floats(4) })), { w: ['f32', [4], range(4)] });
  const whole = Buffer.concat([pickledGlobal('nets.Net'), Buffer.from(')'), Buffer.from([0x81]), pickled({ training: false }), Buffer.from('b')]);
  await t.rejects(read(t, pytorch(whole, {})), { name: 'DataError', message: /an object of nets\.Net, not a state dictionary/ });
});

t.test('files that are none have typed errors', async (t) => {
  const w = (fields) => ({ w: pickledTensor({ count: 4, shape: [4], ...fields }) });
  const raw = (...parts) => Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part) : Buffer.from(part))));
  const cases = {
    'a size behind the storage': [pytorch(w({ shape: [5] }), { 0: floats(4) }), /outside of its storage/],
    'a stride behind the storage': [pytorch(w({ shape: [2, 2], strides: [4, 1] }), { 0: floats(4) }), /outside of its storage/],
    'an offset behind the storage': [pytorch(w({ offset: 1 }), { 0: floats(4) }), /outside of its storage/],
    'more elements than there are': [
      pytorch(w({ shape: [2 ** 30, 2 ** 30], strides: [0, 0] }), { 0: floats(4) }),
      /a shape of|outside of its storage/,
    ],
    'a storage of another length': [pytorch(w({ count: 2 ** 40 }), { 0: floats(4) }), /cut off/],
    'a longer storage': [pytorch(w({}), { 0: floats(5) }), /too long/],
    'no storage': [pytorch(w({ key: '7' }), { 0: floats(4) }), /no storage 7/],
    'one storage of two types': [
      pytorch({ ...w({}), v: pickledTensor({ type: 'torch.IntStorage', count: 4, shape: [4] }) }, { 0: floats(4) }),
      /several types/,
    ],
    'a storage of objects': [pytorch(w({ type: 'torch.QUInt8Storage' }), { 0: floats(4) }), /a storage of numbers/],
    'no tensors': [pytorch({ epoch: 3, loss: 1 }, {}), /it holds epoch, loss/],
    'a list': [pytorch([1, 2], {}), /no state dictionary/],
    'no pickle': [pytorch({}, {}, { folder: 'a/b' }), /no data\.pkl/],
    'an unknown operation': [pytorch(raw('I12\n'), {}), /the operation 73/],
    'an empty stack': [pytorch(raw('s'), {}), /empty stack/],
    'a mark that is missing': [pytorch(raw('t'), {}), /a mark is missing/],
    'a text behind the end': [pytorch(raw('X', [255, 255, 255, 127]), {}), /ends within/],
    'what was not remembered': [pytorch(raw('h', [9]), {}), /not remembered/],
    'the pickle of an old version': [Buffer.concat([Buffer.from([0x80, 2]), Buffer.alloc(40)]), /before version 1\.6/],
    'something else': [Buffer.from('hello, world'), /no file of PyTorch/],
  };
  for (const [name, [bytes, message]] of Object.entries(cases)) await t.rejects(read(t, bytes), { name: 'DataError', message }, name);
});

t.test('damaged files end in typed errors', async (t) => {
  const path = join(temporaryFolder(t), 'a.pth');
  const value = { a: pickledTensor({ count: 12, shape: [2, 3] }), b: pickledTensor({ key: '1', count: 6, shape: [3, 2], strides: [1, 3] }) };
  const whole = pytorch(value, { 0: floats(12), 1: floats(6) });
  for (let i = 0; i < 400; i++) {
    const damaged = Buffer.from(whole);
    for (let k = 0; k < 1 + (i % 3); k++) damaged[(i * 7919 + k * 104729) % damaged.length] ^= 1 << ((i + k) % 8);
    writeFileSync(path, i % 4 ? damaged : damaged.subarray(0, (i * 7919) % damaged.length));
    const error = await readPytorch(path).then(
      () => undefined,
      (e) => e,
    );
    if (error) t.match(error, { name: 'DataError' }, error.stack?.slice(0, 300));
  }
});

t.test('weights of a network as PyTorch saves them', { skip: hasTorch ? false : 'python3-torch is not installed' }, async (t) => {
  const folder = temporaryFolder(t);
  const program = `
import torch, json, sys
torch.manual_seed(1)
net = torch.nn.Sequential()
net.add_module('conv1', torch.nn.Conv2d(1, 4, 3, bias=False))
net.add_module('bn1', torch.nn.BatchNorm2d(4))
net.add_module('head', torch.nn.Linear(4, 3))
net.bn1.running_mean.uniform_()
with torch.no_grad(): net.head.weight.set_(torch.randn(4, 3).t())
for protocol in (2, 4): torch.save(net.state_dict(), f'{sys.argv[1]}/net{protocol}.pth', pickle_protocol=protocol)
torch.save({'epoch': 7, 'model': net.state_dict(), 'optimizer': torch.optim.Adam(net.parameters()).state_dict()}, f'{sys.argv[1]}/checkpoint.pt')
torch.save(net, f'{sys.argv[1]}/whole.pt')
torch.save(net.state_dict(), f'{sys.argv[1]}/old.pt', _use_new_zipfile_serialization=False)
torch.jit.script(net).save(f'{sys.argv[1]}/script.pt')
json.dump({k: v.flatten().tolist() for k, v in net.state_dict().items()}, open(f'{sys.argv[1]}/values.json', 'w'))
`;
  const made = spawnSync(python, ['-c', program, folder], { encoding: 'utf8' });
  t.equal(made.status, 0, made.stderr.slice(-500));
  const network = {
    input: [1, 6, 6],
    nodes: [
      { kind: 'conv2d', name: 'conv1', inputs: ['input'], outChannels: 4, kernel: [3, 3], bias: false },
      { kind: 'batchNorm', name: 'bn1', inputs: ['conv1'] },
      { kind: 'globalAveragePool', name: 'pool', inputs: ['bn1'] },
      { kind: 'linear', name: 'head', inputs: ['pool'], outFeatures: 3 },
    ],
    output: 'head',
  };
  const values = JSON.parse(readFileSync(join(folder, 'values.json'), 'utf8'));
  for (const name of ['net2.pth', 'net4.pth', 'checkpoint.pt']) {
    const { state, ignored } = await loadWeights(network, join(folder, name));
    t.same(ignored, ['bn1.num_batches_tracked'], name);
    for (const [key, own] of [
      ['conv1.weight', 'conv1.weight'],
      ['bn1.running_mean', 'bn1.runningMean'],
      ['head.weight', 'head.weight'],
      ['head.bias', 'head.bias'],
    ])
      t.same(Array.from(state[own]), values[key], `${name} ${key}`);
  }
  await t.rejects(loadWeights(network, join(folder, 'whole.pt')), { name: 'DataError', message: /an object of torch\.nn.*not a state dictionary/ });
  await t.rejects(loadWeights(network, join(folder, 'old.pt')), { name: 'DataError', message: /before version 1\.6/ });
  await t.rejects(loadWeights(network, join(folder, 'script.pt')), { name: 'DataError', message: /not a state dictionary/ });
});
