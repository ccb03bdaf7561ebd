export { parseDocuments, documentDigest, type ParsedDocument, type ParseResult } from './document/parse-documents.js';
export { sourceLimits } from './document/read-yaml.js';
export { validateDocuments, type ValidateOptions } from './document/validate-documents.js';
export { checkInputsSchema, inputsLimits, validateInputs, type InputsResult } from './document/validate-inputs.js';
export { orderedFindings } from './document/findings.js';
export { formatFinding } from './document/format-finding.js';
export { diffDocuments, formatDiffLine, type DiffLine } from './document/diff-documents.js';
export { closestName } from './document/closest-name.js';
export { DocumentPlaces } from './document/document-places.js';
