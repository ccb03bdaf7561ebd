import { Body, Controller, Get, Headers, HttpCode, Param, Post, Query, Res } from '@nestjs/common';
import {
  createdFeedSchema,
  createFeedRequestSchema,
  feedFileParamSchema,
  feedPageSchema,
  feedSchema,
  idParamSchema,
  notFoundError,
  pageQuerySchema,
} from '@fettle/contracts';
import type { CreatedFeed, CreateFeedRequest, Feed, Page, PageQuery } from '@fettle/contracts';
import { createFeed, listFeeds, readFeed, revokeFeed } from '@fettle/operations';
import { Answers, Resource } from '../common/openapi.js';
import { OperationRunner } from '../common/operation-runner.js';
import { CurrentCaller, Public, RequirePermission } from '../common/permission.js';
import type { Caller, FettleResponse } from '../common/request.js';

@Resource('schedules')
@Controller('api/v1')
export class FeedsController {
  constructor(private readonly runner: OperationRunner) {}

  /** The answer holds the address with its token, this once. */
  @Post('schedule-feeds')
  @RequirePermission('document:read', { space: 'body' })
  @Answers(201, createdFeedSchema)
  create(
    @CurrentCaller() caller: Caller,
    @Body({ schema: createFeedRequestSchema }) body: CreateFeedRequest,
  ): Promise<CreatedFeed> {
    return this.runner.write(caller, (context) => createFeed(context, body));
  }

  @Get('schedule-feeds')
  @RequirePermission('document:read')
  @Answers(200, feedPageSchema)
  list(@CurrentCaller() caller: Caller, @Query({ schema: pageQuerySchema }) query: PageQuery): Promise<Page<Feed>> {
    return this.runner.readAs(caller, (context) => listFeeds(context, query));
  }

  @Post('schedule-feeds/:id/revoke')
  @HttpCode(200)
  @RequirePermission('document:read', { space: 'any' })
  @Answers(200, feedSchema)
  revoke(@CurrentCaller() caller: Caller, @Param({ schema: idParamSchema }) { id }: { id: string }): Promise<Feed> {
    return this.runner.write(caller, (context) => revokeFeed(context, id));
  }

  /** `TOKEN.ics` for calendar programs, which cannot sign in: the token in the path is the right. Anything else is not found. */
  @Get('feeds/schedules/:file')
  @Public()
  @Answers(200, undefined, 'An iCalendar object (RFC 5545)')
  async read(
    @Param({ schema: feedFileParamSchema }) { file }: { file: string },
    @Headers('if-none-match') known: string | undefined,
    @Res() response: FettleResponse,
  ): Promise<void> {
    const token = file.endsWith('.ics') ? file.slice(0, -4) : file;
    const feed = await this.runner.read((transaction) => readFeed(transaction, token, new Date()));
    // What was asked for is not repeated: it may be a token with one letter wrong.
    if (!feed)
      throw notFoundError('feed', 'of that address', { remedy: 'It may have been revoked: make another one.' });
    response.setHeader('etag', feed.etag);
    response.setHeader('cache-control', 'private, max-age=300');
    response.setHeader('referrer-policy', 'no-referrer');
    if (isKnown(known, feed.etag)) {
      response.statusCode = 304;
      response.end();
      return;
    }
    response.setHeader('content-type', 'text/calendar; charset=utf-8');
    response.setHeader('content-disposition', 'inline; filename="fettle.ics"');
    response.end(feed.text);
  }
}

/** If-None-Match compares weakly (RFC 9110 section 13.1.2). */
function isKnown(header: string | undefined, etag: string): boolean {
  if (header === undefined) return false;
  const known = header.slice(0, 4000).split(',');
  return known.some((one) => ['*', etag, `W/${etag}`].includes(one.trim()));
}
