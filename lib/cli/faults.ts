/** How errors end the program: exit status, and names as the user typed them. */
import { type Command, CommanderError } from 'commander';

/** A command line that makes no sense. */
export class UsageError extends Error {}

/** 2: the command line is wrong, or an option of it by the library's judgement; 1: it is right, but what it asks for failed. */
export function exitStatus(error: unknown, command: Command | undefined): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
  if (error instanceof UsageError) return 2;
  const isArgument = error instanceof Error && (error as { code?: unknown }).code === 'ERR_SELFCOMPRESS_ARGUMENT';
  return isArgument && asTyped(error.message, command) !== error.message ? 2 : 1;
}

/** Options whose names in the library are no relatives of those on the command line. */
const typed: Record<string, string> = {
  learningRate: 'lr',
  'schedule.kind': 'schedule',
  'schedule.warmup': 'warmup',
  'schedule.final': 'final',
  'optimizer.kind': 'optimizer',
  'optimizer.beta2': 'beta2',
  'optimizer.weightDecay': 'weight-decay',
  'optimizer.maxGradientNorm': 'clip',
  'bits.initial': 'bits',
  'bits.start': 'bits-start',
  'bits.exponents': 'exponents',
  'bits.learningRate': 'bits-lr',
  'bits.exponentLearningRate': 'exponent-lr',
  'bits.schedule.kind': 'bits-schedule',
  'bits.freezeAt': 'freeze-at',
  'bits.keepRange': 'keep',
  augmentation: 'augment',
  'augmentation.shift': 'augment',
  'augmentation.cutout': 'augment',
  'augmentation.flip': 'augment',
  'augmentation.rotate': 'augment',
  'augmentation.scale': 'augment',
  'augmentation.colour': 'augment',
  'augmentation.mixup': 'augment',
  'augmentation.cutmix': 'augment',
};

const kebab = (name: string) => name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

/** The option of `command` that the library's argument `name` was read from, if there is one. */
function optionOf(command: Command, name: string): string | undefined {
  const plain = name.replace(/^(options|changes)\./, '');
  const long = `--${typed[plain] ?? kebab(plain)}`;
  return command.options.some((option) => option.long === long) ? long : undefined;
}

/** `Expected … for options.learningRate but …` → `Expected … for --lr but …` */
export function asTyped(message: string, command: Command | undefined): string {
  if (!command) return message;
  return message.replace(/\bfor ([a-z]\w*(?:\.[a-z]\w*)*) but received/gi, (all, name: string) => {
    const option = optionOf(command, name);
    return option ? `for ${option} but received` : all;
  });
}
