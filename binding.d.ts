/**
 * The low-level contract of the native addon: everything that crosses the border between TypeScript and C++.
 *
 * Rules that hold for every call:
 * - Arrays are plain and contiguous, images in NCHW order, weights in OIHW order, float32 unless said otherwise.
 * - Long work runs on native threads, one operation after another in the order of the calls; results are promises.
 * - An argument of the wrong type throws a TypeError, one of the wrong size or range a RangeError, synchronously, with a
 *   message of the form `Expected <what> for <argument> but received <value>`. Failures while running (out of memory)
 *   reject the promise with an Error that has the stack of the call. Every error has a `code` (lib/errors.ts).
 * - Arguments are read, each property once, and verified after the last getter or proxy of the user has run. What those
 *   throw becomes a TypeError that names the argument, with it as the `cause`.
 * - Typed arrays are used in place, without a copy: do not change, transfer or resize them until the promise settles.
 *   Arrays over resizable or growable buffers are refused with a TypeError.
 */

// ---------------------------------------------------------------------------------------------------------------------
// The machine

export interface Info {
  /** Version of the native library, equal to the package's. */
  version: string;
  /** Instruction set in use: the best one, or what SELFCOMPRESS_ISA names. */
  isa: 'scalar' | 'avx2' | 'avx512' | 'neon';
  /** Instruction sets that this binary holds and this processor can run. */
  isas: string[];
  /** Whether products in bf16 (`precision: 'bf16'` on the CPU) are instructions of this processor, or put together, which is slower than fp32. */
  bf16: 'native' | 'emulated';
  /** Threads that share the work of an operation. */
  threads: number;
  /** Whether networks can run on a GPU; looked for anew at every call. */
  cuda: CudaInfo;
  /** Compiler that built the addon. */
  compiler: string;
  /** Node-API version the addon was built for. */
  napi: number;
}
export function info(): Info;

export interface CudaInfo {
  available: boolean;
  /** For people: what was looked for and what was missing, or the number of devices. */
  reason: string;
  /** The first thing that was looked for and not found, null when CUDA is available. */
  missing: 'library' | 'driver' | 'device' | null;
  /** Path of the shared library with the CUDA backend, found or not: SELFCOMPRESS_CUDA_LIBRARY, else beside the addon. */
  library: string;
  devices: { name: string /** Compute capability, e.g. "9.0". */; computeCapability: string; memoryBytes: number }[];
}

/**
 * Where a network runs. 'auto' is CUDA where it is available, else the CPU. 'cuda' is the device that SELFCOMPRESS_CUDA_DEVICE
 * names by number, else the first; 'cuda:1' is device 1.
 */
export type Device = 'auto' | 'cpu' | 'cuda' | `cuda:${number}`;

/**
 * What convolutions and linear layers multiply: float32, or operands rounded to 10 bits (tf32: CUDA only) or 7 bits (bf16) of
 * significand, on tensor cores of compute capability 8.0 and above, or by the CPU (bf16, in Winograd's form of the convolution
 * alone). Sums, weights and everything else are float32 in any case, and so are evaluation and prediction.
 */
export type Precision = 'fp32' | 'tf32' | 'bf16';

/** Threads that share the work of an operation, 1..1024. Results do not depend on it. */
export function setThreads(count: number): void;

// ---------------------------------------------------------------------------------------------------------------------
// Data sets

export interface DataSetOptions {
  /** [channels, height, width] of an image. */
  shape: [number, number, number];
  /** [count × channels × height × width], finite; bytes are divided by 255. Copied into native memory. */
  images: Uint8Array | Float32Array;
  /** [count], class of each image in 0..classes-1, or [count × height × width] with -1 for pixels that do not count; for cross-entropy. */
  labels?: Int32Array | undefined;
  /** Number of classes; required with `labels`, unless these are in parts. */
  classes?: number | undefined;
  /**
   * For several outputs with classes: how many of the labels of an example each of them has, one behind another, and its classes. Labels
   * [count × all of them], where −1 does not count.
   */
  labelParts?: LabelPart[] | undefined;
  /** [count × features]; for the losses of numbers: of several outputs one behind another. */
  targets?: Float32Array | undefined;
  /**
   * Normalisation per channel, after the division by 255: (x − mean) / std. Defaults 0 and 1. std is at least 2^-20 of the mean:
   * less is the rounding of a channel that is constant, and dividing by it makes noise of it.
   */
  mean?: number[] | undefined;
  std?: number[] | undefined;
  /** Examples that there will be, of which `append` adds those that are not given here. Default: those given. */
  examples?: number | undefined;
}

export interface LabelPart {
  labels: number;
  classes: number;
}

export interface TokenDataSetOptions {
  /** [count × length], each in 0..vocabulary-1; with `windows` a text of more than `length` of them. */
  tokens: Int32Array;
  /** Tokens of an example. */
  length: number;
  vocabulary: number;
  /**
   * Example i is the `length` tokens that begin at token i of the text, and its labels are the tokens that follow each of them.
   * Default false: examples are rows, with labels or targets of their own.
   */
  windows?: boolean | undefined;
  labels?: Int32Array | undefined;
  classes?: number | undefined;
  targets?: Float32Array | undefined;
  /** As of `DataSetOptions`. */
  labelParts?: LabelPart[] | undefined;
  examples?: number | undefined;
}

/** More examples of the form that the first ones have; of a text the tokens that go on where it ended. */
export interface MoreExamples {
  images?: Uint8Array | Float32Array | undefined;
  tokens?: Int32Array | undefined;
  labels?: Int32Array | undefined;
  targets?: Float32Array | undefined;
}

/**
 * Images, or rows of tokens, and their labels or targets, held in native memory. Never changes once all examples are there.
 * Copying takes time in proportion: large sets are made of a slice, with `examples`, and of more that `append` adds bit by bit.
 */
export class DataSet {
  constructor(options: DataSetOptions | TokenDataSetOptions);
  /**
   * Adds examples to a set that lacks some; all of them, or none when it throws. A value's place in an error is counted from the
   * set's first example.
   * @throws TypeError or RangeError for examples of another form, or more than are missing
   */
  append(more: MoreExamples): void;
  readonly count: number;
  /** Of tokens [1, 1, length]. */
  readonly shape: [number, number, number];
  readonly classes: number;
}

/** Random changes of training images. Keyed by (seed, step, position in the batch): a seeded run repeats. */
export interface Augmentation {
  /** Pad by this many zero pixels and crop back at a random offset. Default 0. */
  shift?: number | undefined;
  /** Mirror left-right with probability ½. Default false. */
  flip?: boolean | undefined;
  /** Side in pixels of a square set to the mean. Default 0: none. */
  cutout?: number | undefined;
  /** Turn about the centre by an angle uniform in ±rotate degrees, 0..180; between pixels linear, what lies outside is a zero pixel. Default 0. */
  rotate?: number | undefined;
  /** Magnify about the centre by a factor uniform in 1 ± scale, 0..0.9; the same. Default 0. */
  scale?: number | undefined;
  /**
   * Brightness, contrast and saturation of raw values in 0..1, by factors uniform in 1 ± colour, 0..1; of images with 1 or 3 channels.
   * Default 0.
   */
  colour?: number | undefined;
  /**
   * Every image becomes share·image + (1 − share)·the next one of the batch, share from Beta(mixup, mixup), 0..2; labels are mixed alike.
   * For losses of one label for each example, or with a teacher. Default 0: no mixing.
   */
  mixup?: number | undefined;
  /** A box of the next image of the batch is pasted, of an area from Beta(cutmix, cutmix), 0..2; the same. With both each image gets one. */
  cutmix?: number | undefined;
}

