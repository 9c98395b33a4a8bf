import { join } from 'node:path';
import type { Command } from 'commander';
import { armSource, trainingWorkflowId, type TrainingManifest, type TrainingResult } from '../../../core/training.js';
import { storeUri } from '../../../engine/storage/index.js';
import { trainerPython } from '../../../engine/training/index.js';
import { prepareTraining, type PreparedTraining } from '../../client/prepare-training.js';
import { findResult, startTraining, waitForTraining, writePack, type TrainingName } from '../../client/train.js';
import { getTrainingStatus, type TrainingStatus } from '../../client/training-status.js';
import { loadTrainingRecipe } from '../../recipe/index.js';
import { shown, withCommonOptions, withTrainerOptions, type TrainerOptions } from '../context.js';
import { withServer, workflowUi, type ExecuteOptions } from '../execute-run.js';
import { EXIT, Interrupted } from '../exit-codes.js';
import { onInterrupt } from '../interrupt.js';
import { note, print, printJson, seconds } from '../output.js';
import { showTraining } from '../training-display.js';
import { withServerOptions } from './run.js';

type TrainOptions = Omit<ExecuteOptions, 'training'> & TrainerOptions & { id?: string; set: string[] };

const collect = (value: string, before: string[]): string[] => [...before, value];

export function trainCommand(program: Command): void {
  const command = program
    .command('train')
    .description('fine-tune a feedback model on what a run has, and make a pack of it; or find the training again')
    .argument('<recipe>', 'YAML file; see docs/training.md')
    .option('--id <id>', 'id of the training (default: the recipe’s name and digest)')
    .option('--set <key=value>', 'set a field of the recipe, such as training.epochs=20; may be repeated', collect, [])
    .option('--detach', 'start it and return; needs a server that stays');
  withTrainerOptions(withServerOptions(withCommonOptions(command))).action(train);
}

async function train(file: string, options: TrainOptions): Promise<void> {
  const { trainer, python, json, detach = false } = options;
  const loaded = await loadTrainingRecipe(file, options.set);
  const store = options.store === undefined ? loaded.storeUri : storeUri(options.store, process.cwd());
  const prepared = await prepareTraining({ ...loaded, storeUri: store }, { trainingId: options.id, trainer });
  const name: TrainingName = { storeUri: store, trainingId: prepared.manifest.trainingId };
  prepared.notes.forEach(note);
  const recorded = await findResult(prepared);
  if (recorded) {
    note(`training ${name.trainingId} has ended already; nothing is trained again`);
    return finish(prepared, await getTrainingStatus(null, name), { json, ui: null });
  }
  await withServer(store, { ...options, training: { trainer, python } }, async (open, embedded) => {
    // Where the worker is this process's own, what it has to fetch is shown here.
    if (embedded) await trainerPython(python, note);
    await startTraining(open.client, prepared);
    const ui = workflowUi(open, trainingWorkflowId(name.trainingId));
    if (detach) return tellStarted(await getTrainingStatus(open.client, name), { json, ui });
    const interrupt = onInterrupt();
    try {
      const ends: Array<Promise<'ended' | 'interrupted'>> = [
        waitForTraining(open.client, name.trainingId).then(() => 'ended' as const),
        interrupt.signalled.then(() => 'interrupted' as const),
        ...(embedded ? [embedded.broken] : []),
      ];
      const outcome = await showTraining(open.client, name, { ui, embedded: embedded !== null }, ends);
      if (outcome === 'interrupted') throw new Interrupted(howToGoOn(name, embedded !== null));
    } finally {
      interrupt.dispose();
    }
    const status = await getTrainingStatus(open.client, name);
    await embedded?.stop();
    await finish(prepared, status, { json, ui });
  });
}

interface Say {
  json?: boolean;
  ui: string | null;
}

function tellStarted(status: TrainingStatus, { json, ui }: Say): void {
  if (json) return printJson({ ...status, ui });
  print(`training ${status.trainingId} goes on; the same command without --detach follows it, and writes its pack`);
  if (ui) print(`Temporal UI  ${ui}`);
}

/** Writes the pack, says what came out and sets the exit code. */
async function finish(prepared: PreparedTraining, status: TrainingStatus, { json, ui }: Say): Promise<void> {
  const { manifest, out, storeUri: store } = prepared;
  const result = status.state === 'completed' ? await findResult(prepared) : null;
  if (result) await writePack(prepared, result);
  process.exitCode = result ? EXIT.done : status.failure?.type === 'InvalidInput' ? EXIT.usage : EXIT.unexpected;
  const arm = result && armOf(manifest, out);
  if (json) return printJson({ ...status, out: result ? out : null, arm, store, ui });
  print(`training     ${status.trainingId}: ${status.state} in ${seconds(status.elapsedSeconds)}`);
  if (status.failure) print(`failed       ${status.failure.type}: ${status.failure.message}`);
  if (result) sayResult(result);
  if (ui) print(`Temporal UI  ${ui}`);
  print(`artifacts    ${store}`);
  if (result) print(`pack         ${shown(out)}\n\nTo use it, put this arm into a recipe:\n\n  - ${JSON.stringify(arm)}\n`);
  else if (status.state === 'cancelled') print('\nThe same command goes on from the last checkpoint.');
}

function sayResult({ cells, chosen }: TrainingResult): void {
  const [one] = cells.filter(({ cell }) => cell === chosen);
  if (one && 'validationLoss' in one) {
    print(`setting      ${one.label}${cells.length > 1 ? `, chosen of ${cells.length} by validation loss` : ''}`);
    print(`steps        ${one.steps}, the adapter of step ${one.bestStep} was kept`);
    print(`loss         training ${one.trainLoss.toFixed(4)}, validation ${one.validationLoss.toFixed(4)}`);
  }
  for (const cell of cells) if ('failure' in cell) note(`left out: ${cell.label}: ${cell.failure.type}: ${cell.failure.message}`);
}

/** The arm that uses the pack; paths are absolute, because it is not known where the recipe lies. */
function armOf({ recipe, imageEncoder }: TrainingManifest, out: string) {
  const source = armSource(recipe.kind);
  const model = join(out, source);
  const { prompt } = recipe.parameters;
  return {
    name: recipe.name,
    feedback: {
      ...{ source, model },
      ...(imageEncoder ? { image_encoder: imageEncoder.path } : {}),
      // An OPT has its prompt beside its weights.
      ...(source === 'blip2' && prompt !== null ? { prompt } : {}),
    },
  };
}

function howToGoOn({ trainingId, storeUri: store }: TrainingName, embedded: boolean): string {
  return embedded
    ? `interrupted: training ${trainingId} is suspended, with its last checkpoint in ${store}. The same command goes on with it.`
    : `interrupted here: training ${trainingId} goes on. Look at it with \`refineloop status ${trainingId}\`, end it with \`refineloop cancel ${trainingId}\`.`;
}
