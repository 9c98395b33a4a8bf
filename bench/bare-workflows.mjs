/** The measure that refine runs are held against: items of null activities under one parent, and nothing else. */
import { executeChild, proxyActivities } from '@temporalio/workflow';

const { nothing } = proxyActivities({ startToCloseTimeout: '1 minute' });

/** Runs `items` children, at most `window` at once. */
export async function bareParent({ items, window, activities }) {
  let next = 0;
  const lane = async () => {
    while (next < items) await executeChild(bareItem, { args: [{ item: next++, activities }] });
  };
  await Promise.all(Array.from({ length: Math.min(window, items) }, lane));
}

/** One after the other, as the steps of a loop are. */
export async function bareItem({ item, activities }) {
  for (let n = 0; n < activities; n++) await nothing({ item, n });
}
