import { dirname, join } from 'node:path';
import { z } from 'zod';
import { InvalidInput } from '../../core/errors.js';
import type { SchedulerName } from '../../core/recipe.js';
import { ClipTokenizer } from './clip-tokenizer.js';
import { readChatTemplate } from './language/chat-template.js';
import { decoderStart, loadLanguageConfig, loadTextEnds, vocabularySize } from './language/text-ends.js';
import { TextTokenizer } from './language/text-tokenizer.js';
import { modelFiles } from './model-folder.js';
import { readModelConfig } from './model-json.js';
import {
  exportCommand,
  graphPaths,
  graphProblem,
  LAYOUTS,
  SAFETY_CHECKER,
  SECOND_TEXT_ENCODER,
  SOFT_PROMPT,
  TEXT_ENCODER,
  TOKEN_READER,
  VAE_ENCODER,
  VARIANTS,
  XL_INPUTS,
  type Graph,
  type ModelKind,
  type ModelUse,
} from './model-layouts.js';
import { readOnnxFile, weightBytes, type OnnxFile } from './onnx-file.js';
import { loadOptPrompt } from './opt-prompt.js';
import { refuseOthers, unexportedWeights } from './other-folders.js';
import { pictureSize, readUnetConfig } from './pipelines/picture-size.js';
import { readVaeConfig } from './pipelines/vae.js';
import { createScheduler, readSchedulerFile, schedulers } from './schedulers/index.js';

const OF_LOWER_PRECISION = new RegExp(`(${VARIANTS.slice(1).join('|')})\\.onnx$`);

/** What a folder must have. */
interface Needs {
  graphs: Graph[];
  /** Each, or of alternatives in a list one. */
  files: (string | string[])[];
  /** What else is wrong with it. */
  problems: string[];
}

/**
 * What keeps a folder from being a model of this kind: files that are missing, graphs of another kind, weights that are missing or cut short, a
 * configuration that nothing here can follow. Empty: it is whole. Throws InvalidInput for what is no such model at all.
 */
export async function modelProblems(folder: string, kind: ModelKind, uses: readonly ModelUse[] = []): Promise<string[]> {
  const present = await modelFiles(folder);
  await refuseOthers(folder);
  const weights = unexportedWeights(present);
  if (weights !== undefined) return [`it holds torch's weights (${weights}) and no ONNX graph: export it`];
  const problems: string[] = [];
  const graphs = await readGraphs(folder, present, problems);
  const unreadable = (error: Error): Needs[] => [{ ...NOTHING, problems: [error.message] }];
  const own = Promise.all([ownNeeds(folder, kind, present, graphs), ...uses.map((use) => USES[use](folder))]).catch(unreadable);
  const needs = [{ ...LAYOUTS[kind], problems: [] }, ...(await own)];
  const pick = (choices: string[]): string | undefined => {
    const found = choices.find((file) => present.includes(file));
    if (found === undefined) problems.push(`${choices.filter((file) => !OF_LOWER_PRECISION.test(file)).join(' or ')} is missing`);
    return found;
  };
  for (const file of needs.flatMap(({ files }) => files)) pick([file].flat());
  const places = new Set<string>();
  for (const graph of needs.flatMap((one) => one.graphs)) {
    const path = pick(graphPaths(...graph.names));
    const read = path === undefined ? undefined : graphs.get(path);
    const problem = read && graphProblem(graph, read);
    if (problem) problems.push(`${path} ${problem}: it is of another kind or was exported otherwise`);
    if (path !== undefined) places.add(dirname(path));
  }
  if (LAYOUTS[kind].together && places.size > 1)
    problems.push(`its graphs lie in ${[...places].sort().join(' and ')}: put them into one folder`);
  return [...new Set([...problems, ...needs.flatMap((one) => one.problems)])];
}

/** What a person should know of a whole folder of this kind: runs go on without it, or want a word in the recipe. */
export async function modelNotes(folder: string, kind: ModelKind): Promise<string[]> {
  if (kind !== 'text-to-image') return [];
  const { safety_checker: checker } = await readModelConfig(join(folder, 'model_index.json'), indexSchema);
  const present = await modelFiles(folder);
  return [
    ...(checker?.[0] && !hasGraph(SAFETY_CHECKER, present) ? [UNCHECKED] : []),
    ...(hasGraph(VAE_ENCODER, present) ? [] : [NO_EDITS]),
    ...(await complaints(readSchedulerFile(folder).then((file) => createScheduler(file, null)))),
  ];
}

