/** Long loops over data in slices, so that the event loop turns between them. One text serves both ways of running it. */

/** Work that says `yield` now and then, and returns its result. */
export type Steps<T> = Generator<void, T, void>;

/** Elements between two `yield`s of a loop over numbers: well under a millisecond. */
export const SLICE = 1 << 16;

/** Runs the work at once, for callers that may not wait. */
export function runNow<T>(steps: Steps<T>): T {
  for (;;) {
    const { done, value } = steps.next();
    if (done) return value;
  }
}

/** Runs the work in slices of about 2 ms; timers, sockets and promises of others get their turn in between. */
export async function runPaced<T>(steps: Steps<T>): Promise<T> {
  const rest = pauses();
  for (;;) {
    const { done, value } = steps.next();
    if (done) return value;
    await rest();
  }
}

/** A function to await inside of a long asynchronous loop: lets the event loop turn when 2 ms have passed since it last did. */
export function pauses(milliseconds = 2): () => Promise<void> | undefined {
  let since = performance.now();
  return () => {
    if (performance.now() - since < milliseconds) return undefined;
    return new Promise((resolve) =>
      setImmediate(() => {
        since = performance.now();
        resolve();
      }),
    );
  };
}
