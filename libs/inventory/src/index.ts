export * from './import-row.js';
export * from './canonical.js';
export { importColumns, type ImportColumn } from './columns.js';
export { parseCsvInventory, type CsvImportOptions } from './csv.js';
