/** What the program says: results on standard output, everything else on standard error, as much of it as the user wants. */
let level: 'quiet' | 'normal' | 'verbose' = 'normal';

/** As `--quiet` and `--verbose` say; of both, `--quiet`. */
export function setVoice({ quiet, verbose }: { quiet?: boolean; verbose?: boolean }): void {
  level = quiet ? 'quiet' : verbose ? 'verbose' : 'normal';
}

export const isQuiet = (): boolean => level === 'quiet';
export const isVerbose = (): boolean => level === 'verbose' || Boolean(process.env.SELFCOMPRESS_DEBUG);

/** What was asked for. */
export const result = (text: string): void => void process.stdout.write(`${text}\n`);

/** What happens. */
export function note(text: string): void {
  if (!isQuiet()) process.stderr.write(`${text}\n`);
}

/** What happens, for those who want to know it all. */
export function detail(text: string): void {
  if (isVerbose() && !isQuiet()) process.stderr.write(`${text}\n`);
}
