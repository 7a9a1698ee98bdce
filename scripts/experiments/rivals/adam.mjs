/** Values that Adam moves along a gradient (Kingma & Ba 2015), which the caller fills before each step. */
export class Trained {
  /** @param rate learning rate, before the schedule's factor */
  constructor(values, rate) {
    Object.assign(this, { values, rate, gradient: new Float32Array(values.length), steps: 0 });
    this.mean = new Float32Array(values.length);
    this.square = new Float32Array(values.length);
  }

  step(factor) {
    const { values, gradient, mean, square } = this;
    this.steps++;
    const first = 1 - 0.9 ** this.steps;
    const second = 1 - 0.999 ** this.steps;
    const rate = this.rate * factor;
    for (let i = 0; i < values.length; i++) {
      const g = gradient[i];
      mean[i] += 0.1 * (g - mean[i]);
      square[i] += 0.001 * (g * g - square[i]);
      values[i] -= (rate * mean[i]) / first / (Math.sqrt(square[i] / second) + 1e-8);
    }
  }
}

/** Uniform numbers in [0, 1), repeatable from the seed (mulberry32). */
export function randomFrom(seed) {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}