// ---------------------------------------------------------------------------------------------------------------------
// Networks: a directed acyclic graph as data

/** What every node has. */
export interface NodeBase {
  /** Unique; not "input"; without '/' and '.'. */
  name: string;
  /** Names of the nodes whose outputs this one reads; "input" is the image. */
  inputs: string[];
}
export interface Conv2dNode extends NodeBase {
  kind: 'conv2d';
  outChannels: number;
  kernel: [number, number];
  /** Default [1, 1]. */
  stride?: [number, number] | undefined;
  /** Zero padding on both sides. Default [0, 0]. */
  padding?: [number, number] | undefined;
  /** Default [1, 1]. */
  dilation?: [number, number] | undefined;
  /** Divides input and output channels; equal to both for a depthwise convolution. Default 1. */
  groups?: number | undefined;
  /** Default true. */
  bias?: boolean | undefined;
  /** Learn a bit depth and an exponent per output channel. Default true. */
  compress?: boolean | undefined;
}
/**
 * Fully connected: reads all elements of its input as a vector, or, with `perPosition`, the channels at each position by
 * themselves. Weight [outFeatures, inFeatures].
 */
export interface LinearNode extends NodeBase {
  kind: 'linear';
  outFeatures: number;
  /** Default false. */
  perPosition?: boolean | undefined;
  bias?: boolean | undefined;
  compress?: boolean | undefined;
}
export interface BatchNormNode extends NodeBase {
  kind: 'batchNorm';
  /** Learn a scale and a shift per channel. Default true. */
  affine?: boolean | undefined;
  /** Default 1e-5. */
  epsilon?: number | undefined;
  /** Of the running statistics: running += momentum × (batch − running). Default 0.1. */
  momentum?: number | undefined;
}
export interface ActivationNode extends NodeBase {
  kind: 'relu' | 'gelu' | 'silu';
}
/** 1 / (1 + exp(−x)). */
export interface SigmoidNode extends NodeBase {
  kind: 'sigmoid';
}
/** Functions of one element without fields; geluTanh is GELU's approximation through tanh. */
export interface FunctionNode extends NodeBase {
  kind: 'geluTanh' | 'tanh' | 'hardSwish' | 'softplus' | 'exp' | 'log' | 'sqrt' | 'abs' | 'square' | 'reciprocal';
}
/** clip(slope·x + offset, 0, 1). */
export interface HardSigmoidNode extends NodeBase {
  kind: 'hardSigmoid';
  /** Default 1/6. */
  slope?: number | undefined;
  /** Default ½. */
  offset?: number | undefined;
}
/** x where x > 0, else slope·x. */
export interface LeakyReluNode extends NodeBase {
  kind: 'leakyRelu';
  /** Default 0.01. */
  slope?: number | undefined;
}
/** min(max(x, low), high); low 0 and high 6: ReLU6. */
export interface ClipNode extends NodeBase {
  kind: 'clip';
  low: number;
  high: number;
}
/** x where x > 0, else alpha·(exp(x) − 1). */
export interface EluNode extends NodeBase {
  kind: 'elu';
  /** Default 1. */
  alpha?: number | undefined;
}
/** scale·x + offset, fixed numbers. */
export interface AffineNode extends NodeBase {
  kind: 'affine';
  /** Default 1. */
  scale?: number | undefined;
  /** Default 0. */
  offset?: number | undefined;
}
/** x where x > 0, else a learned slope times x: `<name>.slope`, [channels] or [1], which starts at ¼. */
export interface PReluNode extends NodeBase {
  kind: 'prelu';
  /** One slope for all channels. Default false. */
  shared?: boolean | undefined;
}
/** Normalisation over the channels of every position of every example; rmsNorm without a mean and a shift. */
export interface ChannelNormNode extends NodeBase {
  kind: 'layerNorm' | 'rmsNorm';
  /** Learn a scale (and a shift) per channel. Default true. */
  affine?: boolean | undefined;
  /** Default 1e-5. */
  epsilon?: number | undefined;
  /** Channels that the statistics count, those that were removed among them as zeros. Default 0: those of the input. */
  divisor?: number | undefined;
}
/** Normalisation over the positions of every channel of every example. */
export interface InstanceNormNode extends NodeBase {
  kind: 'instanceNorm';
  /** Learn a scale and a shift per channel. Default false. */
  affine?: boolean | undefined;
  /** Default 1e-5. */
  epsilon?: number | undefined;
}
/** Normalisation over the channels of a group and all positions, of every example. */
export interface GroupNormNode extends NodeBase {
  kind: 'groupNorm';
  groups: number;
  /** Learn a scale and a shift per channel. Default true. */
  affine?: boolean | undefined;
  /** Default 1e-5. */
  epsilon?: number | undefined;
  /** Channels that the statistics of a group count, those that were removed among them as zeros. Default 0: channels ÷ groups. */
  divisor?: number | undefined;
  /** Channels of each group, where they are not the same. Default []. */
  sizes?: number[] | undefined;
}
/** Over the channels of every position (they are never removed), or over the last axis of positions. */
export interface SoftmaxNode extends NodeBase {
  kind: 'softmax';
  /** Default 'channels'. */
  axis?: 'channels' | 'positions' | undefined;
}
export interface PoolNode extends NodeBase {
  kind: 'maxPool' | 'averagePool';
  kernel: [number, number];
  /** Default: the kernel. */
  stride?: [number, number] | undefined;
  /** At most half the kernel. Default [0, 0]. */
  padding?: [number, number] | undefined;
  /** averagePool: divide by the whole window, padding included. Default true. */
  countIncludePad?: boolean | undefined;
}
/** Mean, or maximum, over all positions; output C×1×1. */
export interface GlobalAveragePoolNode extends NodeBase {
  kind: 'globalAveragePool' | 'globalMaxPool';
}
/** Mean over all rows, all columns, or both (default); their number becomes 1. */
export interface MeanPositionsNode extends NodeBase {
  kind: 'meanPositions';
  rows?: boolean | undefined;
  columns?: boolean | undefined;
}
/** Mean over all channels at each position; output 1×H×W. */
export interface MeanChannelsNode extends NodeBase {
  kind: 'meanChannels';
  /** What the sum is divided by; 0, the default: the number of channels. It stays when channels are removed. */
  divisor?: number | undefined;
}
/** C×H×W → a vector of C·H·W features. */
export interface FlattenNode extends NodeBase {
  kind: 'flatten';
}
/** Sum of two inputs: of one shape, or one that has a single channel or a single position where the other has more. */
export interface AddNode extends NodeBase {
  kind: 'add';
}
/** Product of two inputs: of one shape, or one that has a single channel or a single position where the other has more. */
export interface MultiplyNode extends NodeBase {
  kind: 'multiply';
}
/** Difference or quotient; the second input may have a single channel or a single position where the first has more. */
export interface ArithmeticNode extends NodeBase {
  kind: 'subtract' | 'divide';
}
/** Channels of all inputs (2 to 16), one after another; or their rows, or their columns: all other sizes are the same. */
export interface ConcatNode extends NodeBase {
  kind: 'concat';
  /** Default 'channels'. The positions of a sequence are columns. */
  axis?: 'channels' | 'rows' | 'columns' | undefined;
}
/** Output channel i is input channel index[i], or zeros where index[i] is -1. */
export interface GatherChannelsNode extends NodeBase {
  kind: 'gatherChannels';
  index: number[];
}
/** Channels seen as groups × C/groups and transposed: output channel i·groups + g is input channel g·C/groups + i. */
export interface ChannelShuffleNode extends NodeBase {
  kind: 'channelShuffle';
  groups: number;
  /** In place of the groups: the input channel of each output channel, as removal leaves it. Default []: by the groups. */
  order?: number[] | undefined;
}
/** Channels of zeros before and after those of the input. */
export interface PadChannelsNode extends NodeBase {
  kind: 'padChannels';
  /** Default 0. */
  before?: number | undefined;
  /** Default 0. */
  after?: number | undefined;
}
/** Channels first … first + count − 1. */
export interface SliceChannelsNode extends NodeBase {
  kind: 'sliceChannels';
  first: number;
  count: number;
}
/** Rows and columns first, first + step, … of each axis, `count` of them. The positions of a sequence are columns. */
export interface SlicePositionsNode extends NodeBase {
  kind: 'slicePositions';
  /** Default [0, 0]. */
  first?: [number, number] | undefined;
  count: [number, number];
  /** Default [1, 1]. */
  step?: [number, number] | undefined;
}
/** Rows and columns added before and after. */
export interface PadNode extends NodeBase {
  kind: 'pad';
  /** Default [0, 0]. */
  before?: [number, number] | undefined;
  /** Default [0, 0]. */
  after?: [number, number] | undefined;
  /** 'zeros' (default), 'reflect' (2 1 | 0 1 2), 'edge' (0 0 | 0 1 2) or 'wrap' (1 2 | 0 1 2). */
  mode?: 'zeros' | 'reflect' | 'edge' | 'wrap' | undefined;
}
/**
 * Pixel shuffle: C·size²×H×W → C×H·size×W·size, and the way back. Order 'channelFirst' (default; PyTorch's PixelShuffle,
 * ONNX's CRD): channel (c·size + i)·size + j of the deep tensor is pixel (i, j) of channel c; 'blockFirst' (ONNX's DCR):
 * channel (i·size + j)·C + c.
 */
