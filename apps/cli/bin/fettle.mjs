#!/usr/bin/env node
import { existsSync } from 'node:fs';

const program = new URL('../dist/main.js', import.meta.url);
if (existsSync(program)) {
  await import(program.href);
} else {
  process.stderr.write(
    'error: Fettle is not built here\n  what to do: run `npm start`, or `npm ci && npm run build`\n',
  );
  process.exitCode = 1;
}
