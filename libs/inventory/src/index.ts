export * from './import-row.js';
export * from './canonical.js';
export { importColumns, type ImportColumn } from './columns.js';
export { parseCsvInventory, type CsvImportOptions } from './csv.js';
export { parseAnsibleInventory, type AnsibleImportOptions } from './ansible/parse.js';
export type { InventoryFile } from './ansible/variable-files.js';
export {
  MAX_GROUPS_OF_LABEL,
  renderAnsibleInventory,
  type AnsibleInventoryGroup,
  type AnsibleInventoryList,
  type InventoryAsset,
} from './render-ansible.js';