export interface PixelShuffleNode extends NodeBase {
  kind: 'pixelShuffle' | 'pixelUnshuffle';
  size: number;
  order?: 'blockFirst' | 'channelFirst' | undefined;
}
/**
 * The elements of an example, row by row, as other channels and positions: each channel is a run of one channel of the input, or
 * whole channels of it one after the other. A vector can become anything.
 */
export interface ReshapeNode extends NodeBase {
  kind: 'reshape';
  /** A multiple or a divisor of the channels of the input. */
  channels: number;
  /** Sizes of up to three axes. Default []: none, a vector. */
  positions?: number[] | undefined;
}
/** Resizing without antialiasing. */
export interface ResizeNode extends NodeBase {
  kind: 'resize';
  /** Of the output: [height, width]. */
  size: [number, number];
  /** Default 'nearest'. */
  mode?: 'nearest' | 'linear' | undefined;
  /**
   * Where output position o lies in the input, with s = output / input: 'halfPixel' (o + ½)/s − ½ (PyTorch's
   * align_corners = false), 'alignCorners' o·(in − 1)/(out − 1), 'asymmetric' o/s (default; PyTorch's nearest).
   */
  coordinates?: 'halfPixel' | 'alignCorners' | 'asymmetric' | undefined;
  /** Of nearest; 'floor' (default), 'ceil', or to the nearest with halves going down or up. */
  rounding?: 'floor' | 'ceil' | 'halfDown' | 'halfUp' | undefined;
  /** s of the rows where it is not exactly output / input. Default 0: that ratio. */
  scaleHeight?: number | undefined;
  /** The same of the columns. */
  scaleWidth?: number | undefined;
}
/** Transposed convolution. Weight [O, I/groups, KH, KW]; output height (H − 1)·stride − 2·padding + dilation·(KH − 1) + outputPadding + 1. */
export interface ConvTranspose2dNode extends NodeBase {
  kind: 'convTranspose2d';
  outChannels: number;
  kernel: [number, number];
  /** Default [1, 1]. */
  stride?: [number, number] | undefined;
  /** Rows and columns taken off both sides of the output. Default [0, 0]. */
  padding?: [number, number] | undefined;
  /** Rows and columns added at the end, less than the stride. Default [0, 0]. */
  outputPadding?: [number, number] | undefined;
  /** Default [1, 1]. */
  dilation?: [number, number] | undefined;
  /** Divides input and output channels. Default 1. */
  groups?: number | undefined;
  /** Default true. */
  bias?: boolean | undefined;
  /** Learn a bit depth and an exponent per output channel. Default true. */
  compress?: boolean | undefined;
}
/**
 * Multi-head attention between its projections: inputs are queries, keys and values, each with its heads one after the
 * other; softmax(scale · q·k) of each head times the values.
 */
export interface AttentionNode extends NodeBase {
  kind: 'attention';
  heads: number;
  /** Heads of keys and values, a divisor of `heads`: each is shared by as many query heads. Default: `heads`. */
  keyHeads?: number | undefined;
  /** A query sees the keys up to its own position. Default false. */
  causal?: boolean | undefined;
  /** 0, the default: 1/√(channels of a head). It stays when dimensions are removed. */
  scale?: number | undefined;
  /** Channels of each key head (and of its queries), where they differ. Default []: equal ones. */
  headSizes?: number[] | undefined;
  /** Channels of values of each key head, where they differ. Default []: equal ones. */
  valueSizes?: number[] | undefined;
}
/** Rotary positions: pairs of channels of each head turned by position × base^(−2·pair/rotated). */
export interface RotaryNode extends NodeBase {
  kind: 'rotary';
  /** Channels of a head. */
  headSize: number;
  /** Of these, how many are turned, the first ones; even. Default: all. */
  rotated?: number | undefined;
  /** Default 10000. */
  base?: number | undefined;
  /** Pairs (2i, 2i + 1); if not, (i, i + rotated/2). Default false. */
  interleaved?: boolean | undefined;
  /** Default 0. */
  firstPosition?: number | undefined;
  /** Which of the original channels are there, ascending, after a removal. Default []: all. */
  channels?: number[] | undefined;
}
/**
 * The recurrent part of an LSTM (gates i, f, g, o) or a GRU (r, z, n) over the positions of a sequence. Its input has the
 * products of the layer's inputs: gate by gate, a channel for each unit; its output the units' hidden states, which start
 * at zero. Weight [gates·units, units] and bias [gates·units] of the recurrence; with `compress` bitDepth and exponent
 * [gates·units]. A unit is dead, and leaves from all gates, when its candidate (g, n) is zero: the input's channel, the row of the
 * weight and the bias.
 */
