/** Convolutions, their gradients and those of single channels, on native code. */
import { backend_util, type TensorInfo } from '@tensorflow/tfjs-core';
import { binding, type Conv2dGeometry } from '../binding.js';
import { activated, type FusedActivation, isWithin } from './activation.js';
import { areFloats, type KernelCall, type OwnKernel, sizeOf } from './backend.js';
import { windowOf } from './windows.js';

type Dilations = number | [number, number];
interface ConvolutionAttributes {
  strides: Dilations;
  pad: Parameters<typeof backend_util.computeConv2DInfo>[4];
  dataFormat?: 'NHWC' | 'NCHW';
  dilations?: Dilations;
  dimRoundingMode?: 'floor' | 'round' | 'ceil';
}
type Shape4 = [number, number, number, number];
interface Convolution {
  geometry: Conv2dGeometry;
  outShape: number[];
}

/** undefined: it is none that native code takes. Images with channels first are left to the CPU backend. */
function convolutionOf(x: number[], filter: number[], attrs: ConvolutionAttributes, depthwise: boolean): Convolution | undefined {
  if (attrs.dataFormat === 'NCHW') return undefined;
  const { strides, pad, dimRoundingMode } = attrs;
  const info = backend_util.computeConv2DInfo(x as Shape4, filter as Shape4, strides, attrs.dilations ?? 1, pad, dimRoundingMode, depthwise);
  const window = windowOf(info);
  if (window === undefined || (!depthwise && info.inChannels !== filter[2])) return undefined;
  return {
    outShape: info.outShape,
    geometry: {
      layout: 'nhwc',
      batch: info.batchSize,
      inChannels: info.inChannels,
      height: info.inHeight,
      width: info.inWidth,
      outChannels: info.outChannels,
      dilation: [info.dilationHeight, info.dilationWidth],
      groups: depthwise ? info.inChannels : 1,
      ...window,
    },
  };
}

function forward(call: KernelCall<'x' | 'filter' | 'bias', ConvolutionAttributes>, depthwise: boolean, relu = false): TensorInfo | undefined {
  const { x, filter, bias } = call.inputs;
  if (!areFloats(x, filter, bias)) return undefined;
  const convolution = convolutionOf(x.shape, filter.shape, call.attrs, depthwise);
  if (convolution === undefined || (bias !== undefined && sizeOf(bias.shape) !== convolution.geometry.outChannels)) return undefined;
  const output = new Float32Array(sizeOf(convolution.outShape));
  binding.conv2dForwardSync({
    ...convolution.geometry,
    input: call.backend.floats(x),
    weight: call.backend.floats(filter),
    ...(bias === undefined ? {} : { bias: call.backend.floats(bias) }),
    relu,
    output,
  });
  return call.backend.output(convolution.outShape, output);
}

type FusedCall = KernelCall<'x' | 'filter' | 'bias' | 'preluActivationWeights', ConvolutionAttributes & FusedActivation>;
function fused(call: FusedCall, depthwise: boolean): TensorInfo | undefined {
  const result = forward(call, depthwise, isWithin(call.attrs));
  return result && activated(call.backend, result, call.attrs, call.inputs.preluActivationWeights);
}

type InputGradientCall = KernelCall<'dy' | 'filter', ConvolutionAttributes & { inputShape: number[] }>;
function gradInput(call: InputGradientCall, depthwise: boolean): TensorInfo | undefined {
  const { dy, filter } = call.inputs;
  if (!areFloats(dy, filter)) return undefined;
  const { inputShape } = call.attrs;
  const convolution = convolutionOf(inputShape, filter.shape, call.attrs, depthwise);
  if (convolution === undefined || sizeOf(convolution.outShape) !== sizeOf(dy.shape)) return undefined;
  const output = new Float32Array(sizeOf(inputShape));
  binding.conv2dGradInputSync({
    ...convolution.geometry,
    gradOutput: call.backend.floats(dy),
    weight: call.backend.floats(filter),
    gradInput: output,
  });
  return call.backend.output(inputShape, output);
}

type FilterGradientCall = KernelCall<'x' | 'dy', ConvolutionAttributes & { filterShape: number[] }>;
function gradFilter(call: FilterGradientCall, depthwise: boolean): TensorInfo | undefined {
  const { x, dy } = call.inputs;
  if (!areFloats(x, dy)) return undefined;
  const { filterShape } = call.attrs;
  const convolution = convolutionOf(x.shape, filterShape, call.attrs, depthwise);
  if (convolution === undefined || sizeOf(convolution.outShape) !== sizeOf(dy.shape)) return undefined;
  const output = new Float32Array(sizeOf(filterShape));
  binding.conv2dGradWeightSync({
    ...convolution.geometry,
    input: call.backend.floats(x),
    gradOutput: call.backend.floats(dy),
    gradWeight: output,
  });
  return call.backend.output(filterShape, output);
}

export const convolutionKernels: OwnKernel[] = [
  { name: 'Conv2D', run: (call) => forward(call, false) },
  { name: 'FusedConv2D', run: (call) => fused(call, false) },
  { name: 'Conv2DBackpropInput', run: (call) => gradInput(call, false) },
  { name: 'Conv2DBackpropFilter', run: (call) => gradFilter(call, false) },
  { name: 'DepthwiseConv2dNative', run: (call) => forward(call, true) },
  { name: 'FusedDepthwiseConv2D', run: (call) => fused(call, true) },
  { name: 'DepthwiseConv2dNativeBackpropInput', run: (call) => gradInput(call, true) },
  { name: 'DepthwiseConv2dNativeBackpropFilter', run: (call) => gradFilter(call, true) },
];
