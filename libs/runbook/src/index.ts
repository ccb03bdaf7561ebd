export {
  canonicalJson,
  digestOf,
  formatPath,
  isRecord,
  type JsonObject,
  type JsonPath,
  type JsonValue,
} from './json.js';
