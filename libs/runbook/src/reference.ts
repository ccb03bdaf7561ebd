// What documents the language: for the CLI, for editors, and for the generated pages.
export { documentSchema, type JsonSchema } from './reference/document-schema.js';
export { languagePage } from './reference/language-page.js';
export { fieldSections, type FieldSection, type SectionName } from './reference/field-descriptions.js';
export { findingCodes, type FindingCode } from './reference/finding-codes.js';
