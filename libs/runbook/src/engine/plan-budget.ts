import { FettleError } from '@fettle/contracts';

/** Nodes of a plan: loops are unrolled, and calls are followed. */
const MAX_NODES = 20_000;
/** Characters of JSON that are rendered in all, equal renderings counted each time. */
const MAX_RENDERED_CHARS = 512 * 1024 * 1024;
/** The same where equal ones count once: about what the answer weighs. */
const MAX_SHOWN_CHARS = 32 * 1024 * 1024;

/** Bounds the work and the size of one plan. Each method throws FettleError `limit-exceeded`. */
export class PlanBudget {
  #nodes = 0;
  #rendered = 0;
  #shown = 0;

  node(): void {
    this.#nodes += 1;
    if (this.#nodes > MAX_NODES) throw tooLarge(`more than ${MAX_NODES} steps, those of each iteration counted`);
  }

  rendered(chars: number): void {
    this.#rendered += chars;
    if (this.#rendered > MAX_RENDERED_CHARS) throw tooLarge('too much to render');
  }

  shown(chars: number): void {
    this.#shown += chars;
    if (this.#shown > MAX_SHOWN_CHARS) {
      throw tooLarge(`more than ${MAX_SHOWN_CHARS / 1024 / 1024} MiB of renderings that differ`);
    }
  }
}

function tooLarge(what: string): FettleError {
  return new FettleError({
    code: 'limit-exceeded',
    message: `The plan has ${what}.`,
    remedy: 'Narrow the targets with --on and plan in parts.',
  });
}
