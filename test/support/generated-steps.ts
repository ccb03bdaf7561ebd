import type { JsonObject } from '@fettle/runbook';

/** What becomes of the attempts of one step, by its id, which is unique in a generated runbook and those that it calls. */
export interface StepFate {
  /** So many first attempts fail; of a step on targets, for each target by its number. */
  readonly fails: number | readonly number[];
  readonly undoFails: number | readonly number[];
  /** It is repeated until a condition holds: `fails` counts looks that find nothing. */
  readonly isPoll: boolean;
  /** What people say to an approval; `nothing`: it expires. Absent: it is none. */
  readonly decision?: 'approve' | 'reject' | 'nothing' | undefined;
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
  /** The same of a step on targets: it hangs on each target that comes to it, and the run is cancelled once all have; null: it is not. */
  readonly cancelOn: string | null;
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
const COUNTING =
  'n=$(cat "$1" 2>/dev/null || echo 0); n=$((n+1)); echo "$n" > "$1"; k=$2; shift 2; shift "$k"; [ "$n" -gt "$1" ]';

export interface Place {
  readonly depth: number;
  /** Names that items have here. */
  readonly items: readonly string[];
  readonly mayTarget: boolean;
  /** Something else may happen at the same time: what conditions see must not depend on it. */
  readonly isConcurrent: boolean;
  /** Inside of `finally`, which a cancel does not stop. */
  readonly isShielded: boolean;
  /** Inside of a `try` that each target goes through by itself. */
  readonly isGuarded?: boolean | undefined;
  /** Inside of a called runbook. */
  readonly isCalled: boolean;
  /** Ids of steps of the run that have come before, whose outputs can be read here. */
  readonly known: readonly string[];
}

export type Step = Record<string, unknown>;

/** Generates the steps that hold no others. */
export class StepGenerator {
  protected readonly tape: readonly number[];
  protected readonly settings: GeneratorSettings;
  protected readonly fates = new Map<string, StepFate>();
  protected readonly called = new Map<string, Record<string, unknown>>();
  protected readonly signals: { name: string; payload: JsonObject }[] = [];
  protected readonly kinds = new Set<string>();
  protected readonly cancellable: string[] = [];
  /** Steps on targets that can be made to hang, and of these those in a `try`. */
  protected readonly hangable = new Map<string, Step>();
  protected readonly guarded: string[] = [];
  protected handlers: Record<string, Step[]> = {};
  protected at = 0;
  protected ids = 0;
  protected isSequential = false;

  constructor(tape: readonly number[], settings: GeneratorSettings) {
    this.tape = tape;
    this.settings = settings;
  }

  protected next(below: number): number {
    const value = this.tape[this.at % this.tape.length] ?? 0;
    this.at += 1;
    return value % below;
  }
  protected chance(percent: number): boolean {
    return this.next(100) < percent;
  }
  protected oneOf<Item>(items: readonly Item[]): Item {
    return items[this.next(items.length)]!;
  }
  protected id(prefix: string): string {
    this.ids += 1;
    return `${prefix}${this.settings.number}_${this.ids}`;
  }

  // ---- actions ----

  protected failures(): number {
    return this.chance(75) ? 0 : this.oneOf([1, 1, 2, 99]);
  }
  protected failuresOfTargets(): number[] {
    const isQuiet = this.chance(60);
    return Array.from({ length: this.settings.targetCount }, () => (isQuiet ? 0 : this.failures()));
  }
  protected retry(): Step {
    return this.chance(35) ? { retry: { maxAttempts: 2 + this.next(2), backoff: '1ms', maxBackoff: '2ms' } } : {};
  }

  /** Unique to the run, the step and the iteration. */
  protected key(id: string, items: readonly string[]): string {
    return ['${{ run.id }}', id, ...items.map((name) => `\${{ item.${name} }}`)].join('.');
  }

  protected command(
    id: string,
    place: Place,
    fails: readonly number[],
    word: 'do' | 'undo',
    more: string[] = [],
  ): Step {
    const file = `${this.settings.folder}/${word}.${this.key(id, place.items)}.\${{ asset.name }}`;
    const argv = ['/bin/sh', '-c', COUNTING, 'sh', file, '${{ asset.labels.number }}', ...fails.map(String), ...more];
    return { uses: 'ssh.run', with: { argv }, timeout: '20s' };
  }

