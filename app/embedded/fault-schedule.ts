import { permutation, uniform } from '../../core/seeds.js';

/** One way in which something may break. */
export interface FaultKind {
  /** What it may strike. */
  targets: readonly string[];
  /** For how long, at least and at most, in seconds. */
  seconds: readonly [number, number];
}

/** A fault of a schedule. */
export interface PlannedFault<Kind extends string = string> {
  /** Share of the run's work that is done when it strikes, so that a slow machine meets it at the same place: 0 to 1. */
  at: number;
  kind: Kind;
  target: string;
  seconds: number;
}

/**
 * Faults in the order in which they strike, evenly over a run but for some chance; each kind comes once before one comes again.
 * The same seed and number give the same schedule.
 * @param between shares of the run's work: the last fault must find a run that is still open
 */
export function faultSchedule<Kind extends string>(
  seed: number,
  faults: number,
  kinds: Record<Kind, FaultKind>,
  [from, to]: readonly [number, number] = [0.05, 0.8],
): PlannedFault<Kind>[] {
  const chance = uniform(seed);
  const between = ([low, high]: readonly [number, number]) => low + (high - low) * chance();
  const names = Object.keys(kinds) as Kind[];
  const order = Array.from({ length: Math.ceil(faults / names.length) }, (_, deal) => permutation(names.length, seed + deal)).flat();
  return order.slice(0, faults).map((name, n) => {
    const kind = names[name]!;
    const { targets, seconds } = kinds[kind];
    return {
      at: from + ((to - from) * (n + chance())) / faults,
      kind,
      target: targets[Math.floor(chance() * targets.length)]!,
      seconds: Math.round(between(seconds) * 10) / 10,
    };
  });
}
