import type { TrainingManifest } from '../../core/training.js';

/** Where a field of the program's configuration stands in a training recipe; others stand under `training`. */
const FIELDS: Record<string, string> = {
  kind: 'model.source',
  base: 'model.base',
  imageEncoder: 'model.image_encoder',
  prompt: 'model.prompt',
  lora: 'lora',
  seed: 'seed',
  data: 'data',
  out: 'out',
};

const snake = (name: string): string => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

/** What the program refuses, in the names that a person wrote: its own configuration and its copy of the data are gone when it is read. */
export function refusalText(
  message: string,
  place: { config: string; data: string },
  { recipe }: Pick<TrainingManifest, 'recipe'>,
): string {
  const data = 'run' in recipe.data ? `feedback set of run ${recipe.data.run}: ` : `${recipe.data.feedbackSet.replace(/\/$/, '')}/`;
  const told = message.replaceAll(`${place.data}/`, data);
  if (!told.startsWith(`${place.config}:`)) return told;
  const [, field, reason] = /^:\d+: ([\w.]+): (.*)$/s.exec(told.slice(place.config.length)) ?? [];
  if (field === undefined || reason === undefined) return told;
  const [first, ...rest] = field.split('.');
  return `training recipe: ${[FIELDS[first!] ?? `training.${snake(first!)}`, ...rest.map(snake)].join('.')}: ${reason}`;
}
