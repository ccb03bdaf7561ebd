export { expressionLimits } from './parse.js';
export { parseExpression, type Expression, type ParseOptions } from './expression.js';
export { evaluate, evaluateCondition, type Evaluation, type Truth, type Variables } from './evaluate.js';
export { fromCel, toCel, type CelValue } from './values.js';
export {
  assetFields,
  assetTextFields,
  expressionEnvironments,
  type AssetTextField,
  type AssetView,
  type ExpressionEnvironment,
} from './types.js';
export { assetColumnMap, assetColumns, type SelectorColumns } from './column-map.js';
export {
  compileSelector,
  evaluateSelector,
  narrow,
  parseSelector,
  type CompiledSelector,
  type CompileOptions,
  type Selector,
  type SqlFragment,
} from './selector.js';
export { findReferences, references, type Reference } from './references.js';
export {
  compileTemplate,
  findExpressions,
  renderCompiled,
  renderTemplate,
  templateLimits,
  type FoundExpression,
  type Template,
} from './template.js';
export { MAX_EVALUATION_STEPS } from './meter.js';
