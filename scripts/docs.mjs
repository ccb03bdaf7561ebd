// `npm run docs`: writes the generated pages of docs/reference: the language and its JSON Schema. A test says where they are stale.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { root, say, setUp } from './stages.mjs';

await setUp();
const { actionContracts } = await import('@fettle/activities/contracts');
const { documentSchema, languagePage } = await import('@fettle/runbook/reference');
const pages = {
  'fettle-v1.schema.json': `${JSON.stringify(documentSchema(actionContracts), null, 2)}\n`,
  'language.md': languagePage(actionContracts),
};
for (const [name, text] of Object.entries(pages)) {
  writeFileSync(join(root, 'docs/reference', name), text);
  say(`wrote docs/reference/${name}`);
}
