import type { z } from 'zod';
import type { Effect } from './states.js';

/** A file that a step would place on a target, as `plan` shows it. */
export interface RenderedFile {
  readonly path: string;
  /** Octal text such as `0644`. */
  readonly mode: string;
  readonly sha256: string;
  readonly sizeBytes: number;
}

/** A call to a service, as `plan` shows it. */
export interface RenderedCall {
  readonly method: string;
  readonly url: string;
}

/** What an action would do: computed purely from the input, shown by `plan` and executed by the implementation. */
export interface Rendered {
  /** Commands as argument vectors, in order; never a shell line. */
  readonly argv: readonly (readonly string[])[];
  /** Whom commands and files are run and written as, through sudo; absent: whoever logs in. */
  readonly becomeUser?: string | undefined;
  readonly files: readonly RenderedFile[];
  readonly calls: readonly RenderedCall[];
}

/** What `render` may know of a target. */
export interface RenderTarget {
  readonly assetId: string;
  readonly name: string;
}

/** What a probe reads: shown to people, and carried out by the implementation. It changes nothing. */
export interface ProbeLook {
  /** A command that only reads, as an argument vector; its exit code is the answer. Null: none. */
  readonly argv: readonly string[] | null;
  /** Paths of the files that are looked at on the target. */
  readonly files: readonly string[];
}

/** What a probe found out. */
export interface ProbeAnswer {
  /**
   * `present`: what the step is for stands already, nothing is (any more) to be done. `absent`: it is not there. `differs`: something
   * else is there, which the step would change. `unclear`: it cannot be told, `summary` says why.
   */
  readonly state: 'present' | 'absent' | 'differs' | 'unclear';
  /** For a person: what would change, or why it cannot be told. */
  readonly summary: string;
  /** Unified diff of what is there and what would be, where everybody on the target may read it; null: none. */
  readonly diff: string | null;
}

/** What a probe of an input would read; null: for this input there is none. A method, so that contracts stay assignable to each other. */
type LookOf<Input extends z.ZodType> = { look(input: z.output<Input>): ProbeLook | null }['look'];

/** The undo that an action brings with it: pure, so that plan, rehearsal and rollback know the same. */
export interface Compensation<Input> {
  /** What it does, in a few words: shown by `plan`. */
  readonly summary: string;
  /** Name of the action on targets that does it. */
  readonly uses: string;
  /** Its input, from what the step was given; null: that leaves nothing to undo. */
  input(done: Input): Readonly<Record<string, unknown>> | null;
}

/**
 * The single source of an action: declared once, beside its implementation. Validation, plan, forms, reference pages and the
 * worker's registry derive from it.
 */
export interface ActionContract<
  Input extends z.ZodType = z.ZodType,
  Output extends z.ZodType = z.ZodType,
  Probe extends LookOf<Input> | null = LookOf<Input> | null,
> {
  /** Dotted name, e.g. `ssh.run`. */
  readonly name: string;
  readonly version: number;
  readonly summary: string;
  readonly input: Input;
  /** Shape of what later steps may read as `steps.<id>`; at most 4 KiB as JSON for control scope, 64 KiB for target scope. */
  readonly output: Output;
  /** `target`: once for each target of the run. `control`: once for the run, from the worker. */
  readonly scope: 'target' | 'control';
  /** What a second execution would do. May depend on the input where the input says it (`effect: read-only`). */
  effect(input: z.output<Input>): Effect;
  readonly defaultTimeoutMs: number;
  readonly maxTimeoutMs: number;
  /** Whether its command is to outlive the connection and the worker, found again by its token; absent: never. */
  detached?(input: z.output<Input>, timeoutMs: number): boolean;
  /**
   * Paths in the input that name credentials, e.g. `become.credential`; `*` stands for every member of a map or list. The worker opens these for the implementation and no
   * others; their values are never stored.
   */
  readonly secretInputs: readonly string[];
  /**
   * How what the action did on a target is undone, where its step has no `rollback` of its own; null: the action has no undo. One of
   * control scope has none.
   */
  readonly compensation: Compensation<z.output<Input>> | null;
  /**
   * What is looked at to find out whether the effect is there, or would change something; null: nothing can be, and what is uncertain
   * stays `unknown`. With it, the implementation must have a probe, and without it, must have none.
   */
  readonly probe: Probe;
  /** Set where it means something only as a rollback: it needs to know of the step that it undoes. */
  readonly onlyUndoes?: true;
  /** Set where it renews the asset's facts: what a plan knows of them need not hold for the steps after it. */
  readonly changesFacts?: boolean;
  /** Members of the output that a rehearsal makes up where nothing is mocked, in place of empty texts, 0 and false. */
  sample?(input: z.output<Input>): Readonly<Record<string, string | number | boolean>>;
  /** Shown by `plan` and executed by the implementation, which is given it with its input. */
  render(input: z.output<Input>, target: RenderTarget): Rendered;
}

/** Checks the shape of a contract at compile time and keeps its literal types. */
export function defineAction<Input extends z.ZodType, Output extends z.ZodType, Probe extends LookOf<Input> | null>(
  contract: ActionContract<Input, Output, Probe>,
): ActionContract<Input, Output, Probe> {
  return Object.freeze(contract);
}
