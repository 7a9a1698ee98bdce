/** Signals that ask a run to end: the first one ends it at a point that can be resumed, the second one at once. */

/** Exit status by signal: 128 and its number, as shells have it. */
const STATUS = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const;
type EndSignal = keyof typeof STATUS;

export interface EndSignals {
  /** Status to end with, once a signal has come. */
  readonly status: number | undefined;
  /** What the first signal does from now on, in place of ending the process. */
  onFirst(stop: () => void): void;
  /** Leaves signals to Node.js again. */
  detach(): void;
}

export function watchEndSignals(): EndSignals {
  let status: number | undefined;
  let stop: (() => void) | undefined;
  const onSignal = (signal: EndSignal) => {
    if (status !== undefined || !stop) process.exit(STATUS[signal]);
    status = STATUS[signal];
    stop();
  };
  const names = Object.keys(STATUS) as EndSignal[];
  for (const name of names) process.on(name, onSignal);
  return {
    get status() {
      return status;
    },
    onFirst(action) {
      stop = action;
    },
    detach() {
      for (const name of names) process.off(name, onSignal);
    },
  };
}
