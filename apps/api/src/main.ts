import { parseConfig } from '@fettle/config';
import { createApi, type Api } from './create-app.js';

const forceExitMs = 8000;

async function main(): Promise<void> {
  const config = parseConfig(process.env);
  const api = await createApi(config);
  await api.app.listen(config.port, config.host);
  const address = api.app.getHttpServer().address();
  const port = typeof address === 'object' && address !== null ? address.port : config.port;
  process.stdout.write(`${JSON.stringify({ msg: 'ready', port })}\n`);
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => void stop(api, signal));
}

async function stop(api: Api, signal: string): Promise<void> {
  api.logger.info('stopping', { signal });
  setTimeout(() => process.exit(1), forceExitMs).unref();
  await api.close();
  process.exit(0);
}

main().catch((error: unknown) => {
  process.stderr.write(
    `The API cannot start: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`,
  );
  process.exit(1);
});
