// Bundles the workflows once, at build time: every worker starts from the same code and none waits for webpack.
import { writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { bundleWorkflowCode } from '@temporalio/worker';

const { code } = await bundleWorkflowCode({
  workflowsPath: fileURLToPath(new URL('./dist/index.js', import.meta.url)),
  // Evaluating these anew (zod's schemas, the grammar of expressions) would cost each run 50 ms of CPU. They are pure: what they
  // hold is constant, so that runs may share them.
  preloadModules: ['@fettle/contracts', '@fettle/expression', '@fettle/runbook'],
  logger: { log() {}, trace() {}, debug() {}, info() {}, warn: console.warn, error: console.error },
});
await writeFile(new URL('./dist/bundle.cjs', import.meta.url), code);
