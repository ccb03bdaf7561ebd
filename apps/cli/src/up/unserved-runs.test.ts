import { describe, expect, it } from '@jest/globals';
import { unservedIn } from './unserved-runs.js';

describe('what the metrics say of runs without workers', () => {
  it('is read by version, or by the build to which they are pinned; a zero is none', () => {
    const metrics = [
      '# HELP fettle_runs_unserved Open runs that wait',
      '# TYPE fettle_runs_unserved gauge',
      'fettle_runs_unserved{engine_version="1+91084fbf46ee",worker_build=""} 2',
      'fettle_runs_unserved{engine_version="1+91084fbf46ee",worker_build="fettle:blue"} 3',
      'fettle_runs_open{state="running"} 5',
    ].join('\n');
    expect(unservedIn(metrics)).toEqual([
      { version: '1+91084fbf46ee', count: 2 },
      { version: 'fettle:blue', count: 3 },
    ]);
    expect(unservedIn('fettle_runs_unserved{engine_version="",worker_build=""} 0')).toEqual([]);
    expect(unservedIn('')).toEqual([]);
  });
});
