// Run as a program: download-temporal.js FOLDER VERSION. Prints the path of the downloaded executable.
// The SDK's bridge has no "download only": it starts the server it downloaded, which is stopped again at once.
import { readdirSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { DevServerConfig, EphemeralServer, Runtime, RuntimeOptions } from '@temporalio/core-bridge/lib/native.js';

/** The part of @temporalio/core-bridge's native interface used here; the bridge refuses an option that is missing or wrong. */
interface NativeBridge {
  newRuntime(options: RuntimeOptions): Runtime;
  newEphemeralServer(runtime: Runtime, config: DevServerConfig): Promise<EphemeralServer>;
  ephemeralServerShutdown(server: EphemeralServer): Promise<void>;
}

async function main(folder: string, version: string): Promise<void> {
  const require = createRequire(import.meta.url);
  const loaded: unknown = await import(pathToFileURL(require.resolve('@temporalio/core-bridge')).href);
  const { native } = loaded as { native: NativeBridge };
  const runtime = native.newRuntime({
    logExporter: { type: 'console', filter: 'ERROR', format: null },
    telemetry: { metricPrefix: 'temporal_', attachServiceName: false },
    metricsExporter: null,
    workerHeartbeatIntervalMillis: null,
  });
  const server = await native.newEphemeralServer(runtime, {
    type: 'dev-server',
    exe: {
      type: 'cached-download',
      downloadDir: folder,
      version,
      ttl: 0,
      sdkName: 'sdk-typescript',
      sdkVersion: '1.24.0',
    },
    namespace: 'default',
    ip: '127.0.0.1',
    port: null,
    uiPort: null,
    dbFilename: null,
    ui: false,
    log: { format: 'pretty', level: 'error' },
    extraArgs: [],
  });
  await native.ephemeralServerShutdown(server);
  const newest = readdirSync(folder)
    .map((name) => join(folder, name))
    .filter((path) => statSync(path).isFile())
    .sort((a, b) => statSync(b).size - statSync(a).size)[0];
  if (newest === undefined) throw new Error('the download left no file');
  process.stdout.write(`${newest}\n`);
}

const [folder, version] = process.argv.slice(2);
try {
  if (folder === undefined || version === undefined) throw new Error('usage: download-temporal FOLDER VERSION');
  await main(folder, version);
  process.exit(0);
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(1);
}
