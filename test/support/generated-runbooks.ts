import { isRecord } from '@fettle/runbook';
import {
  StepGenerator,
  type GeneratedRunbook,
  type GeneratorSettings,
  type Place,
  type Step,
} from './generated-steps.js';

export type { GeneratedRunbook, GeneratorSettings };

/** Says that it was begun, in a file named by its first argument, and goes on until it is ended. */
const HANGING = 'echo hangs > "$1"; sleep 600';
/** In front of the names of those files, before the run and the step. */
export const HANGS = 'hang.';

/** Builds a runbook from numbers: the same numbers give the same runbook. */
export function generateRunbook(tape: readonly number[], settings: GeneratorSettings): GeneratedRunbook {
  return new Generator(tape, settings).build();
}

class Generator extends StepGenerator {
  build(): GeneratedRunbook {
    this.isSequential = this.chance(40);
    const top: Place = {
      depth: 0,
      items: [],
      mayTarget: true,
      isConcurrent: false,
      isShielded: false,
      isCalled: false,
      known: [],
    };
    const spec = this.spec(top);
    const cancels = this.isSequential && this.cancellable.length > 0 && this.chance(30);
    const cancelAt = cancels ? this.oneOf(this.cancellable) : null;
    if (cancelAt !== null) this.kinds.add('cancel');
    const cancelOn = cancelAt === null ? this.hangingStep(spec) : null;
    const isSequential = this.isSequential;
    const [called, fates, signals, kinds] = [this.called, this.fates, this.signals, this.kinds];
    return { spec, called, fates, signals, cancelAt, cancelOn, isSequential, kinds };
  }

  /** A step on targets at which the run is cancelled; a target does not go ahead of others then, so that it is known who is where. */
  protected hangingStep(spec: Record<string, unknown>): string | null {
    if (!this.isSequential || this.hangable.size === 0 || !this.chance(45)) return null;
    const isGuarded = this.guarded.length > 0;
    const id = this.oneOf(isGuarded ? this.guarded : [...this.hangable.keys()]);
    this.kinds.add(isGuarded ? 'cancel-in-target-try' : 'cancel-on-targets');
    this.hang(id);
    delete (spec['rollout'] as Record<string, unknown>)['strategy'];
    return id;
  }

  /** Makes a step on targets hang wherever it is come to. */
  protected hang(id: string): void {
    const input = this.hangable.get(id)!;
    const [counting] = (input['argv'] as string[]).slice(4);
    const file = counting!.replace(`${this.settings.folder}/do.`, `${this.settings.folder}/${HANGS}`);
    input['argv'] = ['/bin/sh', '-c', HANGING, 'sh', file];
    this.fates.set(id, { ...this.fates.get(id)!, fails: 0 });
  }

  protected spec(place: Place): Record<string, unknown> {
    const before = this.handlers;
    this.handlers = {};
    const steps = this.list(place, 4);
    const handlers = this.handlers;
    this.handlers = before;
    return {
      inputs: { type: 'object', properties: { n: { type: 'integer', default: 3 } } },
      targets: this.chance(80) ? 'asset.kind == "server"' : 'asset.labels.number != "2"',
      rollout: this.rollout(),
      assetLock: 'shared',
      ...(this.chance(50) ? { rollback: this.oneOf(['unfinished', 'all', 'nothing']) } : {}),
      steps,
      ...(Object.keys(handlers).length === 0 ? {} : { handlers }),
      outputs: { n: 'inputs.n + 1', failed: 'run.counts.failed' },
      summary: 'failed ${{ run.counts.failed }}',
    };
  }

  protected rollout(): Record<string, unknown> {
    return {
      // With an order, what comes next does not hang on who was quicker.
      orderBy: 'asset.name',
      maxConcurrency: this.oneOf([1, 100]),
      ...(this.chance(30) ? this.waves() : {}),
      ...(this.chance(25) ? { maxFailures: this.oneOf([0, 1, '50%']) } : {}),
      ...(this.chance(15) ? { strict: true } : {}),
      ...(this.chance(30) ? { strategy: 'free' } : {}),
      ...(this.chance(20) ? { soak: '20ms' } : {}),
    };
  }

  protected waves(): Record<string, unknown> {
    const waves = this.oneOf([
      [1, '100%'],
      [1, 2, '100%'],
    ]);
    return { waves, ...(this.chance(50) ? { gate: this.gate() } : {}) };
  }

  /** What has to hold between two waves: of the run's counters, or of the service, which is ill for a few looks. */
  protected gate(): Record<string, unknown> {
    this.kinds.add('gate');
    const required = this.chance(50)
      ? { require: this.oneOf(['run.counts.failed == 0', 'inputs.n < 9', 'inputs.n > 9']) }
      : {};
    if ('require' in required && this.chance(40)) return required;
    const id = this.id('g');
    const isIll = this.chance(10);
    this.fates.set(id, { fails: isIll ? 99 : this.next(3), undoFails: 0, isPoll: true });
    const url = `${this.settings.serviceUrl}/do/${this.key(id, [])}`;
    // One that stays closed looks once.
    const times = isIll
      ? { every: '1h', timeout: '3s' }
      : { every: '5ms', timeout: '1h', consecutive: 1 + this.next(2) };
    const look = { uses: 'http.request', with: { url, successStatus: [200, 503] }, condition: 'result.status == 200' };
    return { ...required, ...look, ...times };
  }

