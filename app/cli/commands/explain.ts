import { writeFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { InvalidInput } from '../../../core/errors.js';
import { modelIdentity, type RunManifest } from '../../../core/recipe.js';
import type { StepRecord } from '../../../core/types.js';
import { generateRequest } from '../../../activities/generate.js';
import { shownPrompt, type PromptText } from '../../../core/policy/refine.js';
import { InferenceHost, modelDigest, runtimeOf } from '../../../engine/inference/index.js';
import { digestOfBytes, type Store } from '../../../engine/storage/index.js';
import { lineageOf, type Lineage } from '../../client/lineage.js';
import { integer, openRun, withCommonOptions, type CommonOptions } from '../context.js';
import { FoundWrong } from '../exit-codes.js';
import { print, printJson } from '../output.js';

type ExplainOptions = CommonOptions & { arm?: string; repeat: number; remake?: string };

export function explainCommand(program: Command): void {
  const command = program
    .command('explain')
    .description('where one picture comes from, step by step, and the command that makes it again')
    .argument('<run>')
    .argument('<item>', 'id of the item')
    .argument('<round>', 'round of the picture', integer(0))
    .option('--arm <name>', 'arm of the picture; round 0 belongs to all')
    .option('--repeat <n>', 'which repeat, from 0', integer(0), 0)
    .option('--remake <file>', 'make the picture again on this machine, write it there, and compare it bit for bit');
  withCommonOptions(command).action(async (runId: string, item: string, round: number, options: ExplainOptions) => {
    const { run, store } = await openRun(runId, options);
    const lineage = await lineageOf(store, { runId, item, round, arm: options.arm, repeat: options.repeat });
    const manifest = (await store.run(runId).readManifest())!;
    const again = options.remake === undefined ? null : await remake(store, lineage.steps[0]!, manifest, options.remake);
    const words = ['refineloop explain', runId, item, String(round), ...(lineage.arm === null ? [] : ['--arm', lineage.arm])];
    if (options.repeat > 0) words.push('--repeat', String(options.repeat));
    const made = { command: [...words, '--remake picture.png', '--store', run.storeUri].join(' '), remade: again };
    if (options.json) printJson({ ...lineage, ...made });
    else show(lineage, made.command);
    if (again && !again.same) throw new FoundWrong(`the picture came out as ${again.digest}, not as ${lineage.image}: ${again.why}`);
    if (again && !options.json) print(`\nmade again, bit for bit: ${again.file}`);
  });
}

function show({ item, caption, arm, round, image, steps, roots }: Lineage, command: string): void {
  print(`${item}, ${arm ?? 'all arms'}, round ${round}: ${image}`);
  print(`caption: ${caption}\n`);
  for (const step of steps) {
    print(`${step.step}  ${step.key.slice(0, 16)}  ${modelName(step)}${step.unpinned ? '  (unpinned)' : ''}`);
    for (const [name, value] of Object.entries(step.params))
      print(`  ${name}: ${name === 'prompt' ? shownPrompt(value as PromptText) : text(value)}`);
    if (typeof step.values['text'] === 'string') print(`  wrote: ${step.values['text']}`);
    step.inputs.forEach((digest) => print(`  from ${digest}`));
    Object.entries(step.outputs).forEach(([name, { digest }]) => print(`  made ${name} ${digest}`));
  }
  roots.forEach(({ digest, what }) => print(`${digest}  ${what}`));
  print(`\nmake it again: ${command}`);
}

const text = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value));

function modelName({ model, runtime }: StepRecord): string {
  if (model === null) return 'no model';
  const name = typeof model === 'string' ? model : `${model.model} at ${model.provider}`;
  return runtime ? `${name} on ${runtime.engine} ${runtime.version}, ${runtime.provider}` : name;
}

interface Remade {
  file: string;
  digest: string;
  same: boolean;
  /** What may explain a difference; empty where there is none. */
  why: string;
}

/** Runs the generate step from its record and the pictures in the store alone. @throws InvalidInput where the model is not here or is another one */
async function remake(store: Store, step: StepRecord, manifest: RunManifest, file: string): Promise<Remade> {
  const { model } = manifest.recipe.generator;
  const { provider } = manifest.runtime;
  const folder = manifest.models[model]!.path;
  const found = await modelDigest(folder);
  if (found !== modelIdentity(manifest, model))
    throw new InvalidInput(`the model in ${folder} is not the one that the run used (${found})`);
  const host = new InferenceHost({ provider, device: 0 });
  try {
    const { png } = await host.generate({ model: folder, ...(await generateRequest(store, step.params)) });
    await writeFile(resolve(file), png);
    const digest = digestOfBytes(png);
    const same = digest === step.outputs['image']!.digest;
    const here = runtimeOf({ provider, batching: manifest.runtime.batching });
    const other =
      JSON.stringify(here) === JSON.stringify(step.runtime)
        ? 'the same runtime on another processor may round otherwise'
        : `the run had ${JSON.stringify(step.runtime)}, here is ${JSON.stringify(here)}`;
    return { file: resolve(file), digest, same, why: same ? '' : other };
  } finally {
    await host.close();
  }
}
