/** Windows of convolutions and poolings: TensorFlow's geometry as that of the native operations. */
import type { backend_util } from '@tensorflow/tfjs-core';

export interface Window {
  kernel: [number, number];
  stride: [number, number];
  padding: [number, number];
  paddingEnd: [number, number];
}

/** What is added at the end of an axis so that exactly `out` windows fit; undefined: it can't be had. */
function paddingAtEnd(size: number, kernel: number, stride: number, dilation: number, begin: number, out: number): number | undefined {
  const extent = dilation * (kernel - 1) + 1;
  const end = Math.max(0, (out - 1) * stride + extent - size - begin);
  return out > 0 && begin >= 0 && Math.floor((size + begin + end - extent) / stride) + 1 === out ? end : undefined;
}

type Info = Pick<
  backend_util.Conv2DInfo,
  | 'inHeight'
  | 'inWidth'
  | 'outHeight'
  | 'outWidth'
  | 'filterHeight'
  | 'filterWidth'
  | 'strideHeight'
  | 'strideWidth'
  | 'dilationHeight'
  | 'dilationWidth'
  | 'padInfo'
>;

export function windowOf(info: Info): Window | undefined {
  const { top, left } = info.padInfo;
  const bottom = paddingAtEnd(info.inHeight, info.filterHeight, info.strideHeight, info.dilationHeight, top, info.outHeight);
  const right = paddingAtEnd(info.inWidth, info.filterWidth, info.strideWidth, info.dilationWidth, left, info.outWidth);
  if (bottom === undefined || right === undefined) return undefined;
  return {
    kernel: [info.filterHeight, info.filterWidth],
    stride: [info.strideHeight, info.strideWidth],
    padding: [top, left],
    paddingEnd: [bottom, right],
  };
}
