/** Help with the options of a command in groups, and examples. */
import type { Command, Help, Option } from 'commander';

/** Groups of the options of `train`, by their long names; what is in none comes under "Other options". */
const trainGroups: Record<string, string[]> = {
  Network: ['model', 'width', 'tied', 'from', 'map', 'start', 'plain'],
  Data: ['dataset', 'data-dir', 'length', 'tokenizer', 'mean', 'std', 'image-size', 'limit', 'validation', 'split-seed', 'augment'],
  Training: [
    'epochs',
    'steps-per-epoch',
    'batch-size',
    'lr',
    'schedule',
    'warmup',
    'final',
    'optimizer',
    'beta2',
    'weight-decay',
    'clip',
    'label-smoothing',
    'teacher',
    'teacher-weight',
    'temperature',
    'ema',
    'seed',
  ],
  Size: [
    'gamma',
    'gamma-warmup',
    'penalty',
    'coupling',
    'bias-bits',
    'bits',
    'bits-lr',
    'exponent-lr',
    'bits-start',
    'bits-schedule',
    'exponents',
    'freeze-at',
    'keep',
    'layer',
  ],
  Targets: ['target-size', 'target-bits', 'target-drop', 'reference', 'stop-bits', 'stop-weights', 'stop-accuracy'],
  Machine: ['threads', 'device', 'precision', 'memory-limit'],
  Run: ['out', 'force', 'resume', 'checkpoint-every', 'config', 'dashboard', 'tensorboard'],
  Output: ['json', 'quiet', 'verbose', 'help'],
};

const groups: Record<string, Record<string, string[]>> = { train: trainGroups };

const examples: Record<string, string[]> = {
  selfcompress: ['selfcompress train --epochs 3', 'selfcompress predict runs/notebook-digits/model.scnn digit.png'],
  train: [
    'selfcompress train --gamma 0.2                                 the digits that come with the package',
    'selfcompress train --dataset images --data-dir photos          a folder of images by class',
    'selfcompress train --from resnet20.onnx --dataset cifar10 --data-dir cifar',
    'selfcompress train --config train.json --seed 2                options of a file, and one that goes before it',
    'selfcompress train --resume runs/notebook-digits --epochs 20   on where a run was stopped',
    'selfcompress train --json --quiet | jq .testAccuracy           a line of JSON for each epoch',
  ],
  eval: ['selfcompress eval runs/notebook-digits --dataset digits'],
  predict: ['selfcompress predict runs/notebook-digits/model.scnn digit.png --top 3'],
  compress: [
    'selfcompress compress model.onnx --data-dir photos --out small          a folder of images by class',
    'selfcompress compress resnet20.safetensors --model resnet20 --dataset cifar10 --data-dir cifar --mean .485,.456,.406 --std .229,.224,.225 --out small',
    'selfcompress compress model.onnx --data-dir photos --target-size 100kB --out small',
  ],
  inspect: ['selfcompress inspect runs/notebook-digits', 'selfcompress inspect runs/notebook-digits --plan'],
};

const longName = (option: Option) => (option.long ?? option.short ?? '').replace(/^-+/, '');

function grouped(command: Command, helper: Help): [string, Option[]][] {
  const options = helper.visibleOptions(command);
  const named = groups[command.name()];
  if (!named) return [['Options', options]];
  const known = new Set(Object.values(named).flat());
  const of = (names: string[]) => names.flatMap((name) => options.filter((option) => longName(option) === name));
  return [
    ...Object.entries(named).map(([title, names]): [string, Option[]] => [title, of(names)]),
    ['Other options', options.filter((option) => !known.has(longName(option)))],
  ];
}

/** The text of `--help`. */
export function formatHelp(command: Command, helper: Help): string {
  const width = helper.padWidth(command, helper);
  const list = (title: string, items: [string, string][]) =>
    items.length === 0 ? [] : [`${title}:`, ...items.map(([term, description]) => helper.formatItem(term, width, description, helper)), ''];
  const description = helper.commandDescription(command);
  return [
    `Usage: ${helper.commandUsage(command)}`,
    '',
    ...(description ? [helper.boxWrap(description, helper.helpWidth ?? 80), ''] : []),
    ...list(
      'Arguments',
      helper.visibleArguments(command).map((a) => [helper.argumentTerm(a), helper.argumentDescription(a)]),
    ),
    ...grouped(command, helper).flatMap(([title, options]) =>
      list(
        title,
        options.map((o) => [helper.optionTerm(o), helper.optionDescription(o)]),
      ),
    ),
    ...list(
      'Commands',
      helper.visibleCommands(command).map((c) => [helper.subcommandTerm(c), helper.subcommandDescription(c)]),
    ),
    ...(examples[command.name()] ? ['Examples:', ...(examples[command.name()] ?? []).map((line) => `  ${line}`), ''] : []),
  ].join('\n');
}
