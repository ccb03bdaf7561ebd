// `node apps/worker/dist/replay.js FILE...`: replays recorded histories (`fettle run history RUN --raw FILE`) with the workflows of
// this installation. Before an upgrade: whether the new code can take up the runs that the old one has begun. Exit code 1: it cannot.
import { readFile } from 'node:fs/promises';
import { gunzipSync } from 'node:zlib';
import { quietReplays, replayHistories, type RecordedHistory } from './replay-histories.js';

/** Twice what Temporal lets a history grow to, as JSON. */
const MAX_HISTORY_BYTES = 150 * 2 ** 20;

async function* read(files: readonly string[]): AsyncIterable<RecordedHistory> {
  for (const file of files) {
    const bytes = await readFile(file);
    const text =
      bytes[0] === 0x1f && bytes[1] === 0x8b ? gunzipSync(bytes, { maxOutputLength: MAX_HISTORY_BYTES }) : bytes;
    yield { name: file, history: JSON.parse(text.toString('utf8')) as unknown };
  }
}

const files = process.argv.slice(2);
if (files.length === 0) {
  process.stderr.write('usage: replay.js FILE... (histories as JSON, gzip-compressed or not)\n');
  process.exit(2);
}
quietReplays();
const replayed = await replayHistories(read(files));
for (const { name, fault } of replayed) {
  process.stdout.write(fault === null ? `ok ${name}\n` : `DIFFERS ${name}: ${fault}\n`);
}
process.exit(replayed.some(({ fault }) => fault !== null) ? 1 : 0);