  protected list(place: Place, max: number): Step[] {
    const known = [...place.known];
    return Array.from({ length: 1 + this.next(max) }, () => {
      const step = this.step({ ...place, known });
      const isOfRun = step['uses'] === 'http.request' || 'wait' in step;
      if (isOfRun && isRecord(step['outputs']) && 'code' in step['outputs']) known.push(step['id'] as string);
      return step;
    });
  }

  protected step(place: Place): Step {
    const inside = { ...place, depth: place.depth + 1 };
    const isDeep = place.depth >= 2;
    const flow: (() => Step)[] = [
      () => this.choose(inside),
      () => this.forEach(inside),
      () => this.try(inside),
      ...(this.isSequential ? [] : [() => this.parallel(inside), () => this.parallel(inside)]),
      ...(place.isCalled ? [] : [() => this.call(inside)]),
    ];
    const small: (() => Step)[] = [
      () => this.control(place),
      () => this.control(place),
      () => this.wait(place),
      () => this.poll(place),
      () => this.approval(place),
      ...(place.isCalled || isDeep ? [] : [() => this.signal(place)]),
      ...(place.mayTarget
        ? [
            () => this.target(place),
            () => this.target(place),
            () => this.target(place),
            () => this.file(place),
            () => this.targetTry(place),
          ]
        : []),
    ];
    return !isDeep && this.chance(40) ? this.oneOf(flow)() : this.oneOf(small)();
  }

  // ---- steps with steps in them ----

  protected choose(place: Place): Step {
    this.kinds.add('choose');
    const branches: Step[] = Array.from({ length: 1 + this.next(2) }, () => ({
      when: this.condition(place),
      steps: this.list(place, 2),
    }));
    if (this.chance(60)) branches.push({ steps: this.list(place, 2) });
    return { id: this.id('choose'), choose: branches, ...this.continues() };
  }

  protected forEach(place: Place): Step {
    this.kinds.add('for-each');
    const as = this.id('i');
    const isConcurrent = !this.isSequential && this.chance(40);
    const items = this.oneOf<unknown>([['a', 'b'], '["x", "y"]', [1, 2], ['one'], []]);
    const inside: Place = {
      ...place,
      items: [...place.items, as],
      mayTarget: place.mayTarget && !isConcurrent,
      isConcurrent: place.isConcurrent || isConcurrent,
    };
    return {
      id: this.id('each'),
      forEach: {
        items,
        as,
        steps: this.list(inside, 2),
        ...(isConcurrent ? { concurrency: 2, failFast: false } : { failFast: this.chance(60) }),
      },
      ...(this.chance(40) ? { outputs: { states: 'result.map(one, one.state)' } } : {}),
      ...this.continues(),
      ...this.if(place),
    };
  }

  /**
   * Branches whose steps on targets come first, so that it is known which takes its turn when. One that fails fast stands beside a wait
   * that nothing else would end.
   */
  protected parallel(place: Place): Step {
    this.kinds.add('parallel');
    const inside: Place = { ...place, mayTarget: false, isConcurrent: true };
    if (this.chance(25)) {
      const sleeps = { id: this.id('w'), wait: { duration: '1h' } };
      const branches = { fails: [this.control(inside, { mustFail: true })], sleeps: [sleeps] };
      return { id: this.id('both'), parallel: branches, failFast: true, ...this.continues() };
    }
    const branch = (): Step[] => [
      ...(place.mayTarget && this.chance(40) ? [this.target(inside, { isHandled: true })] : []),
      ...this.list(inside, 2),
    ];
    return { id: this.id('both'), parallel: { left: branch(), right: branch() }, ...this.continues() };
  }

  protected call(place: Place): Step {
    this.kinds.add('call');
    const runbook = `${this.settings.name}-${this.id('called').replace('_', '-')}`;
    const inside: Place = {
      ...place,
      depth: 2,
      items: [],
      mayTarget: this.chance(70),
      isConcurrent: false,
      isCalled: true,
      known: [],
    };
    const spec = this.spec(inside);
    this.called.set(runbook, spec);
    const call = {
      runbook,
      inputs: { n: this.oneOf<unknown>(['${{ inputs.n }}', 7]) },
      ...(this.chance(40) && place.mayTarget ? { targets: 'inherit' } : {}),
    };
    return { id: this.id('call'), call, outputs: { n: 'result.n' }, ...this.continues(), ...this.if(place) };
  }

  protected try(place: Place): Step {
    this.kinds.add('try');
    const noTargets: Place = { ...place, mayTarget: false };
    return {
      ...this.tryOf(
        () => this.list(place, 2),
        () => [this.control(noTargets, { isHandled: true, extra: '?e=${{ error.code }}' }), ...this.list(noTargets, 1)],
        () => this.list({ ...noTargets, isShielded: true }, 2),
      ),
    };
  }
}
