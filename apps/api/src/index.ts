export { createApi, type Api } from './create-app.js';
export type { ApiSettings } from './settings.js';
