/** How long a prediction of one example takes, before and after: in this engine, and in ONNX Runtime where onnxruntime-node is installed. */
import { performance } from 'node:perf_hooks';
import { binding } from '../binding.js';
import { exportModel, type TrainedModel } from '../export/export.js';
import { loadModel } from '../inference/model.js';
import { encodeModel, type ModelInfo } from '../model-file/model-file.js';
import { elements } from '../network/description.js';

/** Milliseconds of one example: medians. */
export interface Latency {
  threads: number;
  engine: { before: number; after: number };
  /** Where onnxruntime-node is installed. */
  onnxruntime?: { before: number; after: number };
}

/** One network as the files that are timed. */
interface Files {
  model: Uint8Array;
  onnx: Uint8Array;
}

type Timed = () => Promise<unknown>;

/** What is used of onnxruntime-node. */
interface Runtime {
  InferenceSession: { create(bytes: Uint8Array, options: object): Promise<Session> };
  Tensor: new (type: 'float32', data: Float32Array, dims: number[]) => unknown;
}
interface Session {
  inputNames: string[];
  run(feeds: Record<string, unknown>): Promise<unknown>;
}

const ROUNDS = { least: 5, most: 1000, milliseconds: 2000 };

async function onnxRuntime(): Promise<Runtime | undefined> {
  const name: string = 'onnxruntime-node';
  try {
    const module = (await import(name)) as { default?: Runtime } & Runtime;
    return module.default ?? module;
  } catch {
    return undefined;
  }
}

/** Medians in milliseconds of functions that are called in turn, so that what else the machine does meets all of them. */
async function medians(functions: Timed[]): Promise<number[]> {
  for (const run of functions) await run();
  const times = functions.map((): number[] => []);
  const end = performance.now() + ROUNDS.milliseconds;
  for (let round = 0; round < ROUNDS.least || (round < ROUNDS.most && performance.now() < end); round++) {
    for (const [i, run] of functions.entries()) {
      const begin = performance.now();
      await run();
      times[i]?.push(performance.now() - begin);
    }
  }
  return times.map((of) => of.sort((a, b) => a - b)[of.length >> 1] as number);
}

async function inEngine(files: Files[], example: Float32Array): Promise<number[]> {
  const models = await Promise.all(files.map(({ model }) => loadModel(model)));
  try {
    return await medians(models.map((model) => () => model.predict(example)));
  } finally {
    for (const model of models) model.dispose();
  }
}

async function inRuntime(runtime: Runtime, files: Files[], example: Float32Array, input: readonly number[], threads: number): Promise<number[]> {
  const options = { intraOpNumThreads: threads, interOpNumThreads: 1, logSeverityLevel: 3 };
  const sessions = await Promise.all(files.map(({ onnx }) => runtime.InferenceSession.create(onnx, options)));
  const tensor = new runtime.Tensor('float32', example, [1, ...input]);
  return medians(sessions.map((session) => () => session.run({ [session.inputNames[0] as string]: tensor })));
}

/** @param original with float weights; @param small the files of what became of it; @param example normalised */
export async function measureLatency(original: TrainedModel & { info: ModelInfo }, small: Files, example: Float32Array): Promise<Latency> {
  const { network, state, info } = original;
  const files = [{ model: await encodeModel(network, state, info), onnx: await exportModel(original, { format: 'onnx' }) }, small];
  const { threads } = binding.info();
  const pair = ([before, after]: number[]) => ({ before: before as number, after: after as number });
  const given = example.subarray(0, elements(network.input));
  const runtime = await onnxRuntime();
  return {
    threads,
    engine: pair(await inEngine(files, given)),
    ...(runtime && { onnxruntime: pair(await inRuntime(runtime, files, given, network.input, threads)) }),
  };
}
