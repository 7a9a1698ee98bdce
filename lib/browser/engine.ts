/** The engine's WebAssembly (native/wasm/browser.cpp) behind functions: everything that knows addresses is here. */
import type { AxesSizes, Metadata } from '../binding.js';
import { ModelFileError } from '../errors.js';

/** What of WebAssembly's interface is used: neither Node's nor the language's own types have it. */
interface Assembly {
  instantiate(module: unknown, imports: object): Promise<unknown>;
  compile(bytes: unknown): Promise<object>;
  Module: new (...args: never[]) => object;
}
interface Exports {
  memory: { buffer: ArrayBuffer };
  _initialize?(): void;
  allocate(bytes: number): number;
  release(address: number): void;
  errorText(): number;
  load(bytes: number, count: number, packed: number, integers: number, weights: number, activationBytes: number): number;
  dispose(model: number): void;
  describe(model: number): number;
  memoryOf(model: number, what: number): number;
  predict(model: number, images: number, count: number, result: number): number;
}

/** Where engine.wasm is: its address, its bytes, or a compiled WebAssembly.Module. */
export type WasmSource = URL | string | Uint8Array | ArrayBuffer | object;

export interface NativeOptions {
  packed: boolean;
  integers: boolean;
  maxWeights: number;
  maxActivationBytes: number;
}

/** What the engine asks of its surroundings: nothing but an end to the program that never comes, and a clock that nobody reads. */
const surroundings = new Proxy(
  {},
  {
    get: (_, name) => () => {
      if (name === 'proc_exit') throw new Error('The engine has stopped');
      return 0;
    },
    has: () => true,
  },
);

async function moduleOf(assembly: Assembly, source: WasmSource): Promise<object> {
  if (source instanceof assembly.Module) return source;
  if (ArrayBuffer.isView(source) || source instanceof ArrayBuffer) return assembly.compile(source);
  const response = await fetch(source as URL | string);
  if (!response.ok) throw new Error(`Expected the engine at ${response.url} but received status ${response.status}`);
  return assembly.compile(await response.arrayBuffer());
}

/** One instance, which all models share. */
export class Engine {
  readonly #exports: Exports;

  private constructor(exports: Exports) {
    this.#exports = exports;
  }

  static async start(source: WasmSource): Promise<Engine> {
    const assembly = (globalThis as unknown as { WebAssembly: Assembly }).WebAssembly;
    const module = await moduleOf(assembly, source);
    const instance = await assembly.instantiate(module, { env: surroundings, wasi_snapshot_preview1: surroundings });
    const exports = (instance as { exports: Exports }).exports;
    exports._initialize?.();
    return new Engine(exports);
  }

  /** Its address. */
  load(bytes: Uint8Array, options: NativeOptions): number {
    const at = this.#allocate(bytes.length);
    try {
      new Uint8Array(this.#exports.memory.buffer, at, bytes.length).set(bytes);
      const { packed, integers, maxWeights, maxActivationBytes } = options;
      const model = this.#exports.load(at, bytes.length, Number(packed), Number(integers), maxWeights, maxActivationBytes);
      if (!model) throw new ModelFileError(`The model file cannot be used: ${this.#text(this.#exports.errorText())}`);
      return model;
    } finally {
      this.#exports.release(at);
    }
  }
  describe(model: number): { input: AxesSizes; output: AxesSizes; vocabulary: number; metadata: Metadata } {
    return JSON.parse(this.#text(this.#exports.describe(model)));
  }
  memory(model: number): { weightBytes: number; panelBytes: number; activationBytes: number } {
    const [weightBytes, panelBytes, activationBytes] = [0, 1, 2].map((what) => this.#exports.memoryOf(model, what)) as [number, number, number];
    return { weightBytes, panelBytes, activationBytes };
  }
  predict(model: number, images: Float32Array, count: number, outputs: number): Float32Array {
    const at = this.#allocate(4 * (images.length + count * outputs));
    try {
      new Float32Array(this.#exports.memory.buffer, at, images.length).set(images);
      const result = at + 4 * images.length;
      if (this.#exports.predict(model, at, count, result)) throw new Error(this.#text(this.#exports.errorText()));
      return new Float32Array(this.#exports.memory.buffer, result, count * outputs).slice();
    } finally {
      this.#exports.release(at);
    }
  }
  dispose(model: number): void {
    this.#exports.dispose(model);
  }

  #allocate(bytes: number): number {
    const at = this.#exports.allocate(bytes);
    if (!at) throw new RangeError(`Expected ${bytes} bytes of memory but received none`);
    return at;
  }
  #text(address: number): string {
    const bytes = new Uint8Array(this.#exports.memory.buffer, address);
    return new TextDecoder().decode(bytes.subarray(0, bytes.indexOf(0)));
  }
}
