// One activity a host, as a programmer would write it: at most so many at once, and the failures counted.
import { proxyActivities, proxyLocalActivities } from '@temporalio/workflow';

const { host } = proxyActivities({ startToCloseTimeout: '1 minute', retry: { maximumAttempts: 3 } });
const { begin, end } = proxyLocalActivities({ startToCloseTimeout: '10 seconds' });

export async function plainRollout(runId, hosts, atOnce) {
  await begin(runId);
  let next = 0;
  let failed = 0;
  const serve = async () => {
    for (let index = next++; index < hosts; index = next++) if (!(await host(runId, `h${index}`))) failed += 1;
  };
  await Promise.all(Array.from({ length: atOnce }, serve));
  await end(runId);
  return failed;
}