export interface LstmNode extends NodeBase {
  kind: 'lstm';
  /** From the last position to the first. Default false. */
  reverse?: boolean | undefined;
  /** Default true. */
  bias?: boolean | undefined;
  compress?: boolean | undefined;
}
/** See LstmNode. */
export interface GruNode extends NodeBase {
  kind: 'gru';
  /** From the last position to the first. Default false. */
  reverse?: boolean | undefined;
  /** Default true. */
  bias?: boolean | undefined;
  compress?: boolean | undefined;
  /** The hidden state is reset before its product, ONNX's linear_before_reset = 0. Default false, PyTorch's form. */
  resetFirst?: boolean | undefined;
}
/** A row of a table for every token of the network's input. Weight [dimensions, vocabulary]: a bit depth for each dimension. */
export interface EmbeddingNode extends NodeBase {
  kind: 'embedding';
  /** Channels of the output. */
  dimensions: number;
  /** Tokens are below it. */
  vocabulary: number;
  compress?: boolean | undefined;
}
/**
 * The output layer of a language model with the weights of its embedding: inputs are values of as many channels as the embedding has
 * dimensions, and an embedding that another node reads too. Output channel v is Σ_d weight[d, v] · channel d, at every position. Bit
 * depth and exponent are the embedding's; a dimension leaves from both at once. Not on CUDA devices.
 */
export interface UnembeddingNode extends NodeBase {
  kind: 'unembedding';
}
/**
 * A tensor of its own, the same for every example: learned positions, or anything else to add or multiply by. It has the
 * positions of its input, of which it reads nothing else, or one, to be broadcast. Weight [channels, positions].
 */
export interface ParameterNode extends NodeBase {
  kind: 'parameter';
  channels: number;
  /** Default 'all'. */
  positions?: 'all' | 'one' | undefined;
  compress?: boolean | undefined;
}
export interface DropoutNode extends NodeBase {
  kind: 'dropout';
  /** Probability of dropping an element, 0 ≤ p < 1. */
  probability: number;
}
export type NodeDescription =
  | Conv2dNode
  | LinearNode
  | BatchNormNode
  | ActivationNode
  | SigmoidNode
  | FunctionNode
  | HardSigmoidNode
  | LeakyReluNode
  | ClipNode
  | EluNode
  | AffineNode
  | PReluNode
  | ChannelNormNode
  | InstanceNormNode
  | GroupNormNode
  | SoftmaxNode
  | PoolNode
  | GlobalAveragePoolNode
  | FlattenNode
  | AddNode
  | MultiplyNode
  | ArithmeticNode
  | ConcatNode
  | MeanPositionsNode
  | MeanChannelsNode
  | GatherChannelsNode
  | ChannelShuffleNode
  | PadChannelsNode
  | SliceChannelsNode
  | SlicePositionsNode
  | PadNode
  | PixelShuffleNode
  | ReshapeNode
  | ResizeNode
  | ConvTranspose2dNode
  | AttentionNode
  | RotaryNode
  | LstmNode
  | GruNode
  | EmbeddingNode
  | UnembeddingNode
  | ParameterNode
  | DropoutNode;

/**
 * crossEntropy: of an example's label, or with `perPosition` of one at each position, whose channels are the classes; `classWeights`
 * [classes] weigh the classes, and the mean is over these weights. `labelSmoothing` s (0..1) acts in training alone: targets (1 − s)·onehot + s/classes,
 * as torch.nn.CrossEntropyLoss has it. The others compare every element z of the prediction with a target t of the data set,
 * and take the mean: (z − t)²; binaryCrossEntropy (several labels at once) of logits z with t in [0, 1]; l1: |z − t|; huber:
 * (z − t)² / 2 up to a distance of `delta` (default 1), beyond it delta·(|z − t| − delta / 2).
 */
export type OutputLossDescription =
  | { kind: 'crossEntropy'; labelSmoothing?: number; perPosition?: boolean; classWeights?: number[] }
  | { kind: 'meanSquaredError' | 'binaryCrossEntropy' | 'l1' }
  | { kind: 'huber'; delta?: number };

/**
 * sum: of a network with several outputs, Σ weight · loss over all of them, by name; weight 0..1e6, default 1. Labels of −1 do not count.
 */
export type LossDescription = OutputLossDescription | { kind: 'sum'; outputs: Record<string, OutputLossDescription & { weight?: number }> };

/** Channels, then sizes of 0 to 3 axes of positions: a vector, a sequence, an image (height, width), a volume. */
export type AxesSizes = [channels: number, ...positions: number[]];

/** One of several inputs or outputs. */
export interface TensorPart {
  name: string;
  axes: AxesSizes;
}

export interface NetworkDescription {
  /** Axes of the node named "input": [channels, height, width] for images. */
  input: AxesSizes;
  /**
   * Names and axes of several inputs (1 to 16), which lie behind one another in "input": where all have the same positions, by channels;
   * else "input" is a vector of all their elements, channels first. `NetworkBuilder.input` takes them apart. Not of tokens.
   */
  inputs?: TensorPart[] | undefined;
  /** Tokens are whole numbers that name rows of an embedding: input [1, length]. Default 'float'. */
  inputType?: 'float' | 'token' | undefined;
  /** In any order in which inputs come before their readers. */
  nodes: NodeDescription[];
  /** Node whose output is the prediction. */
  output: string;
  /** The same of several outputs, behind one another in the prediction. */
  outputs?: TensorPart[] | undefined;
}

export interface OptimizerDescription {
  kind: 'sgd' | 'adam' | 'adamw';
  /** sgd; default 0.9. */
  momentum?: number | undefined;
  /** sgd; default true when momentum > 0. */
  nesterov?: boolean | undefined;
  /** adam and adamw; defaults 0.9, 0.999. */
  beta1?: number | undefined;
  beta2?: number | undefined;
  /** adam and adamw, of weights, biases and norms; default 1e-8. */
  epsilon?: number | undefined;
  /** Of the weights of conv2d and linear nodes (biases and norms have none); default 0. */
  weightDecay?: number | undefined;
  /** Of bit depths and exponents: always Adam. Default 1e-3. */
  quantizerEpsilon?: number | undefined;
  /**
   * Train bit depth b and range e + b in place of b and e: when b falls the quantizer's steps grow, and no weight is clipped
   * that was not before. dL/db at a fixed range is dL/db - dL/de. Default false: b and e, as the paper has it.
   */
  keepRange?: boolean | undefined;
  /** Clip the norm of the gradient of weights, biases and norms together; default 0: off. */
  maxGradientNorm?: number | undefined;
}

