export interface PreflightResult {
  readonly name: string;
  readonly ok: boolean;
  /** What was found. */
  readonly detail: string;
  /** One line; empty when ok. */
  readonly remedy: string;
  /** False: worth a word, no reason to stop. */
  readonly fatal: boolean;
}

export function checkNode(version?: string): PreflightResult;
export function checkNpm(): PreflightResult;
export function checkDisk(folder: string, purpose: 'install' | 'run'): PreflightResult;
export function checkLocale(env?: NodeJS.ProcessEnv): PreflightResult;
export function checkPort(
  port: number,
  host: string,
  describeHolder?: (port: number) => string | undefined,
): Promise<PreflightResult>;
