/**
 * Counts between which a binomial variable lies with at least the given probability, equal tails; exact, by summing its probabilities.
 * @returns {[number, number]}
 */
export function binomialInterval(trials, rate, level) {
  const tail = (1 - level) / 2;
  let logProbability = trials * Math.log(1 - rate);
  let below = 0;
  let low = null;
  for (let k = 0; k <= trials; k++) {
    below += Math.exp(logProbability);
    if (low === null && below > tail) low = k;
    if (below >= 1 - tail) return [low, k];
    logProbability += Math.log((trials - k) / (k + 1)) + Math.log(rate / (1 - rate));
  }
  return [low ?? trials, trials];
}
