import { RefineError, StorageUnavailable } from '../core/errors.js';
import { refineLoop, StepFailed, type EmbedRequest, type ItemInput, type Steps } from '../core/refine-loop.js';
import { stepName } from '../core/step-name.js';
import {
  INLINE_TEXT_BYTES,
  MAX_PAYLOAD_BYTES,
  type EmbedResult,
  type IndexedItem,
  type ItemOutcome,
  type StepAt,
  type StepMeta,
  type StepName,
  type TextValue,
} from '../core/types.js';
import { embedStep } from './embed.js';
import { feedbackRounds, feedbackStep } from './feedback/index.js';
import { generateStep } from './generate.js';
import { findRecorded, type StepDefinition } from './run-step.js';
import { scoreStep } from './score.js';
import type { ActivityServices, RunContext } from './services.js';
import type { DerivedOutcome, FailedStep, ItemRef, RecalledStep, RecallItemResult } from './types.js';

/** Room for recalled results; above it the rest is found by the steps themselves. */
const RECALL_BYTES = MAX_PAYLOAD_BYTES * 0.75;

/**
 * Runs the item's loop over the records alone and gives back every result that is there, so that a workflow
 * schedules only what is missing and a fully recorded run needs no device.
 */
export async function recallItem(services: ActivityServices, run: RunContext, item: ItemRef): Promise<RecallItemResult> {
  const { input, partner } = await loadItem(run, item);
  const recorded = new RecordedSteps(services, run, item, partner, {});
  await refineLoop(run.plan, input, recorded);
  return { plan: run.plan, input, partner, recalled: recorded.recalled };
}

/**
 * What an item came to, read from the records of its steps: the same loop over the same results, and where a step failed,
 * the failure that is given.
 * @throws StorageUnavailable where a record is gone
 */
export async function deriveOutcome(
  services: ActivityServices,
  run: RunContext,
  item: ItemRef,
  known: DerivedOutcome,
): Promise<ItemOutcome> {
  const { input, partner } = await loadItem(run, item);
  const outcome = await refineLoop(run.plan, input, new RecordedSteps(services, run, item, partner, known.failures, null, false));
  const lost = [outcome, ...outcome.arms].find(({ failure }) => failure?.type === NOT_RECORDED)?.failure;
  if (lost) throw new StorageUnavailable(`the record of ${lost.step} ${lost.arm ?? ''} round ${lost.round} of item ${item.id} is gone`);
  return { ...outcome, steps: known.steps, spent: known.spent };
}

async function loadItem(run: RunContext, item: ItemRef): Promise<{ input: ItemInput; partner: ItemRef | null }> {
  const indexed = await run.files.readIndexed(item.offset);
  const lender = await lenderOf(run, indexed);
  const partner = lender && { run: item.run, offset: lender.offset, id: lender.id, key: lender.key };
  return { input: await itemInput(run, indexed, lender), partner };
}

const NOT_RECORDED = 'NotRecorded';

/** The item whose feedback by a model the placebos show to this one. */
async function lenderOf({ plan, files }: RunContext, item: IndexedItem): Promise<IndexedItem | null> {
  return item.placebo === undefined || !plan.arms.some((arm) => arm.mirrors) ? null : files.readIndexed(item.placebo);
}

/** What the loop knows of an item; a long caption goes into the store. */
async function itemInput(run: RunContext, item: IndexedItem, lender: IndexedItem | null): Promise<ItemInput> {
  const rounds = await Promise.all(run.plan.arms.map(async ({ name }) => [name, await feedbackRounds(run, item, name)] as const));
  return {
    caption: await textValue(run, item.caption),
    trueImage: item.trueImage ?? null,
    feedbackRounds: Object.fromEntries(rounds.filter((entry): entry is [string, number] => entry[1] !== undefined)),
    partner: lender && { caption: await textValue(run, lender.caption) },
  };
}

