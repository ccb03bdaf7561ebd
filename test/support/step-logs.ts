import { appendFile, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { RunDetail } from '@fettle/contracts';
import { cancelRun } from '@fettle/operations';
import { until } from './detached.js';
import type { Sshd } from './sshd.js';
import type { TestStack } from './stack.js';

export const hosts = ['host-000', 'host-001', 'host-002'];
export const onAll = (...steps: string[]): string[] =>
  steps.flatMap((step) => hosts.map((host) => `${step} ${host}`)).sort();

/** Writes its name and its host into the log, and then does what is given. */
export const step = (
  log: string,
  id: string,
  then = '',
  more: object = {},
  input: object = {},
): Record<string, unknown> => ({
  id,
  uses: 'ssh.script',
  with: { script: `echo "$1 $2" >> "$HOME/$3"; ${then}`, arguments: [id, '${{ asset.name }}', log], ...input },
  timeout: '25s',
  ...more,
});
/** Ends when a file of the log's name and its own is there; a cancel ends it before. Its time is longer than that of a test. */
export const hangs = (log: string, id: string, more: object = {}, input: object = {}): Record<string, unknown> =>
  step(
    log,
    id,
    `while [ ! -e "$HOME/$3.go-$1" ]; do sleep 0.2; done; echo "$1 $2 done" >> "$HOME/$3"`,
    { timeout: '120s', ...more },
    { detached: false, ...input },
  );
export const statesOf = (run: RunDetail): string[] => run.targets.map(({ state }) => state);
export const stepsOf = (run: RunDetail, asset: string): string[] =>
  (run.targets.find((target) => target.asset === asset)?.steps ?? []).map(
    ({ step: path, state }) => `${path}=${state}`,
  );

/** Runs on three hosts whose steps write into a log, the name of which is also that of the runbook. */
export function stepLogs(stackOf: () => TestStack, sshdOf: () => Sshd) {
  const home = (name: string): string => join(sshdOf().account.home, name);
  const linesOf = async (log: string): Promise<string[]> =>
    (await readFile(home(log), 'utf8').catch(() => '')).split('\n').filter(Boolean).sort();
  const letGo = (log: string, id: string): Promise<void> => appendFile(home(`${log}.go-${id}`), '');
  async function start(name: string, steps: object[], more: object = {}): Promise<string> {
    await stackOf().addRunbook(name, { targets: 'asset.labels.group == "host"', rollback: 'nothing', steps, ...more });
    return (await stackOf().start(name)).id;
  }
  const cancel = (id: string): Promise<unknown> =>
    stackOf().inTransaction((context) => cancelRun(context, id, { reason: 'enough' }));
  const come = (log: string, lines: readonly string[]): Promise<void> =>
    until(`${log}: ${lines.join(', ')}`, async () => {
      const all = await linesOf(log);
      return lines.every((line) => all.includes(line));
    });
  async function kindsOf(id: string): Promise<string[]> {
    const rows: { kind: string }[] = await stackOf().dataSource.query(
      `SELECT DISTINCT kind FROM entry WHERE run_id = $1 ORDER BY kind`,
      [id],
    );
    return rows.map(({ kind }) => kind);
  }

  return { linesOf, letGo, start, cancel, come, kindsOf };
}
