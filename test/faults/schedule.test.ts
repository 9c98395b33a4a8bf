import { chaosSchedule, FAULTS, inWords } from './schedule.js';

test('the same seed gives the same schedule, another gives another', () => {
  expect(chaosSchedule(7, 30)).toEqual(chaosSchedule(7, 30));
  expect(chaosSchedule(8, 30)).not.toEqual(chaosSchedule(7, 30));
});

test('every kind comes before one comes twice, in order of progress, on its own targets and for as long as it may last', () => {
  for (const seed of [0, 1, 7, 2 ** 32 - 1]) {
    const kinds = Object.keys(FAULTS);
    const schedule = chaosSchedule(seed, 2 * kinds.length + 3);
    expect(new Set(schedule.slice(0, kinds.length).map(({ kind }) => kind))).toEqual(new Set(kinds));
    expect(schedule.map(({ at }) => at)).toEqual(schedule.map(({ at }) => at).sort((a, b) => a - b));
    for (const { at, kind, target, seconds } of schedule) {
      expect(at).toBeGreaterThanOrEqual(0.05);
      expect(at).toBeLessThanOrEqual(0.8);
      expect(FAULTS[kind].targets).toContain(target);
      expect(seconds).toBeGreaterThanOrEqual(FAULTS[kind].seconds[0]);
      expect(seconds).toBeLessThanOrEqual(FAULTS[kind].seconds[1]);
    }
  }
});

test('in words', () => {
  expect(inWords({ at: 0.1234, kind: 'kill-cpu', target: 'cpu', seconds: 2.1 })).toBe('at 12.3%: kill-cpu cpu, 2.1 s');
  expect(inWords({ at: 0.5, kind: 'kill-host', target: 'gpu-0', seconds: 0 })).toBe('at 50.0%: kill-host gpu-0');
});
