/** Fires that a preview shows at most. */
export const MAX_PREVIEW = 1000;

export function schedulePath(name: string): string {
  return `/api/v1/schedules/${encodeURIComponent(name)}`;
}
