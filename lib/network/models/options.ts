/** What every named model takes, and how wide its layers become. */
export interface ModelOptions {
  /** [channels, height, width] of an image. */
  input: [number, number, number];
  /** Outputs of the last layer. */
  classes: number;
  /** Learn bit depths and exponents in every weight layer; false: the same network, plain. Default true. */
  compress?: boolean | undefined;
  /** Factor of the channels of all hidden layers, above 0. Default 1: the published network. */
  width?: number | undefined;
}

/** The number of channels at a width factor: the nearest integer to the product, at least 1. */
export function channelsAt(width = 1): (channels: number) => number {
  return (channels) => Math.max(1, Math.round(channels * width));
}
