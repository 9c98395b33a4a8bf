import type { SchedulerName } from '../../../core/recipe.js';
import { layOut, readSchedulerFile } from '../schedulers/index.js';
import { pictureSize, readUnetConfig } from './picture-size.js';
import { readVaeConfig } from './vae.js';

/** What a recipe asks of its generator. */
export interface GeneratorUse {
  /** `null`: the model's own. */
  scheduler: SchedulerName | null;
  numInferenceSteps: number;
  /** Pixels; `null`: the model's own. */
  height: number | null;
  width: number | null;
  /** Of edits, each above 0 and at most 1. */
  strengths: number[];
}

/** Throws InvalidInput for what every picture would fail by: a scheduler, steps, a size or a strength that the folder's configuration does not allow. */
export async function checkGenerator(folder: string, use: GeneratorUse): Promise<void> {
  const config = await readSchedulerFile(folder);
  for (const strength of [null, ...use.strengths]) layOut(config, use.scheduler, use.numInferenceSteps, strength);
  pictureSize(use, await readUnetConfig(folder), await readVaeConfig(folder));
}
