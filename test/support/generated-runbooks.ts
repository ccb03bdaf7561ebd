import type { JsonObject } from '@fettle/runbook';

/** What becomes of the attempts of one step, by its id, which is unique in a generated runbook and those that it calls. */
export interface StepFate {
  /** So many first attempts fail; of a step on targets, for each target by its number. */
  readonly fails: number | readonly number[];
  readonly undoFails: number | readonly number[];
  /** It is repeated until a condition holds: `fails` counts looks that find nothing. */
  readonly isPoll: boolean;
}

export interface GeneratedRunbook {
  readonly spec: Record<string, unknown>;
  /** By name; the steps of the runbook call them. */
  readonly called: ReadonlyMap<string, Record<string, unknown>>;
  readonly fates: ReadonlyMap<string, StepFate>;
  /** Sent as soon as the run has been started. */
  readonly signals: readonly { readonly name: string; readonly payload: JsonObject }[];
  /** The run is cancelled while this step of the run is in flight; null: it is not. */
  readonly cancelAt: string | null;
  /** Nothing happens beside something else, but for targets: the order of entries is known. */
  readonly isSequential: boolean;
  /** What kinds of steps it has. */
  readonly kinds: ReadonlySet<string>;
}

export interface GeneratorSettings {
  readonly name: string;
  /** In front of its ids: no two generated runbooks share one. */
  readonly number: number;
  readonly serviceUrl: string;
  /** Where scripts on hosts count their attempts. */
  readonly folder: string;
  readonly targetCount: number;
}

/** Counts calls by a file named by its first argument; succeeds once there were more than the number for this target. */
const COUNTING = 'n=$(cat "$1" 2>/dev/null || echo 0); n=$((n+1)); echo "$n" > "$1"; k=$2; shift 2; shift "$k"; [ "$n" -gt "$1" ]';

interface Place {
  readonly depth: number;
  /** Names that items have here. */
  readonly items: readonly string[];
  readonly mayTarget: boolean;
  /** Something else may happen at the same time: what conditions see must not depend on it. */
  readonly isConcurrent: boolean;
  /** Inside of `finally`, which a cancel does not stop. */
  readonly isShielded: boolean;
  /** Inside of a called runbook. */
  readonly isCalled: boolean;
}

type Step = Record<string, unknown>;

/** Builds a runbook from numbers: the same numbers give the same runbook. */
export function generateRunbook(tape: readonly number[], settings: GeneratorSettings): GeneratedRunbook {
  return new Generator(tape, settings).build();
}

class Generator {
  readonly #tape: readonly number[];
  readonly #settings: GeneratorSettings;
  readonly #fates = new Map<string, StepFate>();
  readonly #called = new Map<string, Record<string, unknown>>();
  readonly #signals: { name: string; payload: JsonObject }[] = [];
  readonly #kinds = new Set<string>();
  readonly #cancellable: string[] = [];
  #handlers: Record<string, Step[]> = {};
  #at = 0;
  #ids = 0;
  #isSequential = false;

  constructor(tape: readonly number[], settings: GeneratorSettings) {
    this.#tape = tape;
    this.#settings = settings;
  }