/** What is different for one layer of a network in training. */
export interface LayerRule {
  /** Of a node. */
  name: string;
  /** Its weights, biases, bit depths and exponents stay as they are. Default false. */
  frozen?: boolean | undefined;
  /** Least bits of its channels, 0..mostBits; above 0 none of them dies. Default 0. */
  leastBits?: number | undefined;
  /** Most bits of its channels, up to 24. Default 24. */
  mostBits?: number | undefined;
  /** Only so many channels are removed that a multiple of this many is left. Default 1. */
  multipleOf?: number | undefined;
}

export interface NetworkOptions {
  /** Default 'auto'. A CUDA device that is not there is an Error that says what was looked for. */
  device?: Device | undefined;
  /** Default 'fp32'. One that the device does not have is an error. */
  precision?: Precision | undefined;
  /**
   * Most bytes of a CUDA device's memory that all networks of this process may hold together. Default 0: the value of
   * SELFCOMPRESS_CUDA_MEMORY (as in 8G), else no limit. Memory that cannot be had is an Error with the sizes, after which
   * everything else goes on as before. Networks on the CPU have no limit of their own.
   */
  memoryLimit?: number | undefined;
  loss: LossDescription;
  optimizer: OptimizerDescription;
  /**
   * Gradient of the size penalty: the paper's, or with what a channel's removal frees downstream, or that of the length of the
   * codes in the file (ops/rate.h), whose Rate then stands in the place of Q; a device that does not have it is an error.
   * Default 'own'.
   */
  penalty?: 'own' | 'coupled' | 'rate' | undefined;
  /** With 'rate': how much keeping a channel costs beside its codes. Default 1. */
  coupling?: number | undefined;
  /**
   * With 'rate': after so many steps in which all codes of a channel were zero its bit depth becomes 0. The state has a counter
   * `<node>.idle` of [channels] for each layer that compresses. Default 1000.
   */
  idleSteps?: number | undefined;
  /** 'layer': every live channel's gradient of e is the sum of its layer's, so that exponents that start alike stay alike. Default 'channel'. */
  exponents?: 'channel' | 'layer' | undefined;
  /** N of the size penalty: weights of the network before any removal. Default: the weights of this one. */
  originalWeights?: number | undefined;
  /** Largest batch of a step or evaluation. */
  batchSize: number;
  /** Per step, dead channels' biases and norm shifts shrink by this share. Default 0.05. */
  deadDecay?: number | undefined;
  /**
   * Decay of averages that are kept of all parameters, 0..0.999999: after step t average += (1 − d)·(parameter − average) with
   * d = min(ema, (1 + t) / (10 + t)), and 0 where the parameter is. evaluate, predict, measure and encodeModel are of the averages; the state has them
   * as `<parameter>/average`. Default 0: there are none.
   */
  ema?: number | undefined;
  /** Rules of single layers, at most one for each. */
  layers?: LayerRule[] | undefined;
  /** For losses that are all crossEntropy: what steps learn of the teacher that each of them is given then. Default: none. */
  distillation?: Distillation | undefined;
}

/** (1 − weight)·crossEntropy(labels) + weight·T²·KL(softmax(teacher/T) ‖ softmax(outputs/T)), T the temperature (Hinton et al. 2015). */
export interface Distillation {
  /** 0..1 */
  weight: number;
  /** 0.01..100 */
  temperature: number;
}

export type ParameterRole = 'weight' | 'bias' | 'normWeight' | 'normBias' | 'runningMean' | 'runningVar' | 'bitDepth' | 'exponent' | 'slope' | 'idle';

export interface ParameterInfo {
  /** `<node>.<role>`, with `weight` and `bias` for a norm's scale and shift. */
  name: string;
  node: string;
  role: ParameterRole;
  /** weight: [O, I/groups, KH, KW] or [outFeatures, inFeatures]; everything else: [channels]. */
  shape: number[];
  /** Optimizer moments kept beside it in the state: `<name>/moment1`, `<name>/moment2` (0, 1 or 2 of them), same shape. */
  moments: number;
}

/** One operator of the table that the native side reads everything from. */
export interface OperatorInfo {
  /** `kind` of a node. */
  kind: string;
  /** Least and most number of inputs. */
  inputs: [least: number, most: number];
  fields: FieldInfo[];
  /** Its weights count for the size of a network, and it may compress them. */
  hasWeights: boolean;
}
export interface FieldInfo {
  name: string;
  type: 'integer' | 'number' | 'boolean' | 'pair' | 'choice' | 'list';
  required: boolean;
  /** Of integers, numbers, both members of a pair and every integer of a list; inclusive. */
  low?: number | undefined;
  high?: number | undefined;
  default?: number | boolean | number[] | string | undefined;
  /** The field whose value is the default. */
  defaultField?: string | undefined;
  choices?: string[] | undefined;
}
/** The table of operators. */
export function operators(): OperatorInfo[];

/** What can be said of a description without compiling it; the same checks and errors as for `new Network`. */
export interface NetworkInspection {
  /** With every field of every node. */
  description: NetworkDescription;
  /** `moments` as with an optimizer that keeps two. */
  parameters: ParameterInfo[];
  /** Output axes of every node. */
  shapes: Record<string, AxesSizes>;
}
export function inspectNetwork(network: NetworkDescription): NetworkInspection;

/** What `prune` has removed. The output channels of a recurrent layer are the rows of its weight, one for each gate of a unit. */
export interface Pruned {
  /** Output channels removed from each layer with weights that lost some. */
  removed: Record<string, number>;
  /** Per layer with weights: which of its former output channels are left, ascending. */
  kept: Record<string, Int32Array>;
}

/**
 * A layer with weights. A weight counts while its output channel lives and the input that it reads does. The output channels of a
 * recurrent layer are the rows of its weight, one for each gate of a unit; they read the units.
 */
export interface LayerMeasure {
  name: string;
  kind: string;
  /** Live output channels. */
  channels: number;
  /** Live weights, and the bits that their integer codes need; a plain weight takes 32. NaN bits: a bit depth or exponent is no number. */
  weights: number;
  bits: number;
  /** [output channels]: bits of each code of a channel; 0: dead; −1: its bit depth or exponent is no number. */
  codeBits: Int32Array;
}

// ---------------------------------------------------------------------------------------------------------------------
// Model files

export type MetadataValue = string | number | boolean | number[] | string[];
/** Well-known keys (docs/model-file.md): name, task, labels, mean, std, classes; those of several inputs and outputs are the network's. */
export type Metadata = Record<string, MetadataValue | undefined>;

/** The bytes of a model file, version 2 (docs/model-file.md). Moments in the state are left out. */
export function encodeModelFile(args: { network: NetworkDescription; state: Record<string, Float32Array>; metadata?: Metadata }): Promise<Uint8Array>;
/**
 * The network of a model file, version 2; rejects for anything that is not a whole, unchanged one. Quantizing the weights again
 * gives the very codes of the file. A file that asks for more than `maxWeights` (default 2^28) or `maxNodes` (2^16) is refused.
 */
