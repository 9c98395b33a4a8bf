/**
 * The measure that refine runs are held against: the same activities on the same queues with the same writes to the store, called one
 * after the other by the plainest workflows that would do it. No look-up of what is recorded, no failures, no pauses, no budget, no
 * search attributes, no details, no continue-as-new.
 */
import { executeChild, proxyActivities, proxyLocalActivities } from '@temporalio/workflow';

const { indexDataset, listItems } = proxyActivities({ startToCloseTimeout: '1 hour' });
const { generateImage, embed } = proxyActivities({ startToCloseTimeout: '1 hour', heartbeatTimeout: '10 seconds', taskQueue: 'gpu' });
const { scoreImage, writeFeedback, recordItem } = proxyLocalActivities({ startToCloseTimeout: '1 minute' });

/** Runs every item of the run's index, at most `window` at once. */
export async function bareParent({ run, window }) {
  const { items } = await indexDataset({ run });
  let page = [];
  let next = 0;
  let reading;
  const take = async () => {
    while (page.length === 0 && next < items) {
      reading ??= listItems({ run, from: next, count: 200 }).then((more) => {
        [page, next, reading] = [more, next + more.length, undefined];
      });
      await reading;
    }
    return page.shift();
  };
  const lane = async () => {
    for (let entry = await take(); entry; entry = await take()) await executeChild(bareItem, { args: [entry] });
  };
  await Promise.all(Array.from({ length: Math.min(window, items) }, lane));
}

/** Round 0, feedback, round 1, and the item's record. */
export async function bareItem({ item, caption, trueImage }) {
  const wanted = [
    { subject: { role: 'caption', text: caption }, encoders: ['clip_text'] },
    { subject: { role: 'true', image: trueImage }, encoders: ['image_similarity'] },
  ];
  const start = { arm: null, round: 0, draw: 0 };
  const references = embed({ item, at: start, wanted }).then(({ results }) =>
    Object.assign({}, ...results.map(({ embeddings }) => embeddings)),
  );
  const round = async (at, prompt, feedback) => {
    const { image, seed, tokens, key } = await generateImage({ item, at, prompt });
    const encoders = ['image_similarity', 'clip_text'];
    const { results } = await embed({ item, at, wanted: [{ subject: { role: 'picture', image }, encoders }] });
    const subject = { image, trueImage, embeddings: results[0].embeddings, references: await references };
    const { scores } = await scoreImage({ item, at, subject });
    return { round: at.round, draw: at.draw, seed, prompt, feedback, image, tokens, scores, steps: { generate: key } };
  };
  const part = (value, role) => ({ ...value, role, weight: 1 });
  const first = await round(start, { form: 'join', parts: [part(caption, 'caption')] }, null);
  const at = { arm: 'written', round: 1, draw: 0 };
  const critique = { picture: first.image, features: null, earlier: [], trail: [] };
  const { feedback } = await writeFeedback({ item, at, arm: 'written', critique });
  const second = await round(at, { form: 'join', parts: [part(caption, 'caption'), part(feedback, 'feedback')] }, feedback);
  const best = { round: 1 };
  const arm = { name: 'written', repeat: 0, oracle: true, state: 'improved', rounds: [first, second], best };
  const steps = { executed: 11, cached: 0, retried: 0 };
  const outcome = {
    state: 'improved',
    arms: [{ ...arm, stopped: { ...best, reason: 'rounds' } }],
    steps,
    spent: { images: 2, seconds: 0, usd: 0 },
  };
  await recordItem({ item, outcome });
}
