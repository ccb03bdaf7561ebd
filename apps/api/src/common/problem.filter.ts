import { Catch, type ArgumentsHost, type ExceptionFilter } from '@nestjs/common';
import { apiTokenPattern } from '@fettle/security';
import { ApiLogger } from './logger.js';
import { toProblem } from './problem.js';
import type { FettleRequest, FettleResponse } from './request.js';

/** The one place where anything thrown becomes an answer: `application/problem+json` (RFC 9457). */
@Catch()
export class ProblemFilter implements ExceptionFilter {
  constructor(private readonly logger: ApiLogger) {}

  catch(thrown: unknown, host: ArgumentsHost): void {
    const request = host.switchToHttp().getRequest<FettleRequest>();
    const response = host.switchToHttp().getResponse<FettleResponse>();
    const requestId = request.requestId ?? '';
    const { problem, isDefect } = toProblem(thrown, requestId);
    // The path of a feed holds its token.
    const path = request.path.replace(new RegExp(apiTokenPattern, 'g'), 'fettle_(token)');
    if (isDefect) this.logger.defect(thrown, { requestId, method: request.method, path });
    if (response.headersSent) {
      // The answer has begun: cutting the connection is the only way left to say that it is not whole.
      response.destroy();
      return;
    }
    if (problem.status === 401) response.setHeader('www-authenticate', 'Bearer');
    if (problem.status === 503) response.setHeader('retry-after', '2');
    response.statusCode = problem.status;
    response.setHeader('content-type', 'application/problem+json; charset=utf-8');
    response.end(JSON.stringify(problem));
  }
}
