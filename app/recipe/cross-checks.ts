import { FEEDBACK_KINDS, isBlip2Prompt, METRICS, promptTemplate, type Metric } from '../../core/index.js';
import type { Finding } from './issue-text.js';
import type { FieldPath } from './recipe-source.js';
import { startsWith } from './recipe-source.js';
import { isLocalFeedback, LOCAL_PROVIDER, PLANNED_SOURCES, type ArmShape, type RecipeShape, type ScoreShape } from './schema.js';

/** A finding that depends on several fields; void where one of them was refused already. */
interface CrossFinding extends Finding {
  also?: FieldPath[];
}

/** Checks that no single field can fail. `refused` are the fields that the schema did not accept. */
export function crossFindings(recipe: RecipeShape, refused: FieldPath[]): Finding[] {
  const found = [...datasetFindings(recipe), ...providerFindings(recipe), ...armFindings(recipe), ...scoreFindings(recipe)];
  const touched = (path: FieldPath) => refused.some((r) => startsWith(r, path) || startsWith(path, r));
  return found.filter(({ path, also = [] }) => ![path, ...also].some(touched)).map(({ path, message }) => ({ path, message }));
}

function* datasetFindings({ dataset }: RecipeShape): Iterable<CrossFinding> {
  if (dataset.sample && dataset.limit !== null) {
    yield { path: ['dataset', 'limit'], also: [['dataset', 'sample']], message: 'give either sample or limit, not both' };
  }
}

function* providerFindings({ generator }: RecipeShape): Iterable<CrossFinding> {
  if (generator.provider === LOCAL_PROVIDER) return;
  yield {
    path: ['generator', 'provider'],
    message: `generator provider \`${generator.provider}\` is not in this version yet; name a model folder with \`model:\` alone`,
  };
}

function* armFindings({ arms, generator }: RecipeShape): Iterable<CrossFinding> {
  const controls = arms.filter((arm) => arm.feedback === null);
  for (const [i, arm] of arms.entries()) {
    const at = (...keys: string[]): FieldPath => ['arms', i, ...keys];
    const first = arms.findIndex((other) => other.name === arm.name);
    if (first < i) {
      yield {
        path: at('name'),
        also: [['arms', first, 'name']],
        message: `a second arm named ${arm.name}; every arm needs a name of its own`,
      };
    }
    const { feedback } = arm;
    if (arm.strength !== null) {
      const steps = generator.num_inference_steps;
      if (Math.trunc(steps * arm.strength) < 1) {
        yield {
          path: at('strength'),
          also: [['generator', 'num_inference_steps']],
          message: `${arm.strength} of ${steps} steps leaves none to make: at least ${(1 / steps).toPrecision(2)}`,
        };
      }
      if (feedback === null) {
        yield {
          path: at('strength'),
          also: [at('feedback')],
          message: 'the control draws new images and edits none; give strength to an arm with feedback',
        };
      }
    }
    const unfit = arm.candidates !== null && arm.candidates > 1 ? whyNoCandidates(arm, arms) : null;
    if (unfit !== null) yield { path: at('candidates'), also: [at('feedback')], message: unfit };
    if (feedback === null) {
      const others = arms.flatMap((other, j) => (other.feedback === null && j !== i ? [['arms', j, 'feedback']] : []));
      if (arm !== controls[0]) {
        yield {
          path: at(),
          also: [at('feedback'), ...others],
          message: `a second control (no feedback), beside ${controls[0]!.name}; one control serves all arms: give this one feedback or remove it`,
        };
      }
      if (arm.oracle) {
        yield { path: at('oracle'), also: [at('feedback')], message: 'an arm without feedback is the control and cannot be an oracle' };
      }
    } else if (isPlanned(PLANNED_SOURCES, feedback.source)) {
      yield {
        path: at('feedback', 'source'),
        message: `feedback source \`${feedback.source}\` is not in this version yet; use dataset, shuffled, opt, blip2, vlm, chat or rewrite`,
      };
    } else if (feedback.source === 'blip2' && !isBlip2Prompt(promptTemplate(feedback.prompt))) {
      yield {
        path: at('feedback', 'prompt'),
        message:
          'must hold `{caption}` where the caption goes, and no `{image}`, which BLIP-2 has before its prompt, or be the name of a template such as `paper-blip2`',
      };
    } else if (isLocalFeedback(feedback) && feedback.num_beams > 1 && feedback.do_sample) {
      yield {
        path: at('feedback', 'num_beams'),
        also: [at('feedback', 'do_sample')],
        message: 'beams are searched, not sampled; give either num_beams or do_sample',
      };
    } else if (feedback.source === 'shuffled') {
      const names = arms.map((other) => other.name);
      const from = arms.find((other) => other.name === feedback.from);
      const allNames: FieldPath[] = arms.map((_, j) => ['arms', j, 'name']);
      if (!from) {
        yield {
          path: at('feedback', 'from'),
          also: allNames,
          message: `there is no arm named ${String(feedback.from)}; the arms are ${names.join(', ')}`,
        };
      } else if (from.feedback === null || from.feedback.source === 'shuffled') {
        const what = from.feedback === null ? 'is the control and has no feedback' : 'is a placebo itself';
        yield {
          path: at('feedback', 'from'),
          also: [['arms', arms.indexOf(from), 'feedback']],
          message: `arm ${from.name} ${what}; name an arm that has feedback of its own`,
        };
      } else if (feedback.swap === 'picture' && !looks(from)) {
        yield {
          path: at('feedback', 'swap'),
          also: [['arms', arms.indexOf(from), 'feedback']],
          message: `arm ${from.name} looks at no picture that could be swapped; name the arm of a model, or leave swap out`,
        };
      }
    }
  }
}