  protected target(place: Place, more: { readonly extra?: string[]; readonly isHandled?: boolean } = {}): Step {
    const id = this.id('t');
    this.kinds.add('target');
    const fails = this.failuresOfTargets();
    const undoFails = this.failuresOfTargets();
    const hasRollback = this.chance(25);
    if (hasRollback) this.kinds.add('rollback');
    const read = this.readOutput(place);
    this.fates.set(id, { fails, undoFails, isPoll: false });
    const handler = more.isHandled !== true && this.chance(10) ? this.handler(place, true) : null;
    const command = this.command(id, place, fails, 'do', [...(more.extra ?? []), ...read]);
    if (!place.isShielded && !place.isCalled) {
      this.hangable.set(id, command['with'] as Step);
      if (place.isGuarded === true) this.guarded.push(id);
    }
    return {
      id,
      ...command,
      ...this.retry(),
      ...(this.chance(20) ? { if: this.targetCondition() } : {}),
      ...(this.chance(60) ? { outputs: { code: 'result.exitCode' } } : {}),
      ...(hasRollback ? { rollback: this.rollback(this.command(id, place, undoFails, 'undo', read)) } : {}),
      ...(handler !== null ? { onError: handler } : this.chance(15) ? { onError: 'continue' } : {}),
    };
  }

  /** What a step on targets reads of a step of the run, which may not have left it. */
  protected readOutput({ known }: Place): string[] {
    if (known.length === 0 || !this.chance(60)) return [];
    this.kinds.add('reads-run');
    return [`code \${{ steps.${this.oneOf(known)}.code }}`];
  }

  protected rollback(action: Step): Step {
    return { ...action, retry: { maxAttempts: 1 + this.next(2), backoff: '1ms' } };
  }

  protected targetCondition(): string {
    if (this.chance(6)) return 'asset.labels.missing == "x"';
    return this.oneOf(['asset.labels.number != "1"', 'asset.labels.number == "0"', 'inputs.n > 2', 'false']);
  }

  /** A `try` that holds steps on targets only: each target goes through it by itself. */
  protected targetTry(place: Place): Step {
    this.kinds.add('target-try');
    const list = (extra: string[], isShielded = place.isShielded): Step[] =>
      Array.from({ length: 1 + this.next(2) }, () => {
        const inside = { ...place, isShielded, isGuarded: true };
        return this.chance(15) && place.depth < 3
          ? this.targetTry({ ...inside, depth: place.depth + 2 })
          : this.target(inside, { extra, isHandled: true });
      });
    return this.tryOf(
      () => list([]),
      () => list(['${{ error.code }}']),
      () => list([], true),
    );
  }

  protected control(
    place: Place,
    more: { readonly extra?: string; readonly mustFail?: boolean; readonly isHandled?: boolean } = {},
  ): Step {
    const id = this.id('c');
    this.kinds.add('control');
    const fails = more.mustFail === true ? 99 : this.failures();
    const undoFails = this.failures();
    const isPost = this.chance(40);
    const hasRollback = isPost && this.chance(50);
    if (hasRollback) this.kinds.add('rollback');
    this.fates.set(id, { fails, undoFails, isPoll: false });
    if (!place.isShielded && !place.isCalled) this.cancellable.push(id);
    const isPlain = more.mustFail === true || more.isHandled === true;
    const handler = !isPlain && this.chance(10) ? this.handler(place, false) : null;
    const url = (word: string): string =>
      `${this.settings.serviceUrl}/${word}/${this.key(id, place.items)}${more.extra ?? ''}`;
    const onError = handler ?? (more.mustFail !== true && this.chance(20) ? 'continue' : null);
    return {
      id,
      uses: 'http.request',
      with: { url: url('do'), ...(isPost ? { method: 'POST' } : {}) },
      ...this.retry(),
      ...(place.isConcurrent || more.mustFail === true ? {} : this.capacity()),
      ...(more.mustFail !== true && this.chance(20) ? { if: this.condition(place) } : {}),
      outputs: { code: 'result.status' },
      ...(hasRollback
        ? { rollback: this.rollback({ uses: 'http.request', with: { url: url('undo'), method: 'POST' } }) }
        : {}),
      ...(onError === null ? {} : { onError }),
    };
  }

  protected condition({ isConcurrent }: Place): string {
    // Undetermined: the step fails.
    if (this.chance(6)) return 'inputs.missing == 1';
    const fixed = ['inputs.n > 2', 'inputs.n > 5', 'true', 'false'];
    return this.oneOf(isConcurrent ? fixed : [...fixed, 'run.counts.failed > 0', 'run.counts.failed == 0']);
  }