const UNCHECKED =
  'model_index.json names a safety_checker that the folder does not have, so no picture is checked; export it: python models/export/export_safety_checker.py <model> <folder>, or write [null, null] there';

const NO_EDITS =
  'without vae_encoder/model.onnx it draws anew and cannot begin with a picture (`strength` of an arm); optimum-cli export onnx --model <model> --task text-to-image <folder> writes it';

const hasGraph = ({ names }: Graph, present: string[]): boolean => graphPaths(...names).some((path) => present.includes(path));

/** What those of the checks say that throw. */
async function complaints(...checks: Promise<unknown>[]): Promise<string[]> {
  const results = await Promise.allSettled(checks);
  return results.flatMap((result) => (result.status === 'rejected' ? [(result.reason as Error).message] : []));
}

/** All graphs that can be read; what is wrong with the others, or with weights beside them, is added to the problems. */
async function readGraphs(folder: string, present: string[], problems: string[]): Promise<Map<string, OnnxFile>> {
  const graphs = new Map<string, OnnxFile>();
  for (const path of present.filter((file) => file.endsWith('.onnx'))) {
    try {
      const read = readOnnxFile(join(folder, path));
      graphs.set(path, read);
      await weightBytes(join(folder, path), read);
    } catch (error) {
      problems.push((error as Error).message);
    }
  }
  return graphs;
}

const NOTHING: Needs = { graphs: [], files: [], problems: [] };

/** By use: what it needs beside the rest. */
const USES: Record<ModelUse, (folder: string) => Needs | Promise<Needs>> = {
  edits: () => ({ ...NOTHING, graphs: [VAE_ENCODER] }),
  questions: async (folder) => {
    const asks = (await readChatTemplate(folder)) !== null;
    return {
      ...NOTHING,
      problems: asks
        ? []
        : ['it has no chat template (chat_template.jinja, or chat_template in tokenizer_config.json), so it answers no questions'],
    };
  },
};

const part = z.tuple([z.string().nullable(), z.string().nullable()]).rest(z.unknown()).nullish().catch(null);
const indexSchema = z.looseObject({ text_encoder_2: part, tokenizer_2: part, safety_checker: part });
const encoderDecoder = z.looseObject({ is_encoder_decoder: z.boolean().nullish() });
const configSchema = encoderDecoder.extend({ text_config: encoderDecoder.nullish() });
const processorSchema = z.looseObject({ processor_class: z.string().nullish() });

/** How a kind's texts become ids; vision-language models leave it to transformers.js. */
const TOKENIZERS: Partial<Record<ModelKind, Array<{ folder: string; load: (folder: string) => Promise<unknown> }>>> = {
  'text-to-image': ['tokenizer', 'tokenizer_2'].map((folder) => ({ folder, load: ClipTokenizer.load })),
  'image-text': [{ folder: '', load: ClipTokenizer.load }],
  'causal-lm': [{ folder: '', load: TextTokenizer.load }],
  blip2: [{ folder: '', load: TextTokenizer.load }],
};

/** Kinds that write texts. */
const WRITERS: ModelKind[] = ['causal-lm', 'blip2', 'vision-language'];

/** Processors of transformers.js that read `processor_config.json`. */
const READS_PROCESSOR_CONFIG = /^(Idefics3|SmolVLM|Llava|Pixtral|Gemma3n?|Gemma4)Processor$/;

