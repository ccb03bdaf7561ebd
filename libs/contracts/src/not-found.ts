import { FettleError } from './errors.js';

export interface NotFoundOptions {
  /** Where the name would have to be; absent for what belongs to no space. */
  readonly space?: string | undefined;
  /** `version 3` and the like, where the thing is there and this of it is not. */
  readonly part?: string | undefined;
  readonly remedy?: string | undefined;
  readonly cause?: unknown;
}

/** The one form of "there is no such thing": `There is no asset "web-01" in space "default".` */
export function notFoundError(kind: string, name: string, options: NotFoundOptions = {}): FettleError {
  const { cause, part, remedy, space } = options;
  const which = part === undefined ? '' : ` with ${part}`;
  const where = space === undefined ? '' : ` in space "${space}"`;
  return new FettleError({
    code: 'not-found',
    message: `There is no ${kind} "${name.slice(0, 260)}"${which}${where}.`,
    remedy,
    cause,
  });
}
