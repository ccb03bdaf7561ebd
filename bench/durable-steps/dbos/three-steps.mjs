// Three durable steps with DBOS, whose state lies in Postgres: DATABASE_URL, RUNS, AT_ONCE -> one line of JSON.
import { DBOS } from '@dbos-inc/dbos-sdk';

const { DATABASE_URL, RUNS, AT_ONCE } = process.env;
const threeSteps = DBOS.registerWorkflow(
  async () => {
    for (const name of ['s0', 's1', 's2']) await DBOS.runStep(async () => null, { name });
  },
  { name: 'threeSteps' },
);
DBOS.setConfig({ name: 'three-steps', systemDatabaseUrl: DATABASE_URL, runAdminServer: false, logLevel: 'error' });
await DBOS.launch();
await threeSteps();
const cpuBefore = process.cpuUsage();
const startedAtMs = performance.now();
let left = Number(RUNS);
await Promise.all(
  Array.from({ length: Number(AT_ONCE) }, async () => {
    while (left-- > 0) await threeSteps();
  }),
);
const wallMs = performance.now() - startedAtMs;
const cpu = process.cpuUsage(cpuBefore);
await DBOS.shutdown();
process.stdout.write(`${JSON.stringify({ wallMs, cpuMs: (cpu.user + cpu.system) / 1000 })}\n`);
process.exit(0);
