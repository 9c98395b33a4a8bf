import { stringify } from 'yaml';
import { SPLITS } from './feedback-rows.js';
import type { FeedbackSetDocument } from './write-feedback-set.js';

/** Columns beside `image`, as which Hugging Face's imagefolder reads `file_name`: none may have that name. */
const FEATURES: ReadonlyArray<readonly [name: string, type: string, about: string]> = [
  ['id', 'string', 'the dataset item'],
  ['caption', 'string', 'what the picture should show'],
  ['feedback', 'string', 'what to change about the picture'],
  ['round', 'int64', 'of the picture; 0 is made from the caption alone'],
  ['arm', 'string', 'whose feedback it is'],
  ['pictureDigest', 'string', 'SHA-256 of the picture, its name in the run’s store'],
  ['itemDigest', 'string', 'SHA-256 of the item’s true image: what a model that learnt from this row lists under trainedOn'],
  ['prompt', 'string', 'what the picture was made from'],
  ['seed', 'int64', 'that the picture was made with, by torch'],
];

/** The dataset card of a feedback set, with Hugging Face's YAML head. */
export function feedbackCard({ run, arm, dataset, counts, sample, texts, left }: FeedbackSetDocument, licence: string): string {
  const splits = SPLITS.filter((split) => counts[split] > 0);
  const head = {
    license: licence,
    task_categories: ['image-to-text'],
    pretty_name: `Feedback of ${run}`,
    configs: [{ config_name: 'default', data_files: splits.map((split) => ({ split, path: `${split}/**` })) }],
  };
  const shared = `${(100 * texts.sharedShare).toFixed(0)}%`;
  return `---
${stringify(head)}---

# Feedback of ${run}

What was said about generated pictures, for models that are to say such things: the feedback of arm \`${arm}\` of the refineloop run \`${run}\`
over \`${dataset}\`. ${sample.n} items, drawn with seed ${sample.seed}; ${splits.map((split) => `${counts[split]} rows in ${split}`).join(', ')}.
${texts.distinct} different texts; ${shared} of the rows have a text that is said of several items. ${left.length} items or rounds were left out:
\`feedback-set.json\` says which and why. No item, and no true image, stands in both splits.

| column | type | meaning |
| --- | --- | --- |
${FEATURES.map((row) => `| \`${row[0]}\` | ${row[1]} | ${row[2]} |`).join('\n')}

Licence: ${licence === 'unknown' ? 'the dataset says none; set it before you publish this' : `${licence}, the dataset's`}. The pictures are generated.
`;
}