  /** Each is named by one step only, so that its steps are counted once. */
  protected handler(place: Place, isOnTargets: boolean): string {
    const name = this.id('h');
    this.kinds.add('handler');
    this.handlers[name] = [
      isOnTargets
        ? this.target(place, { isHandled: true, extra: ['${{ error.code }}'] })
        : this.control(place, { isHandled: true, extra: '?e=${{ error.code }}' }),
    ];
    return name;
  }

  /** A file, which has the undo of its action unless it says something else. */
  protected file(place: Place): Step {
    const id = this.id('f');
    this.kinds.add('file');
    const isThere = this.chance(85);
    this.fates.set(id, { fails: isThere ? 0 : 99, undoFails: 0, isPoll: false });
    const name = `file.${this.key(id, place.items)}.\${{ asset.name }}`;
    const path = `${this.settings.folder}/${isThere ? '' : 'missing/'}${name}`;
    const rollback = this.oneOf<Step>([{}, {}, {}, { rollback: { none: 'it stays' } }]);
    if (!('rollback' in rollback)) this.kinds.add('compensation');
    return {
      id,
      uses: 'file.put',
      with: { path, content: 'x' },
      timeout: '20s',
      ...rollback,
      ...(this.chance(15) ? { if: this.targetCondition() } : {}),
      ...(this.chance(15) ? { onError: 'continue' } : {}),
    };
  }

  /** Units of a key that nobody else asks for: it is granted at once. */
  protected capacity(): Step {
    if (!this.chance(8)) return {};
    this.kinds.add('capacity');
    const key = this.id('db:k');
    return { capacity: [key, { key: this.id('site:k'), units: 1 }] };
  }

  // ---- waits ----

  protected approval(place: Place): Step {
    this.kinds.add('approval');
    const id = this.id('a');
    const decision = this.oneOf(['approve', 'approve', 'approve', 'reject', 'nothing'] as const);
    this.fates.set(id, { fails: 0, undoFails: 0, isPoll: false, decision });
    const rule = { principals: ['tester'], allowSelf: true, expires: decision === 'nothing' ? '1s' : '1h' };
    const message = this.chance(50) ? { message: 'n is ${{ inputs.n }}' } : {};
    return {
      id,
      approval: { ...rule, ...message },
      ...(this.chance(40) ? { onError: 'continue' } : {}),
      ...this.if(place),
    };
  }

  protected wait(place: Place): Step {
    this.kinds.add('wait');
    const wait = this.chance(8)
      ? { until: 'tomorrow' }
      : this.oneOf<Step>([
          { duration: '5ms' },
          { until: '2020-01-01T00:00:00Z' },
          { until: '${{ "2021-01-01T00:00:00+01:00" }}' },
        ]);
    return { id: this.id('w'), wait, ...(this.chance(40) ? { onError: 'continue' } : {}), ...this.if(place) };
  }

  protected if(place: Place): Step {
    return this.chance(15) ? { if: this.condition(place) } : {};
  }

  protected poll(place: Place): Step {
    this.kinds.add('poll');
    const id = this.id('p');
    this.fates.set(id, { fails: this.next(3), undoFails: 0, isPoll: true });
    const url = `${this.settings.serviceUrl}/do/${this.key(id, place.items)}`;
    const request = { uses: 'http.request', with: { url, successStatus: [200, 503] } };
    const wait = { ...request, condition: 'result.status == 200', every: '5ms', timeout: '1h' };
    return { id, wait, outputs: { code: 'result.status' }, ...this.if(place) };
  }

  protected signal(place: Place): Step {
    this.kinds.add('signal');
    const id = this.id('s');
    const name = `signal-${id.replace('_', '-')}`;
    const comes = this.chance(85);
    // A few more than any loop around it needs.
    if (comes) for (let count = 0; count < 4; count += 1) this.signals.push({ name, payload: { n: 1 } });
    const schema = { type: 'object', properties: { n: { type: 'integer' } }, required: ['n'] };
    const wait = { signal: name, payload: schema, timeout: comes ? '1h' : '100ms' };
    return {
      id,
      wait,
      outputs: { n: 'result.n' },
      ...(this.chance(40) ? { onError: 'continue' } : {}),
      ...this.if(place),
    };
  }

  protected continues(): Step {
    return this.chance(30) ? { onError: 'continue' } : {};
  }

  protected tryOf(body: () => Step[], caught: () => Step[], last: () => Step[]): Step {
    const which = this.next(3);
    return {
      id: this.id('try'),
      try: body(),
      ...(which !== 1 ? { catch: caught() } : {}),
      ...(which !== 0 ? { finally: last() } : {}),
      ...this.continues(),
    };
  }
}