export function decodeModelFile(args: {
  bytes: Uint8Array;
  maxWeights?: number | undefined;
  maxNodes?: number | undefined;
}): Promise<{ network: NetworkDescription; state: Record<string, Float32Array>; metadata: Metadata }>;

/**
 * Codes [channels × inputs × places] of which some have become others that take fewer bits in the file: code i becomes v where
 * cost[i] · (v − code)² + `lambda` · bits(v) is least. Zeros stay, none changes its sign or leaves its channel's extremes.
 */
export function squeezeCodes(args: { codes: Int32Array; cost: Float32Array; channels: number; places: number; lambda: number }): Promise<Int32Array>;
/**
 * A model file with ranges in its metadata as one C99 file (docs/export.md); `name` is what its functions begin with (default
 * "network"), weights: 'packed' (default) in the bits of their codes, 'plain' a byte each. Rejects for what integers do not cover.
 */
export function exportC(args: { bytes: Uint8Array; name?: string | undefined; weights?: 'packed' | 'plain' | undefined }): Promise<string>;

// ---------------------------------------------------------------------------------------------------------------------
// Inference

/** A model file, version 2, ready to predict; made by `loadModelFile`. */
export class Model {
  private constructor();
  /** Axes of one input and one output: [channels, positions...]. */
  readonly input: AxesSizes;
  readonly output: AxesSizes;
  readonly metadata: Metadata;
  /** Instruction set of its kernels. */
  readonly isa: string;
  /** How many tokens the network knows; absent where it reads numbers. */
  readonly vocabulary?: number;
  /**
   * `count` inputs [count × channels × positions], normalised as in training → [count × output elements]. Results do not depend
   * on the number of threads. Tokens are whole numbers below `vocabulary`; RangeError else.
   */
  predict(images: Float32Array, count: number): Promise<Float32Array>;
  /** The same on the calling thread, which is blocked meanwhile. */
  predictSync(images: Float32Array, count: number): Float32Array;
  /** Bytes: of weights as they are kept, of weights that were unpacked to floats so far, of activations at one image. */
  memory(): { weightBytes: number; panelBytes: number; activationBytes: number };
  /**
   * The network one position after another, with weights of its own. Rejects for a network of numbers, and for one with nodes that have
   * to see the whole window (ERR_SELFCOMPRESS_MODEL_FILE; the error names them).
   */
  decoder(): Promise<Decoder>;
  /** Later calls fail with ERR_SELFCOMPRESS_DISPOSED; predictions under way end. */
  dispose(): void;
}

/**
 * A network of tokens in which no position sees a later one, one position after another: keys and values of attention and states of
 * recurrent layers are kept. Made by `Model.decoder`; does not end with the model.
 */
export class Decoder {
  private constructor();
  /** Tokens of a window. */
  readonly length: number;
  /** Numbers behind a position: channels of the output. */
  readonly outputs: number;
  /**
   * Tokens behind those that were seen before → what the network says behind the last of them, [outputs]; to rounding what `predict`
   * says there, the same bits for any division into calls. RangeError for unknown tokens and for more than the window has left;
   * nothing has been seen then.
   */
  next(tokens: Int32Array): Promise<Float32Array>;
  /** Forgets all tokens. */
  reset(): Promise<void>;
}

/**
 * Reads a model file, version 2, off the JavaScript thread; rejects for anything that is not a whole, unchanged one, or that the
 * engine does not run. Refused as well: more than `maxWeights` (default 2^28), `maxNodes` (2^16) or `maxActivationBytes` (2^32).
 * weights: 'unpacked' (default) keeps the weights as floats once they were used, 'packed' their codes alone, which saves memory and
 * costs time.
 */
export function loadModelFile(args: {
  bytes: Uint8Array;
  maxWeights?: number | undefined;
  maxNodes?: number | undefined;
  maxActivationBytes?: number | undefined;
  weights?: 'unpacked' | 'packed' | undefined;
  /** 'integer': values in codes of 8 bits by the ranges of the file's metadata (docs/integer.md). Default 'float'. */
  arithmetic?: 'float' | 'integer' | undefined;
}): Promise<Model>;

// ---------------------------------------------------------------------------------------------------------------------
// Networks in training

/** What changes from step to step. */
export interface StepSettings {
  /** Number of this step, counted from 1: Adam's bias correction and the random numbers depend on it. */
  step: number;
  /** Of augmentation and dropout; 0..2^53−1. */
  seed: number;
  /** Factor of the size penalty, ≥ 0. */
  gamma: number;
  /** Of weights, biases and norms. */
  learningRate: number;
  /** Of bit depths and of exponents; 0 freezes them. */
  bitDepthLearningRate: number;
  exponentLearningRate: number;
  augmentation?: Augmentation | undefined;
  /**
   * A network whose outputs for the images of the step, augmented in the same way, are the targets in place of those
   * of the data, for a loss that compares with targets, or beside the labels with `distillation`, which needs it. `gradients` does not
   * take it.
   */
  teacher?: Network | undefined;
}

/** Of one of several outputs: its own loss, without its weight in their sum. */
export interface OutputResult {
  loss: number;
  weight: number;
  correct: number;
  count: number;
  topFive: number;
}

export interface StepResult {
  /** Mean of the task loss over the batch, without the penalty. Not finite: the parameters are spoilt. */
  loss: number;
  /** What the mean was taken over: images, or positions that count, times the weights of their classes. */
  weight: number;
  /** Images, or positions that count, classified correctly (0 for losses without classes). */
  correct: number;
  /** Of images, or positions that count. */
  count: number;
  /** Q at this step: mean bits per original weight, live input channels only (plain weights count 32). */
  bitsPerWeight: number;
  /** Norm of the gradient if maxGradientNorm is set, else 0. */
  gradientNorm: number;
  /** With the loss 'sum', by name; `correct` and `count` are those of all outputs with classes then, `weight` the examples. */
  outputs?: Record<string, OutputResult>;
}

export interface EvaluationResult {
  /** Mean over the images, or over the positions that count. */
  loss: number;
  correct: number;
  /** Of images, or positions that count. */
  count: number;
  /** Positions whose label is among the five largest outputs; 0 where examples have one label. */
  topFive: number;
  outputs?: Record<string, OutputResult>;
}

export interface MemoryReport {
  /** Parameters, gradients and optimizer moments. */
  parameterBytes: number;
  /** Activations, their gradients and scratch, after buffers are shared by lifetime. */
  activationBytes: number;
  /** The same if nothing were shared. */
  activationBytesUnshared: number;
}