/** What some models of a kind have beside the others: what their own configuration, a graph or a file that is there asks for. */
async function ownNeeds(folder: string, kind: ModelKind, present: string[], graphs: Map<string, OnnxFile>): Promise<Needs> {
  const read = async <T>(name: string, schema: z.ZodType<T>) =>
    present.includes(name) ? readModelConfig(join(folder, name), schema) : schema.parse({});
  const needs: Needs = { graphs: [], files: [], problems: [] };
  for (const path of present) {
    if (path.endsWith('merges.txt') && !present.includes(path.replace(/merges.txt$/, 'tokenizer.json')))
      needs.files.push(path.replace('merges.txt', 'vocab.json'));
  }
  if (kind === 'text-to-image') {
    const index = await read('model_index.json', indexSchema);
    const isXl = graphPaths('unet/model').some((path) => XL_INPUTS.every((name) => graphs.get(path)?.inputs.includes(name)));
    if (isXl || index.text_encoder_2?.[0]) needs.graphs.push(SECOND_TEXT_ENCODER);
    if (!isXl && graphs.size > 0 && index.text_encoder_2?.[0])
      needs.problems.push(
        `model_index.json names a text_encoder_2 and the UNet does not take ${XL_INPUTS.join(', ')}: it is another pipeline's`,
      );
    if (isXl || index.tokenizer_2?.[0]) needs.files.push(['tokenizer_2/tokenizer.json', 'tokenizer_2/merges.txt']);
    if (hasGraph(SAFETY_CHECKER, present)) {
      needs.graphs.push(SAFETY_CHECKER);
      needs.files.push('feature_extractor/preprocessor_config.json');
    }
    if (present.includes('scheduler/scheduler_config.json')) needs.problems.push(...(await complaints(requireAnyScheduler(folder))));
    if (present.includes('unet/config.json') && present.includes('vae_decoder/config.json')) {
      const size = async () => pictureSize({ height: null, width: null }, await readUnetConfig(folder), await readVaeConfig(folder));
      needs.problems.push(...(await complaints(size())));
    }
  }
  for (const tokenizer of TOKENIZERS[kind] ?? []) {
    const has = (name: string) => present.includes(join(tokenizer.folder, name));
    if (has('tokenizer_config.json') && (has('tokenizer.json') || (has('merges.txt') && has('vocab.json'))))
      needs.problems.push(...(await complaints(tokenizer.load(join(folder, tokenizer.folder)))));
  }
  if (kind === 'causal-lm') {
    const isSoft = (await loadOptPrompt(folder)).image === 'soft';
    needs.graphs.push(...(isSoft ? SOFT_PROMPT : [TOKEN_READER]));
    if (!isSoft && present.includes('config.json'))
      needs.problems.push(...(await complaints(loadLanguageConfig(folder).then((config) => vocabularySize(config, folder)))));
  }
  if (kind === 'vision-language' || kind === 'blip2') {
    const { is_encoder_decoder: isPair, text_config: text } = await read('config.json', configSchema);
    if (isPair || text?.is_encoder_decoder) {
      needs.graphs.push(TEXT_ENCODER);
      needs.problems.push(...(await complaints(loadTextEnds(folder).then((ends) => decoderStart(ends, folder)))));
    }
  }
  if (WRITERS.includes(kind) && present.includes('config.json')) needs.problems.push(...(await complaints(loadTextEnds(folder))));
  if (kind === 'vision-language' && present.includes('preprocessor_config.json')) {
    const { processor_class: name } = await read('preprocessor_config.json', processorSchema);
    if (!name) needs.problems.push('preprocessor_config.json names no processor_class');
    else if (READS_PROCESSOR_CONFIG.test(name)) needs.files.push('processor_config.json');
  }
  return needs;
}

/** The recipe may name another scheduler than the folder's. Throws InvalidInput where none can follow the folder's configuration. */
async function requireAnyScheduler(folder: string): Promise<void> {
  const file = await readSchedulerFile(folder);
  const names = Object.keys(schedulers) as SchedulerName[];
  const refusals = await complaints(...names.map(async (name) => createScheduler(file, name)));
  if (refusals.length === names.length) throw new InvalidInput(refusals[0]!);
}

/** Throws InvalidInput that lists every missing or incomplete file and how such a folder is made. */
export async function checkModelFolder(folder: string, kind: ModelKind, uses: readonly ModelUse[] = []): Promise<void> {
  const problems = await modelProblems(folder, kind, uses);
  if (problems.length === 0) return;
  throw new InvalidInput(`${folder} is no complete ${kind} model: ${problems.join('; ')}. Made by: ${exportCommand(kind)}`);
}
