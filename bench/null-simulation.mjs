/**
 * How often the statistics claim a gain where there is none: datasets of paired differences whose mean is 0, through the product's own
 * test and interval.
 *
 *     node bench/null-simulation.mjs [--datasets 5000] [--n 24,200] [--seed 1]
 */
import { parseArgs } from 'node:util';
import { seedOf, uniform } from '../dist/core/index.js';
import { bcaBootstrap, signFlipTest } from '../dist/engine/metrics/index.js';
import { binomialInterval } from './binomial-interval.mjs';

const { values } = parseArgs({
  options: {
    datasets: { type: 'string', default: '5000' },
    n: { type: 'string', default: '24,200' },
    seed: { type: 'string', default: '1' },
  },
});
const datasets = Number(values.datasets);

/** Differences with mean 0. The sign-flip test supposes that they are symmetric, which the last shape is not. */
const SHAPES = {
  normal: (random) => gauss(random),
  'heavy tails (t, 3 degrees of freedom)': (random) =>
    gauss(random) / Math.sqrt((gauss(random) ** 2 + gauss(random) ** 2 + gauss(random) ** 2) / 3),
  'many ties (-1, 0, 0, 0, 1)': (random) => [-1, 0, 0, 0, 1][Math.floor(random() * 5)],
  'skewed (exponential - 1)': (random) => -Math.log(1 - random()) - 1,
};

function gauss(random) {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}

const [low, high] = binomialInterval(datasets, 0.05, 0.999);
console.log(
  `${datasets} datasets each; 99.9% interval of a rate of 0.05: ${(low / datasets).toFixed(4)} to ${(high / datasets).toFixed(4)}\n`,
);
console.log('| differences | n | p < 0.05 | within | 95% interval holds 0 |');
console.log('| ----------- | - | -------- | ------ | -------------------- |');
for (const n of values.n.split(',').map(Number)) {
  for (const [shape, draw] of Object.entries(SHAPES)) {
    const random = uniform(seedOf(Number(values.seed), `${shape}/${n}`, 0));
    let significant = 0;
    let covered = 0;
    for (let i = 0; i < datasets; i++) {
      const differences = Array.from({ length: n }, () => draw(random));
      if (signFlipTest(differences, `null ${i}`) < 0.05) significant++;
      const [lo, hi] = bcaBootstrap(differences, `null ${i}`).interval;
      if (lo <= 0 && hi >= 0) covered++;
    }
    const within = significant >= low && significant <= high ? 'yes' : significant < low ? 'below' : 'above';
    console.log(`| ${shape} | ${n} | ${(significant / datasets).toFixed(4)} | ${within} | ${(covered / datasets).toFixed(4)} |`);
  }
}
