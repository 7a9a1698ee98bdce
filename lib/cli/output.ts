/** Standard output that cannot be written (a full disk, a reader that went away) is reported once and does not end a run. */

let broken = false;

function report(error: NodeJS.ErrnoException): void {
  if (broken) return;
  broken = true;
  process.exitCode = 1;
  const why = { EPIPE: 'its reader has gone away', ENOSPC: 'the disk is full' }[error.code ?? ''] ?? error.message;
  process.stderr.write(`selfcompress: standard output cannot be written: ${why}. The work goes on without it; the exit status will be 1.\n`);
}

/** Handles the errors of both streams, those that are thrown by `write` (files) and those that come later (pipes). */
export function guardOutput(): void {
  process.stderr.on('error', () => {}); // there is nowhere to report it
  process.stdout.on('error', report);
  const write = process.stdout.write.bind(process.stdout) as (...args: unknown[]) => boolean;
  process.stdout.write = ((...args: unknown[]) => {
    if (broken) return true;
    try {
      return write(...args);
    } catch (error) {
      report(error as NodeJS.ErrnoException);
      return true;
    }
  }) as typeof process.stdout.write;
}

/** Whether a part of the output has been lost. */
export const outputIsBroken = (): boolean => broken;
