import { InvalidInput } from '../../core/errors.js';
import type { ChatFeedbackRecipe, RunManifest } from '../../core/recipe.js';
import { textDrawOf } from '../../core/refine-loop.js';
import { askAboutPicture, INSTRUCTIONS } from '../../engine/providers/chat.js';
import { readText } from '../generate.js';
import { feedbackOf } from './column.js';
import type { FeedbackWriter } from './writer.js';

/** Feedback, or a rewritten prompt, by a vision model behind an OpenAI-compatible endpoint. */
export const chatWriter: FeedbackWriter = {
  async prepare(run, { item, at, arm, critique }) {
    const { caption } = await run.files.readIndexed(item.offset);
    const recipe = chatOf(run.manifest, arm);
    const { source, baseUrl, model, revision, instructions, maxTokens, temperature } = recipe;
    return {
      inputs: [critique.picture.digest, ...critique.earlier.map(({ ref }) => ref.digest)],
      params: {
        source,
        caption,
        earlier: await Promise.all(critique.earlier.map((text) => readText(run, text))),
        instructions: instructions ?? INSTRUCTIONS[source],
        maxTokens,
        temperature,
      },
      model: { provider: baseUrl, model, revision },
      runtime: null,
      draw: textDrawOf(at),
    };
  },
  async write({ manifest, store }, { arm, critique }, { params }, { signal, started }) {
    const { baseUrl, model, apiKeyEnv, maxTokens, temperature, timeoutSeconds, price } = chatOf(manifest, arm);
    const { instructions, caption, earlier } = params as { instructions: string; caption: string; earlier: string[] };
    const picture = await store.getArtifact(critique.picture);
    started();
    const { text, usage } = await askAboutPicture(
      { baseUrl, model, apiKey: process.env[apiKeyEnv], timeoutMs: timeoutSeconds * 1000, price },
      { instructions, caption, earlier, picture, mediaType: critique.picture.mediaType, maxTokens, temperature },
      signal,
    );
    return { text, instructions, tokens: { used: usage.tokens }, usd: usage.usd };
  },
};

function chatOf(manifest: RunManifest, arm: string): ChatFeedbackRecipe {
  const feedback = feedbackOf(manifest, arm);
  if (feedback.source !== 'chat' && feedback.source !== 'rewrite') {
    throw new InvalidInput(`arm ${arm} has source ${feedback.source}, not chat or rewrite`);
  }
  return feedback;
}