function looks({ feedback }: ArmShape): boolean {
  return feedback !== null && !isPlanned(PLANNED_SOURCES, feedback.source) && FEEDBACK_KINDS[feedback.source].looks;
}

/** Why an arm cannot have several candidates a round; `null` where it can. */
function whyNoCandidates(arm: ArmShape, arms: readonly ArmShape[]): string | null {
  const { feedback, candidates } = arm;
  if (feedback === null) return 'the control draws as many images as the others make by itself; give candidates to an arm with feedback';
  if (feedback.source === 'shuffled') {
    const from = arms.find(({ name }) => name === feedback.from);
    return from && (from.candidates ?? 1) !== candidates
      ? `a placebo has the candidates of its arm, ${from.name}: leave it out here`
      : null;
  }
  if (!looks(arm)) return 'feedback that is only looked up is one text a round; candidates are for a model that can write several';
  const greedy = (feedback.source === 'chat' || feedback.source === 'rewrite') && feedback.temperature === 0;
  return greedy ? 'candidates are sampled; give the model a temperature above 0' : null;
}

type Judges = Pick<RecipeShape, 'stop' | 'gate'> & { scores: Omit<RecipeShape['scores'], 'worker'> };

/** Scores that may not be used so, and limits outside of their range. */
export function* scoreFindings({ scores, stop, gate }: Judges): Iterable<CrossFinding> {
  const select = METRICS[scores.select.metric]!;
  if (select.needsTrueImage) {
    const fit = names((metric) => !metric.needsTrueImage);
    yield {
      path: ['scores', 'select'],
      message: `${scores.select.metric} needs the true image, which the selector may not see; use ${fit.join(' or ')}`,
    };
  }
  if (scores.primary.metric === scores.select.metric) {
    const fit = names((_, name) => name !== scores.select.metric);
    yield {
      path: ['scores', 'primary'],
      also: [['scores', 'select']],
      message: `${scores.primary.metric} is also what select uses; a score that picks the images cannot judge them too: use ${fit.join(' or ')}`,
    };
  }
  const entries: Array<[FieldPath, ScoreShape]> = [
    [['scores', 'select'], scores.select],
    [['scores', 'primary'], scores.primary],
    ...scores.report.map((score, i): [FieldPath, ScoreShape] => [['scores', 'report', i], score]),
  ];
  for (const [i, [path, score]] of entries.entries()) {
    const before = entries.slice(0, i).find(([, other]) => other.metric === score.metric && other.model !== score.model);
    if (before) {
      yield {
        path,
        also: [before[0]],
        message: `${score.metric} stands in ${before[0].join('.')} with another model; one run has one of each metric`,
      };
    }
    if (score.model !== null && METRICS[score.metric]!.model === null) {
      yield {
        path: [...path, 'model'],
        also: [[...path, 'metric']],
        message: `${score.metric} compares pixels and needs no model; remove it`,
      };
    }
  }
  const [low, high] = select.range;
  for (const [path, value] of [
    [['stop', 'target'], stop.target],
    [['gate', 'score'], gate.score],
  ] satisfies Array<[FieldPath, number | null]>) {
    if (value !== null && (value < low || value > high)) {
      yield { path, also: [['scores', 'select']], message: `${value} is outside the range of ${scores.select.metric}, ${low} to ${high}` };
    }
  }
}

function names(fits: (metric: Metric, name: string) => boolean): string[] {
  return Object.entries(METRICS).flatMap(([name, metric]) => (fits(metric, name) ? [name] : []));
}

/** Whether a name is one that the recipe format knows and this version cannot run yet. */
export function isPlanned<T extends string>(planned: readonly T[], name: string): name is T {
  return (planned as readonly string[]).includes(name);
}
