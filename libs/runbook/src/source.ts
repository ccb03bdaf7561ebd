export {
  parseDocuments,
  documentDigest,
  DocumentPlaces,
  type ParsedDocument,
  type ParseResult,
} from './document/parse-documents.js';
export { sourceLimits } from './document/read-yaml.js';
export { closestName } from './document/closest-name.js';
export { validateInputs, type InputsResult } from './document/validate-inputs.js';