async function textValue(run: RunContext, text: string): Promise<TextValue> {
  const bytes = Buffer.from(text, 'utf8');
  if (bytes.byteLength <= INLINE_TEXT_BYTES) return { text };
  return { ref: await run.store.putArtifact(bytes, 'text/plain; charset=utf-8', []) };
}

/** Steps as look-ups. What is not recorded ends its arm, as a failed step would. */
class RecordedSteps implements Steps {
  readonly recalled: Record<string, RecalledStep> = {};
  private bytes = 0;

  constructor(
    private readonly services: ActivityServices,
    private readonly run: RunContext,
    private readonly item: ItemRef,
    private readonly lender: ItemRef | null,
    /** By `stepName`: what failed, and is not to be looked up. */
    private readonly failures: Record<string, FailedStep>,
    /** Of the borrower, on the steps of a lender: results are kept there, under the lender's name. */
    private readonly borrower: RecordedSteps | null = null,
    /** False: look-ups are no news for the ledger. */
    private readonly counted = true,
  ) {}

  partner(): Steps {
    return this.lender === null ? this : new RecordedSteps(this.services, this.run, this.lender, null, this.failures, this, this.counted);
  }

  generate: Steps['generate'] = async (at, prompt, start) => {
    const input = { item: this.item, at, prompt, ...(start ? { start } : {}) };
    return this.keep(at, 'generate', '', await this.find(generateStep(this.services), at, input));
  };

  embed: Steps['embed'] = async (at, wanted) => {
    // All are looked up, though one is missing: the others are kept.
    const found = await Promise.allSettled(wanted.map((request) => this.embedded(at, request)));
    return found.map((one) => {
      if (one.status === 'rejected') throw one.reason;
      return one.value;
    });
  };

  private async embedded(at: StepAt, { subject, encoders }: EmbedRequest): Promise<EmbedResult> {
    const embeddings: EmbedResult['embeddings'] = {};
    const meta: StepMeta[] = [];
    for (const encoder of encoders) {
      const { embedding, ...found } = await this.find(
        embedStep(this.services),
        at,
        { item: this.item, subject, encoder },
        `:${subject.role}`,
      );
      embeddings[encoder] = embedding;
      meta.push(found);
    }
    return this.keep(at, 'embed', `:${subject.role}`, { embeddings, meta });
  }

  feedback: Steps['feedback'] = async (at, arm, critique) =>
    this.keep(at, 'feedback', '', await this.find(feedbackStep(this.services), at, { item: this.item, at, arm, critique }));

  score: Steps['score'] = async (at, subject) =>
    this.keep(at, 'score', '', await this.find(scoreStep, at, { item: this.item, at, subject }));

  private async find<Input, Result>(
    definition: StepDefinition<Input, Result>,
    at: StepAt,
    input: Input,
    subject = '',
  ): Promise<Result & StepMeta> {
    const failed = this.failures[stepName(definition.step, at, subject, this.borrower ? this.item.id : null)];
    if (failed) throw new StepFailed(failed.failure, failed.redraw);
    const place = { item: this.item, at, attempt: 1, device: this.services.device };
    const found = await findRecorded(definition, this.run, input, place, this.counted).catch((error: unknown) => {
      // What cannot even be prepared fails in its own step, with its name on it.
      if (RefineError.is(error) && error.code === 'InvalidInput') return undefined;
      throw error;
    });
    if (!found)
      throw new StepFailed({
        type: NOT_RECORDED,
        message: 'not recorded',
        step: definition.step,
        arm: at.arm,
        round: at.round,
        attempt: 0,
      });
    return found;
  }

  private keep<T extends RecalledStep>(at: StepAt, step: StepName, suffix: string, result: T): T {
    if (this.borrower) this.borrower.put(stepName(step, at, suffix, this.item.id), result);
    else this.put(stepName(step, at, suffix), result);
    return result;
  }

  private put(name: string, result: RecalledStep): void {
    this.bytes += JSON.stringify(result).length + 80;
    if (this.bytes < RECALL_BYTES) this.recalled[name] = result;
  }
}