/** An operation of a backend in a compiled program. */
export interface PlanOperation {
  /** Such as 'Conv2dForward': native/include/selfcompress/ops/ has the equations. */
  operation: string;
  /** Part of the step that it belongs to; they follow one another in this order. */
  section: 'states' | 'input' | 'forward' | 'loss' | 'backward' | 'update';
  /** Name of the node that it computes, null: of the whole step. */
  node: string | null;
  /** Of an image or a vector, as in '1x28x28 -> 32x24x24, 5x5'; else the number of elements. */
  shape: string;
  /**
   * What it does on the way: 'quantizer'; 'ReLU', 'clipping', 'leaky ReLU', 'hard-swish' or 'SiLU' (that stands behind it; in backward its
   * gradient); 'ReLU mask' (of a ReLU before it); 'moments'; 'accumulate'.
   */
  epilogues: string[];
  /** Indices of the buffers that it reads or writes; parameters and what else lives outside of the arena is not among them. */
  buffers: number[];
  /** Parts of the batch that it reads. */
  batch: string[];
  /** Of a whole batch, all channels live; 0: it is not a product. */
  multiplyAdds: number;
}
export interface PlanBuffer {
  bytes: number;
  /** Its place in the arena. */
  offset: number;
  /** The first and the last operation that touch it, −1 for none; the number of operations: it is kept to the end. */
  first: number;
  last: number;
}
/** The program that a network was compiled to. */
export interface StepPlan {
  operations: PlanOperation[];
  buffers: PlanBuffer[];
  /** Of the buffers, with those in one place that are not needed at the same time, and one after the other. */
  arenaBytes: number;
  unsharedBytes: number;
  multiplyAdds: number;
}

/**
 * A network compiled for one device and batch size. `prune` compiles it anew without its dead channels; everything else keeps
 * its shapes.
 */
export class Network {
  /**
   * Checks the description completely; errors name the node. Parameters start at zero. The network is compiled, and its memory
   * asked for, on the native thread when it is first needed: where memory runs out, calls reject. A network has at most 2²²
   * channels, those of all its tensors together.
   */
  constructor(description: NetworkDescription, options: NetworkOptions);
  /** Backend in use, e.g. "cpu/avx2" or "cuda/NVIDIA H100 80GB HBM3/bf16". */
  readonly backend: string;
  /** With every field of every node. This and the next two change when a promise of `prune` is fulfilled. */
  readonly description: NetworkDescription;
  readonly parameters: ParameterInfo[];
  /** Output axes of every node. */
  readonly shapes: Record<string, AxesSizes>;
  /** Copies of all parameters and moments, by name. */
  state(): Promise<Record<string, Float32Array>>;
  /** Overwrites the named parameters and moments; others stay. Unknown names and wrong lengths are errors and nothing is changed. */
  loadState(state: Record<string, Float32Array>): Promise<void>;
  /**
   * One step of training on the images `indices` (1..batchSize of them): gather, forward, backward, penalty, update.
   * Steps may be queued without waiting; they run in order.
   */
  trainStep(data: DataSet, indices: Int32Array, settings: StepSettings): Promise<StepResult>;
  /** Loss and accuracy in evaluation mode on the images `indices`, any number of them. */
  evaluate(data: DataSet, indices: Int32Array): Promise<EvaluationResult>;
  /** Evaluation mode on `count` images [count × C × H × W], already normalised → [count × features]. */
  predict(images: Float32Array, count: number): Promise<Float32Array>;
  /** The same on `count` rows of tokens [count × length]. */
  predict(tokens: Int32Array, count: number): Promise<Float32Array>;
  /**
   * Gradients of loss + gamma·Q in training mode at the present parameters, by parameter name, without an update; for
   * tests and for analysis. Running statistics are not changed.
   */
  gradients(data: DataSet, indices: Int32Array, settings: StepSettings): Promise<Record<string, Float32Array>>;
  /**
   * Removes dead channels from weights, biases, norms, moments and everything that reads them, without a change of the network's
   * function. null: there is nothing to remove.
   */
  prune(): Promise<Pruned | null>;
  /** Sizes of all layers with weights, in the order of the network. */
  measure(): Promise<LayerMeasure[]>;
  /** What the network takes once it is compiled. */
  memory(): Promise<MemoryReport>;
  /** The program of a step, or that of an evaluation, for a whole batch. */
  plan(which: 'training' | 'evaluation'): Promise<StepPlan>;
  /** The bytes of a model file of the network as it is now. */
  encodeModel(metadata?: Metadata): Promise<Uint8Array>;
  /** Frees native memory once queued work is done; later calls reject. Also happens when collected. */
  dispose(): Promise<void>;
}

// ---------------------------------------------------------------------------------------------------------------------
// Raw operations on plain arrays. Equations are in native/include/selfcompress/ops/*.h. Each is there a second time with Sync
// behind its name (below).

export interface QuantizeArguments {
  /** [channels × perChannel] */
  weight: Float32Array;
  /** [channels] */
  bitDepth: Float32Array;
  /** [channels] */
  exponent: Float32Array;
}
/**
 * Writes q(w, b, e) to `output` (may be `weight`), for every finite e. A channel with b ≤ 0 is 0; one with another b that is no
 * number, or an e that is not finite, is NaN.
 */
export function quantizeForward(args: QuantizeArguments & { output: Float32Array }): Promise<void>;
/** One pass: gradients of w, b and e from ∂L/∂q, with `penalty` [channels] added to ∂L/∂b. `gradWeight` may be `gradOutput`. */
export function quantizeBackward(
  args: QuantizeArguments & {
    gradOutput: Float32Array;
    penalty?: Float32Array | undefined;
    gradWeight: Float32Array;
    gradBitDepth: Float32Array;
    gradExponent: Float32Array;
  },
): Promise<void>;
/**
 * Integer codes of the weights, and per channel the bits of the shortest two's complement integer that holds them; 0 and −1 for a
 * channel whose b or e is no number.
 */
export function quantizeCodes(args: QuantizeArguments & { codes: Int32Array; codeBits: Int32Array }): Promise<void>;

/** Of images in memory: [batch, channels, height, width], the default, or [batch, height, width, channels] as TensorFlow has them. */
export type ImageLayout = 'nchw' | 'nhwc';

export interface Conv2dGeometry {
  /** With `nhwc` weights are [KH, KW, C/groups, O] and gradients of weights too. */
  layout?: ImageLayout | undefined;
  batch: number;
  inChannels: number;
  height: number;
  width: number;
  outChannels: number;
  kernel: [number, number];
  stride?: [number, number] | undefined;
  padding?: [number, number] | undefined;
  /** Zeros below and right of the image; default: as `padding`, which then is above and left. */
  paddingEnd?: [number, number] | undefined;
  dilation?: [number, number] | undefined;
  groups?: number | undefined;
}
export interface LiveChannels {
  /** Ascending input channels to read; the others count as zero. Default: all. */
  liveIn?: Int32Array | undefined;
  /** Ascending output channels to compute; the others are written as zero. Default: all. */
  liveOut?: Int32Array | undefined;
}
/** output [N,O,OH,OW] = input [N,C,H,W] ⋆ weight [O,C/groups,KH,KW] + bias [O]. */
export function conv2dForward(
  args: Conv2dGeometry & LiveChannels & { input: Float32Array; weight: Float32Array; bias?: Float32Array; relu?: boolean; output: Float32Array },
): Promise<void>;
export function conv2dGradInput(
  args: Conv2dGeometry & LiveChannels & { gradOutput: Float32Array; weight: Float32Array; gradInput: Float32Array },
): Promise<void>;
export function conv2dGradWeight(
  args: Conv2dGeometry & LiveChannels & { input: Float32Array; gradOutput: Float32Array; gradWeight: Float32Array; gradBias?: Float32Array },
): Promise<void>;

