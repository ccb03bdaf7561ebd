import { Context } from '@temporalio/activity';
import { FettleError, type Plan, type RunbookSpec } from '@fettle/contracts';
import {
  beginPlanCheck,
  endPlanCheck,
  findPlanCheck,
  readCheckedPositions,
  readTargetAssets,
  saveCheckResults,
  type PlanCheckResultRow,
  type PlanCheckRow,
} from '@fettle/database';
import { checkDrift, makePlan, systemContext, type PlanSubject } from '@fettle/operations';
import { withDatabasePatience } from '../run/database-retry.js';
import { declaredSecrets } from '../run/declared-secrets.js';
import { storedError } from '../run/judge-error.js';
import { Secrets } from '../run/secrets.js';
import type { WorkerServices } from '../run/services.js';
import { checkedByItself, checkOnTarget, type CheckContext, type Checked, type CheckItem } from './check-target.js';

const HEARTBEAT_INTERVAL_MS = 1000;
/** Targets that are asked at the same time, as a lane has; less where the runbook allows less. */
const MAX_AT_ONCE = 100;
/** What was found is written in groups. */
const GROUP = 200;
const GROUP_MS = 500;
/** More steps on targets than this are not checked at once. */
const MAX_ITEMS = 200_000;

/** The activities of checks of plans, bound to the services of one worker process. */
export function checkActivities(services: WorkerServices) {
  const { dataSource } = services;
  return {
    /** Asks what was not asked yet, and ends the check; one that has ended changes nothing. Rejects where another worker is to go on. */
    async servePlanCheck(checkId: string): Promise<void> {
      const context = Context.current();
      const timer = setInterval(() => context.heartbeat(), HEARTBEAT_INTERVAL_MS);
      try {
        await serve(services, checkId, context.cancellationSignal);
      } finally {
        clearInterval(timer);
      }
    },

    /** Local activity: for a check that no worker came to the end of. */
    async abandonPlanCheck(checkId: string, message: string): Promise<void> {
      await endPlanCheck(dataSource.manager, checkId, { code: 'unavailable', message, remedy: 'Ask for another one.' });
    },
  };
}

export type CheckActivities = ReturnType<typeof checkActivities>;

async function serve(services: WorkerServices, checkId: string, signal: AbortSignal): Promise<void> {
  const { dataSource } = services;
  const row = await withDatabasePatience(() => findPlanCheck(dataSource.manager, checkId));
  if (row === null || row.endedAt !== null) return;
  const end = (error: Parameters<typeof endPlanCheck>[2]): Promise<void> =>
    withDatabasePatience(() => endPlanCheck(dataSource.manager, checkId, error));
  const subject = row.subject as PlanSubject;
  let planned: { readonly plan: Plan; readonly items: readonly CheckItem[] };
  try {
    planned = await planAgain(services, row, subject);
  } catch (error) {
    if (!(error instanceof FettleError)) throw error;
    return end(storedError(error));
  }
  const { plan, items } = planned;
  if (!(await beginPlanCheck(dataSource.manager, checkId, items.length))) return;
  const secrets = new Secrets(services, row.space);
  const names = new Set([...plan.credentials.map(({ name }) => name), ...secretsOf(subject)]);
  const context = { services, secrets, declaredSecrets: [...names], signal };
  const done = await readCheckedPositions(dataSource.manager, checkId);
  const left = items.filter(({ position }) => !done.has(position));
  await new Check(context, checkId).serve(left, atOnce(subject.spec));
  signal.throwIfAborted();
  await end(null);
}

function secretsOf({ spec, inputs }: PlanSubject): readonly string[] {
  return declaredSecrets(spec, inputs);
}

function atOnce({ rollout }: RunbookSpec): number {
  return Math.min(MAX_AT_ONCE, rollout.maxConcurrency);
}

/** Makes the plan again, for the inputs of its steps. Permissions were checked when the check was asked for. */
async function planAgain(
  services: WorkerServices,
  { id, planDigest }: PlanCheckRow,
  subject: PlanSubject,
): Promise<{ readonly plan: Plan; readonly items: readonly CheckItem[] }> {
  const items: CheckItem[] = [];
  const plan = await makePlan(systemContext(services.dataSource.manager, id), subject, (planned) => {
    const { outcome } = planned.outcome;
    if (outcome !== 'run' && outcome !== 'unknown') return;
    if (items.length >= MAX_ITEMS) {
      throw new FettleError({
        code: 'limit-exceeded',
        message: `A check asks of at most ${MAX_ITEMS} steps on targets.`,
        remedy: 'Narrow the targets with `--on`.',
      });
    }
    items.push({ position: items.length, planned });
  });
  if (plan.digest !== planDigest) throw checkDrift(planDigest, plan.digest);
  return { plan, items };
}

/** Asks target by target, the steps of each in the order of the plan, and writes what was found in groups. */
class Check {
  readonly #context: CheckContext;
  readonly #checkId: string;
  #found: PlanCheckResultRow[] = [];
  #writing: Promise<void> = Promise.resolve();

  constructor(context: CheckContext, checkId: string) {
    this.#context = context;
    this.#checkId = checkId;
  }

  async serve(items: readonly CheckItem[], slots: number): Promise<void> {
    const targets = new Map<string, CheckItem[]>();
    for (const item of items) {
      const known = checkedByItself(item.planned);
      const assetId = item.planned.target?.assetId;
      if (known !== null || assetId === undefined) this.#add(item, known ?? nobodyToAsk);
      else targets.set(assetId, [...(targets.get(assetId) ?? []), item]);
    }
    await this.#write();
    const waiting = targets.entries();
    const timer = setInterval(() => void this.#write().catch(() => undefined), GROUP_MS);
    try {
      const serveSome = async (): Promise<void> => {
        for (const [assetId, own] of waiting) await this.#target(assetId, own);
      };
      await Promise.all(Array.from({ length: Math.min(slots, targets.size) }, serveSome));
    } finally {
      clearInterval(timer);
    }
    await this.#write();
  }

  async #target(assetId: string, items: readonly CheckItem[]): Promise<void> {
    const { signal, services } = this.#context;
    if (signal.aborted) return;
    const assets = await withDatabasePatience(() =>
      readTargetAssets(services.dataSource.manager, [assetId], { facts: false }),
    );
    let unreachable: Checked | null = null;
    for (const item of items) {
      // A host that does not answer is not waited for once more for each step.
      const found: Checked = unreachable ?? (await checkOnTarget(this.#context, item.planned, assets.get(assetId)));
      // What was interrupted says nothing of the target.
      if (signal.aborted) return;
      if (found.result === 'unreachable') unreachable = found;
      this.#add(item, found);
      if (this.#found.length >= GROUP) await this.#write();
    }
  }

  #add({ position, planned }: CheckItem, { result, summary, diff }: Checked): void {
    const { path, uses, target } = planned;
    this.#found.push({ position, path, uses, asset: target?.name ?? null, result, summary, diff });
  }

  /** One at a time; what could not be written is kept for the next. */
  #write(): Promise<void> {
    const write = async (): Promise<void> => {
      const rows = this.#found;
      if (rows.length === 0) return;
      this.#found = [];
      const { manager } = this.#context.services.dataSource;
      try {
        await withDatabasePatience(() => saveCheckResults(manager, this.#checkId, rows));
      } catch (error) {
        this.#found.unshift(...rows);
        throw error;
      }
    };
    this.#writing = this.#writing.then(write, write);
    return this.#writing;
  }
}

const nobodyToAsk: Checked = { result: 'cannot-tell', summary: 'it acts on no target', diff: null };