  build(): GeneratedRunbook {
    this.#isSequential = this.#chance(50);
    const top: Place = {
      depth: 0,
      items: [],
      mayTarget: true,
      isConcurrent: false,
      isShielded: false,
      isCalled: false,
    };
    const spec = this.#spec(top);
    const cancels = this.#isSequential && this.#cancellable.length > 0 && this.#chance(30);
    const cancelAt = cancels ? this.#oneOf(this.#cancellable) : null;
    if (cancelAt !== null) this.#kinds.add('cancel');
    const isSequential = this.#isSequential;
    const [called, fates, signals, kinds] = [this.#called, this.#fates, this.#signals, this.#kinds];
    return { spec, called, fates, signals, cancelAt, isSequential, kinds };
  }

  #next(below: number): number {
    const value = this.#tape[this.#at % this.#tape.length] ?? 0;
    this.#at += 1;
    return value % below;
  }
  #chance(percent: number): boolean {
    return this.#next(100) < percent;
  }
  #oneOf<Item>(items: readonly Item[]): Item {
    return items[this.#next(items.length)]!;
  }
  #id(prefix: string): string {
    this.#ids += 1;
    return `${prefix}${this.#settings.number}_${this.#ids}`;
  }

  #spec(place: Place): Record<string, unknown> {
    const before = this.#handlers;
    this.#handlers = {};
    const steps = this.#list(place, 4);
    const handlers = this.#handlers;
    this.#handlers = before;
    return {
      inputs: { type: 'object', properties: { n: { type: 'integer', default: 3 } } },
      targets: this.#chance(80) ? 'asset.kind == "server"' : 'asset.labels.number != "2"',
      rollout: this.#rollout(),
      assetLock: 'shared',
      ...(this.#chance(50) ? { rollback: this.#oneOf(['unfinished', 'all', 'nothing']) } : {}),
      steps,
      ...(Object.keys(handlers).length === 0 ? {} : { handlers }),
      outputs: { n: 'inputs.n + 1', failed: 'run.counts.failed' },
      summary: 'failed ${{ run.counts.failed }}',
    };
  }

  #rollout(): Record<string, unknown> {
    return {
      // With an order, what comes next does not hang on who was quicker.
      orderBy: 'asset.name',
      maxConcurrency: this.#oneOf([1, 100]),
      ...(this.#chance(30) ? { waves: [1, '100%'] } : {}),
      ...(this.#chance(25) ? { maxFailures: this.#oneOf([0, 1, '50%']) } : {}),
      ...(this.#chance(15) ? { strict: true } : {}),
      ...(this.#chance(30) ? { strategy: 'free' } : {}),
      ...(this.#chance(20) ? { soak: '20ms' } : {}),
    };
  }

  #list(place: Place, max: number): Step[] {
    return Array.from({ length: 1 + this.#next(max) }, () => this.#step(place));
  }

  #step(place: Place): Step {
    const inside = { ...place, depth: place.depth + 1 };
    const isDeep = place.depth >= 2;
    const flow: (() => Step)[] = [
      () => this.#choose(inside),
      () => this.#forEach(inside),
      () => this.#try(inside),
      ...(this.#isSequential ? [] : [() => this.#parallel(inside)]),
      ...(place.isCalled ? [] : [() => this.#call(inside)]),
    ];
    const small: (() => Step)[] = [
      () => this.#control(place),
      () => this.#control(place),
      () => this.#wait(place),
      () => this.#poll(place),
      ...(place.isCalled || isDeep ? [] : [() => this.#signal(place)]),
      ...(place.mayTarget
        ? [() => this.#target(place), () => this.#target(place), () => this.#target(place), () => this.#targetTry(place)]
        : []),
    ];
    return !isDeep && this.#chance(40) ? this.#oneOf(flow)() : this.#oneOf(small)();
  }

  // ---- actions ----

  #failures(): number {
    return this.#oneOf([0, 0, 0, 0, 0, 1, 2, 99]);
  }
  #failuresOfTargets(): number[] {
    const isQuiet = this.#chance(60);
    return Array.from({ length: this.#settings.targetCount }, () => (isQuiet ? 0 : this.#failures()));
  }
  #retry(): Step {
    return this.#chance(35) ? { retry: { maxAttempts: 2 + this.#next(2), backoff: '1ms', maxBackoff: '2ms' } } : {};
  }

  /** Unique to the run, the step and the iteration. */
  #key(id: string, items: readonly string[]): string {
    return ['${{ run.id }}', id, ...items.map((name) => `\${{ item.${name} }}`)].join('.');
  }

  #command(id: string, place: Place, fails: readonly number[], word: 'do' | 'undo', more: string[] = []): Step {
    const file = `${this.#settings.folder}/${word}.${this.#key(id, place.items)}.\${{ asset.name }}`;
    const argv = ['/bin/sh', '-c', COUNTING, 'sh', file, '${{ asset.labels.number }}', ...fails.map(String), ...more];
    return { uses: 'ssh.run', with: { argv }, timeout: '20s' };
  }

  #target(place: Place, more: { readonly extra?: string[]; readonly isHandled?: boolean } = {}): Step {
    const id = this.#id('t');
    this.#kinds.add('target');
    const fails = this.#failuresOfTargets();
    const undoFails = this.#failuresOfTargets();
    const hasRollback = this.#chance(25);
    if (hasRollback) this.#kinds.add('rollback');
    this.#fates.set(id, { fails, undoFails, isPoll: false });
    const handler = more.isHandled !== true && this.#chance(10) ? this.#handler(place, true) : null;
    return {
      id,
      ...this.#command(id, place, fails, 'do', more.extra),
      ...this.#retry(),
      ...(this.#chance(20) ? { if: this.#targetCondition() } : {}),
      ...(this.#chance(60) ? { outputs: { code: 'result.exitCode' } } : {}),
      ...(hasRollback ? { rollback: this.#rollback(this.#command(id, place, undoFails, 'undo')) } : {}),
      ...(handler !== null ? { onError: handler } : this.#chance(15) ? { onError: 'continue' } : {}),
    };
  }

  #rollback(action: Step): Step {
    return { ...action, retry: { maxAttempts: 1 + this.#next(2), backoff: '1ms' } };
  }

  #targetCondition(): string {
    return this.#oneOf([
      'asset.labels.number != "1"',
      'asset.labels.number == "0"',
      'inputs.n > 2',
      'false',
      'asset.labels.missing == "x"',
    ]);
  }

  /** A `try` that holds steps on targets only: each target goes through it by itself. */
  #targetTry(place: Place): Step {
    this.#kinds.add('target-try');
    const list = (extra: string[]): Step[] =>
      Array.from({ length: 1 + this.#next(2) }, () =>
        this.#chance(15) && place.depth < 3
          ? this.#targetTry({ ...place, depth: place.depth + 2 })
          : this.#target(place, { extra, isHandled: true }),
      );
    return this.#tryOf(() => list([]), () => list(['${{ error.code }}']), () => list([]));
  }

  #control(place: Place, more: { readonly extra?: string; readonly mustFail?: boolean; readonly isHandled?: boolean } = {}): Step {
    const id = this.#id('c');
    this.#kinds.add('control');
    const fails = more.mustFail === true ? 99 : this.#failures();
    const undoFails = this.#failures();
    const isPost = this.#chance(40);
    const hasRollback = isPost && this.#chance(50);
    if (hasRollback) this.#kinds.add('rollback');
    this.#fates.set(id, { fails, undoFails, isPoll: false });
    if (!place.isShielded && !place.isCalled) this.#cancellable.push(id);
    const isPlain = more.mustFail === true || more.isHandled === true;
    const handler = !isPlain && this.#chance(10) ? this.#handler(place, false) : null;
    const url = (word: string): string => `${this.#settings.serviceUrl}/${word}/${this.#key(id, place.items)}${more.extra ?? ''}`;
    const onError = handler ?? (more.mustFail !== true && this.#chance(20) ? 'continue' : null);
    return {
      id,
      uses: 'http.request',
      with: { url: url('do'), ...(isPost ? { method: 'POST' } : {}) },
      ...this.#retry(),
      ...(more.mustFail !== true && this.#chance(20) ? { if: this.#condition(place) } : {}),
      outputs: { code: 'result.status' },
      ...(hasRollback
        ? { rollback: this.#rollback({ uses: 'http.request', with: { url: url('undo'), method: 'POST' } }) }
        : {}),
      ...(onError === null ? {} : { onError }),
    };
  }

  #condition({ isConcurrent }: Place): string {
    const fixed = ['inputs.n > 2', 'inputs.n > 5', 'true', 'false', 'inputs.missing == 1'];
    return this.#oneOf(isConcurrent ? fixed : [...fixed, 'run.counts.failed > 0', 'run.counts.failed == 0']);
  }

  /** Each is named by one step only, so that its steps are counted once. */
  #handler(place: Place, isOnTargets: boolean): string {
    const name = this.#id('h');
    this.#kinds.add('handler');
    this.#handlers[name] = [
      isOnTargets
        ? this.#target(place, { isHandled: true, extra: ['${{ error.code }}'] })
        : this.#control(place, { isHandled: true, extra: '?e=${{ error.code }}' }),
    ];
    return name;
  }

  // ---- waits ----

  #wait(place: Place): Step {
    this.#kinds.add('wait');
    const wait = this.#oneOf<Step>([
      { duration: '5ms' },
      { until: '2020-01-01T00:00:00Z' },
      { until: 'tomorrow' },
      { until: '${{ "2021-01-01T00:00:00+01:00" }}' },
    ]);
    return { id: this.#id('w'), wait, ...(this.#chance(40) ? { onError: 'continue' } : {}), ...this.#if(place) };
  }

  #if(place: Place): Step {
    return this.#chance(15) ? { if: this.#condition(place) } : {};
  }

  #poll(place: Place): Step {
    this.#kinds.add('poll');
    const id = this.#id('p');
    this.#fates.set(id, { fails: this.#next(3), undoFails: 0, isPoll: true });
    const url = `${this.#settings.serviceUrl}/do/${this.#key(id, place.items)}`;
    const request = { uses: 'http.request', with: { url, successStatus: [200, 503] } };
    const wait = { ...request, condition: 'result.status == 200', every: '5ms', timeout: '1h' };
    return { id, wait, outputs: { code: 'result.status' }, ...this.#if(place) };
  }

  #signal(place: Place): Step {
    this.#kinds.add('signal');
    const id = this.#id('s');
    const name = `signal-${id.replace('_', '-')}`;
    const comes = this.#chance(75);
    // A few more than any loop around it needs.
    if (comes) for (let count = 0; count < 4; count += 1) this.#signals.push({ name, payload: { n: 1 } });
    const schema = { type: 'object', properties: { n: { type: 'integer' } }, required: ['n'] };
    const wait = { signal: name, payload: schema, timeout: comes ? '1h' : '100ms' };
    return { id, wait, outputs: { n: 'result.n' }, ...(this.#chance(40) ? { onError: 'continue' } : {}), ...this.#if(place) };
  }

  // ---- steps with steps in them ----

  #choose(place: Place): Step {
    this.#kinds.add('choose');
    const branches: Step[] = Array.from({ length: 1 + this.#next(2) }, () => ({
      when: this.#condition(place),
      steps: this.#list(place, 2),
    }));
    if (this.#chance(60)) branches.push({ steps: this.#list(place, 2) });
    return { id: this.#id('choose'), choose: branches, ...this.#continues() };
  }

  #continues(): Step {
    return this.#chance(30) ? { onError: 'continue' } : {};
  }

  #forEach(place: Place): Step {
    this.#kinds.add('for-each');
    const as = this.#id('i');
    const isConcurrent = !this.#isSequential && this.#chance(40);
    const items = this.#oneOf<unknown>([['a', 'b'], '["x", "y"]', [1, 2], ['one'], []]);
    const inside: Place = {
      ...place,
      items: [...place.items, as],
      mayTarget: place.mayTarget && !isConcurrent,
      isConcurrent: place.isConcurrent || isConcurrent,
    };
    return {
      id: this.#id('each'),
      forEach: {
        items,
        as,
        steps: this.#list(inside, 2),
        ...(isConcurrent ? { concurrency: 2, failFast: false } : { failFast: this.#chance(60) }),
      },
      ...(this.#chance(40) ? { outputs: { states: 'result.map(one, one.state)' } } : {}),
      ...this.#continues(),
      ...this.#if(place),
    };
  }

  /**
   * Branches whose steps on targets come first, so that it is known which takes its turn when. One that fails fast stands beside a wait
   * that nothing else would end.
   */
  #parallel(place: Place): Step {
    this.#kinds.add('parallel');
    const inside: Place = { ...place, mayTarget: false, isConcurrent: true };
    if (this.#chance(25)) {
      const sleeps = { id: this.#id('w'), wait: { duration: '1h' } };
      const branches = { fails: [this.#control(inside, { mustFail: true })], sleeps: [sleeps] };
      return { id: this.#id('both'), parallel: branches, failFast: true, ...this.#continues() };
    }
    const branch = (): Step[] => [
      ...(place.mayTarget && this.#chance(40) ? [this.#target(inside, { isHandled: true })] : []),
      ...this.#list(inside, 2),
    ];
    return { id: this.#id('both'), parallel: { left: branch(), right: branch() }, ...this.#continues() };
  }

  #call(place: Place): Step {
    this.#kinds.add('call');
    const runbook = `${this.#settings.name}-${this.#id('called').replace('_', '-')}`;
    const inside: Place = { ...place, depth: 2, items: [], mayTarget: this.#chance(70), isConcurrent: false, isCalled: true };
    const spec = this.#spec(inside);
    this.#called.set(runbook, spec);
    const call = {
      runbook,
      inputs: { n: this.#oneOf<unknown>(['${{ inputs.n }}', 7]) },
      ...(this.#chance(40) && place.mayTarget ? { targets: 'inherit' } : {}),
    };
    return { id: this.#id('call'), call, outputs: { n: 'result.n' }, ...this.#continues(), ...this.#if(place) };
  }

  #try(place: Place): Step {
    this.#kinds.add('try');
    const noTargets: Place = { ...place, mayTarget: false };
    return {
      ...this.#tryOf(
        () => this.#list(place, 2),
        () => [this.#control(noTargets, { isHandled: true, extra: '?e=${{ error.code }}' }), ...this.#list(noTargets, 1)],
        () => this.#list({ ...noTargets, isShielded: true }, 2),
      ),
    };
  }

  #tryOf(body: () => Step[], caught: () => Step[], last: () => Step[]): Step {
    const which = this.#next(3);
    return {
      id: this.#id('try'),
      try: body(),
      ...(which !== 1 ? { catch: caught() } : {}),
      ...(which !== 0 ? { finally: last() } : {}),
      ...this.#continues(),
    };
  }
}