export interface ImageShape {
  batch: number;
  channels: number;
  height: number;
  width: number;
}
export function batchNormForward(
  args: ImageShape & {
    layout?: ImageLayout | undefined;
    training: boolean;
    epsilon?: number | undefined;
    momentum?: number | undefined;
    input: Float32Array;
    weight?: Float32Array | undefined;
    bias?: Float32Array | undefined;
    runningMean: Float32Array;
    runningVar: Float32Array;
    /** [channels]; required when training. */
    savedMean?: Float32Array | undefined;
    savedInvStd?: Float32Array | undefined;
    output: Float32Array;
  },
): Promise<void>;
export function batchNormBackward(
  args: ImageShape & {
    layout?: ImageLayout | undefined;
    input: Float32Array;
    gradOutput: Float32Array;
    weight?: Float32Array | undefined;
    savedMean: Float32Array;
    savedInvStd: Float32Array;
    gradInput: Float32Array;
    gradWeight?: Float32Array | undefined;
    gradBias?: Float32Array | undefined;
  },
): Promise<void>;
/** Element by element, in any layout; `alpha` and `beta` (default 0) as native/include/selfcompress/ops/activation.h has them. */
export interface ActivationArguments extends ImageShape {
  kind:
    | 'relu'
    | 'gelu'
    | 'silu'
    | 'geluTanh'
    | 'sigmoid'
    | 'tanh'
    | 'hardSigmoid'
    | 'hardSwish'
    | 'leakyRelu'
    | 'clip'
    | 'elu'
    | 'softplus'
    | 'exp'
    | 'log'
    | 'sqrt'
    | 'abs'
    | 'square'
    | 'reciprocal'
    | 'affine';
  alpha?: number | undefined;
  beta?: number | undefined;
}
export function activationForward(args: ActivationArguments & { input: Float32Array; output: Float32Array }): Promise<void>;
export function activationBackward(
  args: ActivationArguments & { input: Float32Array; gradOutput: Float32Array; gradInput: Float32Array },
): Promise<void>;

export interface PoolGeometry extends ImageShape {
  layout?: ImageLayout | undefined;
  kind: 'max' | 'average';
  kernel: [number, number];
  stride?: [number, number] | undefined;
  padding?: [number, number] | undefined;
  /** Below and right of the image, where that differs from `padding`; of `max` alone. */
  paddingEnd?: [number, number] | undefined;
  countIncludePad?: boolean | undefined;
}
export function poolForward(args: PoolGeometry & { input: Float32Array; output: Float32Array }): Promise<void>;
export function poolBackward(args: PoolGeometry & { input: Float32Array; gradOutput: Float32Array; gradInput: Float32Array }): Promise<void>;

/**
 * output [batch, rows, columns] = A B + bias, negative values set to 0 with `relu`. `a` holds A [batch, rows, inner], or with
 * `transposeA` [batch, inner, rows]; `b` holds B [batch, inner, columns], or [batch, columns, inner]. One matrix in place of `batch`
 * of them serves the whole batch.
 */
export function matmul(args: {
  batch?: number | undefined;
  rows: number;
  inner: number;
  columns: number;
  transposeA?: boolean | undefined;
  transposeB?: boolean | undefined;
  a: Float32Array;
  b: Float32Array;
  /** [columns] */
  bias?: Float32Array | undefined;
  relu?: boolean | undefined;
  output: Float32Array;
}): Promise<void>;

/**
 * output [rows, columns] = a op b for arrays in any layout: b is as large as a, a row [columns] for all rows, or one number. With
 * `reversed` b op a. `output` may be `a`.
 */
export function elementwise(args: {
  kind: 'add' | 'subtract' | 'multiply' | 'divide';
  rows: number;
  columns: number;
  reversed?: boolean | undefined;
  a: Float32Array;
  b: Float32Array;
  output: Float32Array;
}): Promise<void>;
/** output [columns] = sum of input [rows, columns] over its rows, added in double. */
export function sumOfRows(args: { rows: number; columns: number; input: Float32Array; output: Float32Array }): Promise<void>;

/** Mean loss over the batch; writes ∂L/∂logits if `gradLogits` is given. logits [batch × classes]. */
export function crossEntropy(args: {
  batch: number;
  classes: number;
  labelSmoothing?: number | undefined;
  logits: Float32Array;
  labels: Int32Array;
  gradLogits?: Float32Array | undefined;
}): Promise<{ loss: number; correct: number }>;
/** output, target [batch × features]. */
export function meanSquaredError(args: {
  batch: number;
  features: number;
  output: Float32Array;
  target: Float32Array;
  gradOutput?: Float32Array | undefined;
}): Promise<{ loss: number }>;

/** One update in place. Equations in native/include/selfcompress/ops/optimizer.h. */
export function optimizerStep(args: {
  kind: 'sgd' | 'adam' | 'adamw';
  parameter: Float32Array;
  gradient: Float32Array;
  moment1: Float32Array;
  /** Required for adam and adamw. */
  moment2?: Float32Array | undefined;
  /** t, counted from 1. */
  step: number;
  learningRate: number;
  momentum?: number | undefined;
  nesterov?: boolean | undefined;
  beta1?: number | undefined;
  beta2?: number | undefined;
  epsilon?: number | undefined;
  weightDecay?: number | undefined;
}): Promise<void>;

// The raw operations on the calling thread, with all cores, done when they return: for callers that cannot wait for a promise. They do
// not wait for queued work, and hold the event loop for as long as they take.
/** @internal */
type Synchronous<Operation> = Operation extends (args: infer Arguments) => Promise<infer Result> ? (args: Arguments) => Result : never;
export const quantizeForwardSync: Synchronous<typeof quantizeForward>;
export const quantizeBackwardSync: Synchronous<typeof quantizeBackward>;
export const quantizeCodesSync: Synchronous<typeof quantizeCodes>;
export const conv2dForwardSync: Synchronous<typeof conv2dForward>;
export const conv2dGradInputSync: Synchronous<typeof conv2dGradInput>;
export const conv2dGradWeightSync: Synchronous<typeof conv2dGradWeight>;
export const batchNormForwardSync: Synchronous<typeof batchNormForward>;
export const batchNormBackwardSync: Synchronous<typeof batchNormBackward>;
export const activationForwardSync: Synchronous<typeof activationForward>;
export const activationBackwardSync: Synchronous<typeof activationBackward>;
export const poolForwardSync: Synchronous<typeof poolForward>;
export const poolBackwardSync: Synchronous<typeof poolBackward>;
export const matmulSync: Synchronous<typeof matmul>;
export const elementwiseSync: Synchronous<typeof elementwise>;
export const sumOfRowsSync: Synchronous<typeof sumOfRows>;
export const crossEntropySync: Synchronous<typeof crossEntropy>;
export const meanSquaredErrorSync: Synchronous<typeof meanSquaredError>;
export const optimizerStepSync: Synchronous<typeof optimizerStep>;
